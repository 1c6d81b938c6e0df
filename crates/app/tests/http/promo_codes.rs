//! Promo codes: operators make them, workspaces redeem them, invoices have them.

use serde_json::{Value, json};

use crate::shop::Shop;
use crate::support::{Answer, text};

const CODES: &str = "/api/v1/monitoring/promo-codes";

impl Shop {
    async fn create(&self, body: Value) -> Answer {
        self.app.post(CODES).bearer(&self.operator.token).json(&body).send().await
    }

    async fn redeem_in(&self, workspace: &str, code: &str) -> Answer {
        let path = format!("/api/v1/workspaces/{workspace}/promo-codes/redeem");
        self.app.post(&path).bearer(&self.ada.token).json(&json!({ "code": code })).send().await
    }

    async fn redeem(&self, code: &str) -> Answer {
        self.redeem_in(&self.workspace, code).await
    }

    async fn subscribe(&self, plan: &str, currency: &str) -> Value {
        self.buy(json!({ "plan": plan, "interval": "month", "currency": currency })).await.expect(201)
    }

    async fn pay_newest(&self) {
        let invoice = self.get("/invoices").await["items"][0].clone();
        let body = json!({ "amount": invoice["amount_due"], "currency": invoice["currency"] });
        self.operate(&text(&invoice["id"]), "payment", body).await.expect(200);
    }
}

fn sum(invoice: &Value) -> i64 {
    let lines = invoice["lines"].as_array().expect("it is there").iter();
    lines.map(|line| line["amount"].as_i64().expect("it is there") + line["tax"].as_i64().expect("it is there")).sum()
}

#[tokio::test]
async fn a_code_takes_off_from_as_many_invoices_as_it_says_across_a_change_of_the_plan() {
    let shop = Shop::new(&[]).await;
    let made = shop.create(json!({ "code": "spring-2027", "percent_ppm": 250_000, "invoices": 2 })).await.expect(201);
    assert_eq!((&made["code"], &made["redemptions"]), (&json!("SPRING-2027"), &json!(0)));
    let redeemed = shop.redeem(" Spring-2027 ").await.expect(200);
    assert_eq!(redeemed["discounts"][0]["invoices_left"], 2);
    let before = shop.get("/subscription").await;
    assert_eq!((&before["status"], &before["discounts"][0]["code"]), (&json!("none"), &json!("SPRING-2027")));

    let bought = shop.subscribe("starter", "EUR").await;
    assert_eq!(bought["discounts"][0]["invoices_left"], 1);
    let first = shop.get("/invoices").await["items"][0].clone();
    let amounts = ["subtotal", "tax", "total"].map(|name| first[name].as_i64().unwrap());
    assert_eq!((amounts, sum(&first)), ([1425, 271, 1696], 1696), "1900 less 25 %: {first}");
    assert_eq!(first["lines"][1]["description"], "Promo code SPRING-2027");
    shop.pay_newest().await;
    let change = format!("/api/v1/workspaces/{}/subscription/change", shop.workspace);
    let professional = json!({ "plan": "professional", "interval": "month" });
    let changed = shop.app.post(&change).bearer(&shop.ada.token).json(&professional).send().await.expect(200);
    assert_eq!(changed["discounts"], json!([]), "it is used up");
    let second = shop.get("/invoices").await["items"][0].clone();
    assert_eq!((second["lines"].as_array().unwrap().len(), Some(sum(&second))), (3, second["total"].as_i64()));
    let again = shop.redeem("SPRING-2027").await.expect_problem(409, "conflict");
    assert!(text(&again["detail"]).contains("has redeemed"), "{again}");
    let listed = shop.app.get(CODES).bearer(&shop.operator.token).send().await.expect(200);
    assert_eq!(listed["items"][0]["redemptions"], 1);
}

#[tokio::test]
async fn of_twenty_workspaces_at_once_as_many_redeem_a_code_as_can_and_each_once() {
    let shop = Shop::new(&[]).await;
    shop.create(json!({ "code": "FIRST-FIVE", "percent_ppm": 1, "invoices": null, "max_redemptions": 5 }))
        .await
        .expect(201);
    let mut workspaces = Vec::new();
    for n in 0..20 {
        workspaces.push(shop.app.workspace(&shop.ada, &format!("Workspace {n}")).await);
    }
    let statuses = async |workspaces: &[String]| {
        let redeeming = workspaces.iter().map(|workspace| shop.redeem_in(workspace, "FIRST-FIVE"));
        let answers = futures::future::join_all(redeeming).await;
        answers.iter().filter(|answer| answer.status == 200).count()
    };
    assert_eq!(statuses(&workspaces).await, 5);
    let counted = "select redemptions from promo_code union all select count(*) from promo_redemption";
    assert_eq!(shop.app.database.count(format!("select sum(redemptions)::bigint from ({counted}) c")).await, 10);
    shop.create(json!({ "code": "AGAIN-AND-AGAIN", "amount": 1, "currency": "EUR", "invoices": 1 })).await.expect(201);
    let same = futures::future::join_all((0..8).map(|_| shop.redeem("AGAIN-AND-AGAIN"))).await;
    let mut statuses: Vec<_> = same.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_code_that_cannot_be_redeemed_is_refused_and_changes_nothing() {
    let shop = Shop::new(&[]).await;
    shop.subscribe("starter", "EUR").await;
    for body in [
        json!({ "code": "DOLLARS", "amount": 500, "currency": "USD", "invoices": 1 }),
        json!({ "code": "EXPIRED", "percent_ppm": 1000, "invoices": 1, "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "code": "DEACTIVATED", "percent_ppm": 1000, "invoices": 1 }),
    ] {
        shop.create(body).await.expect(201);
    }
    let deactivate = format!("{CODES}/deactivated/deactivate");
    let gone = shop.app.post(&deactivate).bearer(&shop.operator.token).send().await.expect(200);
    assert!(gone["deactivated_at"].is_string(), "{gone}");
    let before = shop.app.contents().await;
    for code in ["DOLLARS", "EXPIRED", "DEACTIVATED"] {
        shop.redeem(code).await.expect_problem(409, "conflict");
    }
    for code in ["NO-SUCH-CODE", "", "' or 1=1 --"] {
        let unknown = shop.redeem(code).await.expect(422);
        assert_eq!(unknown["errors"][0]["pointer"], "/code");
    }
    let missing = format!("{CODES}/NO-SUCH-CODE/deactivate");
    shop.app.post(&missing).bearer(&shop.operator.token).send().await.expect_problem(404, "not-found");
    for (change, pointer) in [
        (json!({ "code": "SHORT" }), "/code"),
        (json!({ "code": "WITH SPACE" }), "/code"),
        (json!({ "percent_ppm": 0 }), "/percent_ppm"),
        (json!({ "percent_ppm": 1_000_001 }), "/percent_ppm"),
        (json!({ "percent_ppm": null }), "/percent_ppm"),
        (json!({ "amount": 5, "currency": "EUR" }), "/amount"),
        (json!({ "percent_ppm": null, "amount": 5 }), "/currency"),
        (json!({ "percent_ppm": null, "amount": 0, "currency": "EUR" }), "/amount"),
        (json!({ "currency": "EUR" }), "/currency"),
        (json!({ "invoices": 0 }), "/invoices"),
        (json!({ "max_redemptions": 0 }), "/max_redemptions"),
        (json!({ "more": 1 }), "/more"),
    ] {
        let mut body = json!({ "code": "SUMMER", "percent_ppm": 1000, "invoices": 1 });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = shop.create(body).await.expect(422);
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{change}: {answer}");
    }
    shop.create(json!({ "code": "EXPIRED", "percent_ppm": 1, "invoices": 1 })).await.expect_problem(409, "conflict");
    assert_eq!(shop.app.contents().await, before);
}

#[tokio::test]
async fn codes_are_not_guessed_cheaply() {
    let shop = Shop::new(&["--rate-limit", "promo-codes=3/1h"]).await;
    for _ in 0..3 {
        shop.redeem("A-GUESS").await.expect(422);
    }
    let refused = shop.redeem("A-GUESS").await;
    assert!(refused.headers.contains_key("retry-after"));
    refused.expect_problem(429, "rate-limited");
}
