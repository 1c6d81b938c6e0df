//! Credit notes and write-offs by operators.

use std::ops::Deref;

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::support::{Answer, text};

/// A shop whose customer has bought Starter. Its invoice is over 2261.
struct Billed {
    shop: Shop,
    invoice: String,
}

impl Deref for Billed {
    type Target = Shop;

    fn deref(&self) -> &Shop {
        &self.shop
    }
}

impl Billed {
    async fn new() -> Self {
        let shop = Shop::new(&[]).await;
        shop.buy(json!({ "plan": "starter", "interval": "month", "currency": "EUR" })).await.expect(201);
        let invoice = text(&shop.get("/invoices").await["items"][0]["id"]);
        Self { shop, invoice }
    }

    async fn operate(&self, what: &str, body: Value) -> Answer {
        self.shop.operate(&self.invoice, what, body).await
    }

    async fn pay(&self) -> Answer {
        self.operate("payment", json!({ "amount": 2261, "currency": "EUR" })).await
    }

    async fn credit(&self, amount: i64) -> Answer {
        self.operate("credit-notes", json!({ "amount": amount, "reason": "An outage" })).await
    }

    async fn void(&self) -> Answer {
        self.operate("void", json!({ "reason": "uncollectible", "note": "They moved away" })).await
    }

    /// The balance of an account by the ledger as a caller sees it. Each transaction sums to zero.
    async fn balance(&self, account: &str) -> i64 {
        let ledger = self.get("/ledger").await;
        let mut balance = 0;
        for transaction in ledger["items"].as_array().expect("a list") {
            let entries = transaction["entries"].as_array().expect("a list");
            assert_eq!(
                entries.iter().map(|entry| entry["amount"].as_i64().expect("an amount")).sum::<i64>(),
                0,
                "{transaction}"
            );
            let of_account = entries.iter().filter(|entry| entry["account"] == account);
            balance += of_account.map(|entry| entry["amount"].as_i64().expect("an amount")).sum::<i64>();
        }
        balance
    }
}

#[tokio::test]
async fn credit_notes_take_back_what_was_paid_and_never_more() {
    let shop = Billed::new().await;
    shop.credit(500).await.expect_problem(409, "conflict");
    shop.pay().await.expect(200);
    let first = shop.credit(500).await.expect(201);
    assert_eq!((&first["number"], &first["amount"], &first["tax"]), (&json!("CN-000001"), &json!(500), &json!(80)));
    let too_much = shop.credit(1762).await.expect(422);
    assert_eq!(too_much["errors"][0]["pointer"], "/amount");
    assert!(text(&too_much["detail"]).contains("1761"), "{too_much}");
    let second = shop.credit(1761).await.expect(201);
    assert_eq!((&second["number"], &second["tax"]), (&json!("CN-000002"), &json!(361 - 80)));
    shop.credit(1).await.expect(422);
    let invoice = shop.get(&format!("/invoices/{}", shop.invoice)).await;
    assert_eq!((&invoice["status"], &invoice["amount_credited"]), (&json!("paid"), &json!(2261)));
    let listed = shop.get("/credit-notes").await;
    assert_eq!(listed["items"], json!([second, first]));
    let balances = [shop.balance("customer_credit").await, shop.balance("revenue").await, shop.balance("tax").await];
    assert_eq!(balances, [-2261, 0, 0]);
    // What was taken back is not credited once more at the end.
    shop.send(Method::POST, "/subscription/cancel", Some(json!({ "at": "now" }))).await.expect(200);
    assert_eq!(shop.balance("customer_credit").await, -2261);
}

#[tokio::test]
async fn of_many_credit_notes_at_once_as_many_are_written_as_was_paid() {
    let shop = Billed::new().await;
    shop.pay().await.expect(200);
    let answers = futures::future::join_all((0..8).map(|_| shop.credit(700))).await;
    let written: Vec<_> = answers.iter().filter(|answer| answer.status == 201).map(Answer::json).collect();
    assert_eq!(written.len(), 3);
    let mut numbers: Vec<_> = written.iter().map(|note| text(&note["number"])).collect();
    numbers.sort();
    assert_eq!(numbers, ["CN-000001", "CN-000002", "CN-000003"], "no number is missing");
    assert_eq!(shop.balance("customer_credit").await, -2100);
}

#[tokio::test]
async fn an_invoice_that_is_written_off_blocks_nothing_and_is_not_credited() {
    let shop = Billed::new().await;
    let change = json!({ "plan": "professional", "interval": "month" });
    shop.send(Method::POST, "/subscription/change", Some(change.clone())).await.expect_problem(402, "invoice-open");
    for body in [json!({}), json!({ "reason": "because" }), json!({ "reason": "uncollectible", "more": 1 })] {
        shop.operate("void", body).await.expect(422);
    }
    let voided = shop.void().await.expect(200);
    assert_eq!((&voided["status"], &voided["paid_at"]), (&json!("uncollectible"), &Value::Null));
    shop.void().await.expect_problem(409, "conflict");
    shop.pay().await.expect_problem(409, "conflict");
    shop.credit(1).await.expect_problem(409, "conflict");
    assert_eq!((shop.balance("bad_debt").await, shop.balance("receivable").await), (2261, 0));
    assert_eq!(shop.get("/subscription").await["open_invoices"], 0);
    let changed = shop.send(Method::POST, "/subscription/change", Some(change)).await.expect(200);
    assert_eq!(changed["plan"], "professional");
    let upgrade = shop.get("/invoices").await["items"][0].clone();
    assert_eq!(
        upgrade["lines"].as_array().expect("a list").len(),
        1,
        "nothing that was not paid is credited: {upgrade}"
    );
    let audit = shop.get("/audit").await;
    let written =
        audit["items"].as_array().expect("a list").iter().any(|entry| entry["action"] == "invoice.written_off");
    assert!(written, "{audit}");
}

#[tokio::test]
async fn a_payment_of_a_deleted_workspace_is_recorded_until_it_is_erased() {
    let shop = Billed::new().await;
    shop.send(Method::DELETE, "", None).await;
    shop.app.get(&format!("/api/v1/workspaces/{}", shop.workspace)).bearer(&shop.ada.token).send().await.expect(404);
    let paid = shop.pay().await.expect(200);
    assert_eq!(paid["status"], "paid");
    shop.credit(261).await.expect(201);
    shop.pay().await.expect_problem(409, "conflict");
    let posted = "select count(*) from ledger_transaction where cause in ('payment', 'credit_note')";
    assert_eq!(shop.app.database.count(posted.to_owned()).await, 2);
    // As erasure leaves it: the books without the subscription.
    shop.app.database.run("delete from subscription; update invoice set status = 'open', paid_at = null".into()).await;
    let gone = shop.pay().await.expect(409);
    assert!(text(&gone["detail"]).contains("erased"), "{gone}");
}
