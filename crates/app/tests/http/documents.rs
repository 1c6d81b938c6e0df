//! Billing details, and invoices and credit notes as PDF.

use reqwest::Method;
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::support::{Answer, text};

const STARTER: &str = r#"{ "plan": "starter", "interval": "month", "currency": "EUR" }"#;

/// A shop with this seller, whose customer has bought Starter, and the path of the invoice.
async fn billed() -> (Shop, String) {
    let seller =
        ["--seller-name", "Tidegate Ltd.", "--seller-address", "1 High Street; Cambridge", "--seller-tax-id", "GB 1"];
    let shop = Shop::new(&seller).await;
    shop.buy(serde_json::from_str(STARTER).expect("JSON")).await.expect(201);
    let invoice = text(&shop.get("/invoices").await["items"][0]["id"]);
    (shop, format!("/invoices/{invoice}"))
}

async fn set(shop: &Shop, at: &str, details: &Value) -> Answer {
    let path = format!("/api/v1/workspaces/{}/billing-details", shop.workspace);
    let request = shop.app.request(Method::PUT, &path).bearer(&shop.ada.token).header("if-match", at);
    request.json(details).send().await
}

#[track_caller]
fn is_pdf(answer: &Answer, name: &str) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.bytes));
    assert!(answer.bytes.starts_with(b"%PDF-"));
    assert_eq!(answer.header("content-type"), "application/pdf");
    assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{name}.pdf\""));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn invoices_and_credit_notes_are_read_as_pdf() {
    let (shop, invoice) = billed().await;
    let read = async |path: String| shop.send(Method::GET, &path, None).await;
    let open = read(format!("{invoice}.pdf")).await;
    is_pdf(&open, "INV-000001");
    let path = format!("/api/v1/workspaces/{}{invoice}.pdf", shop.workspace);
    let again = shop.app.get(&path).bearer(&shop.ada.token).header("if-none-match", open.header("etag")).send().await;
    assert_eq!((again.status.as_u16(), again.bytes.len()), (304, 0));

    let id = invoice.rsplit('/').next().expect("an id").to_owned();
    shop.operate(&id, "payment", json!({ "amount": 2261, "currency": "EUR" })).await.expect(200);
    let paid = read(format!("{invoice}.pdf")).await;
    is_pdf(&paid, "INV-000001");
    assert_ne!(paid.header("etag"), open.header("etag"), "it shows that it is paid");
    let note = shop.operate(&id, "credit-notes", json!({ "amount": 61, "reason": "תקלה בשירות" })).await.expect(201);
    is_pdf(&read(format!("/credit-notes/{}.pdf", text(&note["id"]))).await, "CN-000001");

    for path in ["/invoices/inv_01jz3q9m0e7c2v5y8t4r6n1k0d.pdf", "/credit-notes/cn_1.pdf", "/invoices/.pdf"] {
        read(path.to_owned()).await.expect_problem(404, "not-found");
    }
    let other = shop.app.person("Eve").await;
    let theirs = shop.app.workspace(&other, "Elsewhere").await;
    let path = format!("/api/v1/workspaces/{theirs}{invoice}.pdf");
    shop.app.get(&path).bearer(&other.token).send().await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn an_invoice_keeps_the_parties_that_it_was_issued_with() {
    let (shop, first) = billed().await;
    assert_eq!(shop.get("/billing-details").await, json!({ "name": "Acme", "address": [], "tax_id": null }));
    let miller = json!({ "name": "Miller & Sons", "address": ["רחוב הרצל 15", "Tel Aviv"], "tax_id": "IL 5" });
    assert_eq!(set(&shop, "\"0\"", &miller).await.expect(200), miller);
    assert_eq!(shop.get("/billing-details").await, miller);

    let before = shop.get(&first).await;
    assert_eq!(before["customer"]["name"], "Acme");
    let seller = json!({ "name": "Tidegate Ltd.", "address": ["1 High Street", "Cambridge"], "tax_id": "GB 1" });
    assert_eq!(before["seller"], seller);
    let id = first.rsplit('/').next().expect("an id").to_owned();
    shop.operate(&id, "payment", json!({ "amount": 2261, "currency": "EUR" })).await.expect(200);
    let change = json!({ "plan": "professional", "interval": "month" });
    shop.send(Method::POST, "/subscription/change", Some(change)).await.expect(200);
    let newest = shop.get("/invoices").await["items"][0].clone();
    assert_eq!(newest["customer"], miller);
    assert_eq!(shop.get(&first).await["customer"]["name"], "Acme");
}

#[tokio::test]
async fn billing_details_that_are_none_are_refused_with_the_field() {
    let (shop, _) = billed().await;
    for (details, pointer) in [
        (json!({ "address": [] }), ""),
        (json!({ "name": " " }), "/name"),
        (json!({ "name": "two\nlines" }), "/name"),
        (json!({ "name": "x".repeat(201) }), "/name"),
        (json!({ "name": "x", "address": ["a", "\u{202e}b"] }), "/address/1"),
        (json!({ "name": "x", "address": vec!["a"; 7] }), "/address"),
        (json!({ "name": "x", "address": ["a".repeat(101)] }), "/address/0"),
        (json!({ "name": "x", "tax_id": "" }), "/tax_id"),
        (json!({ "name": "x", "country": "IL" }), "/country"),
    ] {
        let refused = set(&shop, "*", &details).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{details}: {refused}");
    }
    assert_eq!(shop.get("/billing-details").await["name"], "Acme");
}

#[tokio::test]
async fn of_two_owners_who_change_the_details_at_once_one_is_told() {
    let (shop, _) = billed().await;
    let (one, other) = (json!({ "name": "One" }), json!({ "name": "Other" }));
    shop.send(Method::PUT, "/billing-details", Some(one.clone())).await.expect_problem(428, "precondition-required");
    let answers = [set(&shop, "\"0\"", &one).await, set(&shop, "\"0\"", &other).await];
    assert_eq!((answers[0].expect(200)["name"].as_str(), answers[0].header("etag")), (Some("One"), "\"1\""));
    answers[1].expect_problem(412, "precondition-failed");
    assert_eq!(answers[1].header("etag"), "\"1\"");
    let read = shop.send(Method::GET, "/billing-details", None).await;
    assert_eq!((read.expect(200)["name"].as_str(), read.header("etag")), (Some("One"), "\"1\""));
    set(&shop, "\"1\"", &other).await.expect(200);
}
