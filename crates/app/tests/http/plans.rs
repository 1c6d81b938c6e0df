//! The catalogue of plans, which operators change.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Person, TestApp, text};

const PLANS: &str = "/api/v1/monitoring/plans";

/// A server with an operator.
struct Shop {
    app: TestApp,
    operator: Person,
}

impl Shop {
    async fn new() -> Self {
        let before = TestApp::spawn_with(&["--default-plan", "free"]).await;
        let operator = before.person("Operator").await;
        let flags = ["--default-plan", "free", "--operator", &operator.id, "--role", "api", "--tax-rate", "19"];
        Self { app: before.beside(&flags).await, operator }
    }

    async fn create(&self, body: &Value) -> Answer {
        self.app.post(PLANS).bearer(&self.operator.token).json(body).send().await
    }

    async fn send(&self, method: Method, path: &str, if_match: Option<&str>, body: Option<&Value>) -> Answer {
        let request = self.app.request(method, &format!("{PLANS}{path}")).bearer(&self.operator.token);
        let request = match if_match {
            Some(tag) => request.header("if-match", tag),
            None => request,
        };
        match body {
            Some(body) => request.json(body).send().await,
            None => request.send().await,
        }
    }

    async fn act(&self, path: &str) -> Answer {
        self.send(Method::POST, path, None, None).await
    }

    /// The plan as customers see it; null if it is not sold.
    async fn sold(&self, name: &str) -> Value {
        let plans = self.app.get("/api/v1/plans").send().await.expect(200);
        let found = plans["items"].as_array().expect("it is there").iter().find(|plan| plan["name"] == name).cloned();
        found.unwrap_or(Value::Null)
    }
}

fn team() -> Value {
    let features =
        json!({ "custom_roles": true, "audit_export": false, "network_policy": false, "single_sign_on": false });
    json!({
        "name": "team", "title": "Team",
        "prices": [{ "interval": "month", "currency": "EUR", "amount": 4900 }],
        "entitlements": {
            "features": features, "storage_bytes": 20_000_000_000_i64, "file_bytes": 100_000_000, "workflows": 50,
            "api_calls_per_day": 2000, "requests_per_minute": null, "members": 5, "concurrent_runs": null,
            "events_per_month": { "included": 100_000, "overage": { "per": 1000, "amounts": { "EUR": 40 } } },
            "runs_per_month": { "included": null, "overage": null },
            "steps_per_month": { "included": null, "overage": null },
        },
    })
}

/// The body that replaces a draft with this one.
fn replacement(mut body: Value) -> Value {
    body.as_object_mut().expect("it is there").remove("name");
    body
}

#[tokio::test]
async fn a_plan_is_drafted_published_sold_and_retired_and_who_bought_it_keeps_it() {
    let shop = Shop::new().await;
    let ada = shop.app.person("Ada").await;
    let workspace = shop.app.workspace(&ada, "Acme").await;
    let draft = shop.create(&team()).await.expect(201);
    assert_eq!((&draft["version"], &draft["status"], &draft["built_in"]), (&json!(1), &json!("draft"), &json!(false)));
    assert_eq!(shop.sold("team").await, Value::Null);
    let mut cheaper = replacement(team());
    cheaper["prices"][0]["amount"] = json!(3900);
    let path = "/team/versions/1";
    shop.send(Method::PUT, path, None, Some(&cheaper)).await.expect_problem(428, "precondition-required");
    shop.send(Method::PUT, path, Some("\"7\""), Some(&cheaper)).await.expect_problem(412, "precondition-failed");
    let replaced = shop.send(Method::PUT, path, Some("\"1\""), Some(&cheaper)).await.expect(200);
    assert_eq!((&replaced["revision"], &replaced["prices"][0]["amount"]), (&json!(2), &json!(3900)));
    shop.send(Method::POST, "/team/versions/1/publish", Some("\"1\""), None).await.expect(412);
    let published = shop.act("/team/versions/1/publish").await.expect(200);
    assert_eq!(published["status"], "published");
    assert_eq!(shop.sold("team").await["prices"][0]["amount"], 3900);

    let subscription = format!("/api/v1/workspaces/{workspace}/subscription");
    let buy = json!({ "plan": "team", "interval": "month", "currency": "EUR" });
    let bought = shop.app.request(Method::PUT, &subscription).bearer(&ada.token).json(&buy).send().await.expect(201);
    assert_eq!((&bought["plan_version"], &bought["amount"]), (&json!(1), &json!(3900)));

    let mut second = team();
    second["entitlements"]["workflows"] = json!(2);
    assert_eq!(shop.create(&second).await.expect(201)["version"], 2);
    shop.act("/team/versions/2/publish").await.expect(200);
    assert_eq!(shop.sold("team").await["version"], 2);
    shop.act("/team/versions/1/retire").await.expect(200);
    let kept = shop.app.get(&subscription).bearer(&ada.token).send().await.expect(200);
    assert_eq!((&kept["plan_version"], &kept["amount"]), (&json!(1), &json!(3900)));
    let usage = format!("/api/v1/workspaces/{workspace}/usage?meter=workflows");
    let usage = shop.app.get(&usage).bearer(&ada.token).send().await.expect(200);
    assert_eq!(usage[0]["limit"], 50, "the limits of the retired version: {usage}");
    shop.act("/team/versions/2/retire").await.expect(200);
    assert_eq!(shop.sold("team").await, Value::Null);

    let listed = shop.send(Method::GET, "?limit=200", None, None).await.expect(200);
    let of_team = listed["items"].as_array().unwrap().iter().filter(|item| item["name"] == "team");
    let statuses: Vec<_> = of_team.map(|item| text(&item["status"])).collect();
    assert_eq!((listed["items"].as_array().unwrap().len(), statuses), (7, vec!["retired".into(), "retired".into()]));
}

#[tokio::test]
async fn what_was_published_never_changes() {
    let shop = Shop::new().await;
    shop.create(&team()).await.expect(201);
    shop.act("/team/versions/1/publish").await.expect(200);
    let before = shop.app.contents().await;
    let body = replacement(team());
    shop.send(Method::PUT, "/team/versions/1", Some("*"), Some(&body)).await.expect_problem(409, "conflict");
    shop.send(Method::DELETE, "/team/versions/1", None, None).await.expect_problem(409, "conflict");
    shop.act("/team/versions/1/publish").await.expect_problem(409, "conflict");
    let mut same = team();
    same["version"] = json!(1);
    shop.create(&same).await.expect_problem(409, "conflict");
    for path in ["/team/versions/2/publish", "/golden/versions/1/retire", "/Te%20am/versions/1/retire"] {
        shop.act(path).await.expect_problem(404, "not-found");
    }
    assert_eq!(shop.app.contents().await, before);
    // An older draft is not published over a newer version.
    same["version"] = json!(2);
    shop.create(&same).await.expect(201);
    same["version"] = json!(9);
    shop.create(&same).await.expect(201);
    shop.act("/team/versions/9/publish").await.expect(200);
    shop.act("/team/versions/2/publish").await.expect_problem(409, "conflict");
    shop.send(Method::DELETE, "/team/versions/2", Some("\"9\""), None).await.expect(412);
    shop.send(Method::DELETE, "/team/versions/2", None, None).await.expect(204);
}

#[tokio::test]
async fn the_default_plan_always_has_a_published_version() {
    let shop = Shop::new().await;
    let refused = shop.act("/free/versions/1/retire").await.expect(409);
    assert!(text(&refused["detail"]).contains("--default-plan"), "{refused}");
    let mut free = team();
    free["name"] = json!("free");
    free["prices"][0]["amount"] = json!(0);
    shop.create(&free).await.expect(201);
    shop.act("/free/versions/1/retire").await.expect_problem(409, "conflict");
    shop.act("/free/versions/2/publish").await.expect(200);
    shop.act("/free/versions/1/retire").await.expect(200);
    let ada = shop.app.person("Ada").await;
    let workspace = shop.app.workspace(&ada, "Acme").await;
    let none = shop.app.get(&format!("/api/v1/workspaces/{workspace}/subscription")).bearer(&ada.token).send().await;
    assert_eq!(none.expect(200)["plan_version"], 2);
    // A server that starts again leaves it retired.
    let again = shop.app.beside(&["--default-plan", "free", "--role", "api"]).await;
    let plans = again.get("/api/v1/plans").send().await.expect(200);
    assert_eq!((&plans["items"][0]["name"], &plans["items"][0]["version"]), (&json!("free"), &json!(2)));
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_refused_with_the_field() {
    let shop = Shop::new().await;
    let before = shop.app.contents().await;
    let limits = "/entitlements/workflows";
    let overage = "/entitlements/events_per_month/overage";
    for (place, value, pointer) in [
        ("/name", json!("Team 7"), "/name".to_owned()),
        ("/name", json!("a".repeat(41)), "/name".into()),
        ("/title", json!(""), "/title".into()),
        ("/title", json!("x".repeat(101)), "/title".into()),
        ("/version", json!(0), "/version".into()),
        ("/prices/0/amount", json!(-1), "/prices/0/amount".into()),
        ("/prices/0/amount", json!(1_000_000_000_001_i64), "/prices/0/amount".into()),
        ("/prices/0/amount", json!(1.5), "/prices/0/amount".into()),
        ("/prices/0/currency", json!("XAU"), "/prices/0/currency".into()),
        ("/prices/0/interval", json!("week"), "/prices/0/interval".into()),
        ("/prices", json!(vec![team()["prices"][0].clone(); 2]), "/prices/1".into()),
        ("/prices", json!([]), format!("{overage}/amounts")),
        (limits, json!(-1), limits.into()),
        (limits, json!("many"), limits.into()),
        ("/entitlements/concurrent_runs", json!(0), "/entitlements/concurrent_runs".into()),
        ("/entitlements/features", json!({}), "/entitlements/features".into()),
        ("/entitlements/features/free_beer", json!(true), "/entitlements/features/free_beer".into()),
        ("/entitlements/more", json!(1), "/entitlements/more".into()),
        (&format!("{overage}/per"), json!(0), format!("{overage}/per")),
        (&format!("{overage}/amounts"), json!({ "EUR": -1 }), format!("{overage}/amounts/EUR")),
        (&format!("{overage}/amounts"), json!({ "USD": 1 }), format!("{overage}/amounts")),
        ("/entitlements/events_per_month/included", Value::Null, overage.to_owned()),
    ] {
        let mut body = team();
        let (parent, name) = place.rsplit_once('/').unwrap();
        match body.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
            object => object[name] = value,
        }
        let answer = shop.create(&body).await.expect(422);
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{place}: {answer}");
    }
    let mut missing = team();
    missing["entitlements"].as_object_mut().unwrap().remove("members");
    let answer = shop.create(&missing).await.expect(422);
    assert!(text(&answer["detail"]).contains("members"), "absent is not unlimited: {answer}");
    let mut huge = team();
    huge["title"] = json!("x".repeat(2_000_000));
    shop.create(&huge).await.expect(413);
    assert_eq!(shop.app.contents().await, before);
}

#[tokio::test]
async fn of_two_operators_at_once_one_publishes_and_one_creates_a_number() {
    let shop = Shop::new().await;
    let mut body = team();
    body["version"] = json!(1);
    let statuses = async |requests: Vec<Answer>| {
        let mut statuses: Vec<_> = requests.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        statuses
    };
    let created = futures::future::join_all((0..6).map(|_| shop.create(&body))).await;
    assert_eq!(statuses(created).await, [201, 409, 409, 409, 409, 409]);
    let published = futures::future::join_all((0..6).map(|_| shop.act("/team/versions/1/publish"))).await;
    assert_eq!(statuses(published).await, [200, 409, 409, 409, 409, 409]);
    let retired = futures::future::join_all((0..6).map(|_| shop.act("/team/versions/1/retire"))).await;
    assert_eq!(statuses(retired).await, [200, 409, 409, 409, 409, 409]);
    let written = "select count(*) from account_event where action like 'plan.%'";
    assert_eq!(shop.app.database.count(written.to_owned()).await, 3);
}
