//! Mails that a server sends.

use crate::support::TestApp;

#[tokio::test]
async fn whoever_registers_gets_one_mail_and_whoever_is_refused_none() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let again = serde_json::json!({ "email": ada.email, "password": "an umbrella in march", "name": "Eve" });
    app.post("/api/v1/auth/register").json(&again).send().await.expect_problem(409, "email-taken");
    let counted = async |table: &str| app.database.count(format!("select count(*) from {table}")).await;
    app.until("the mail is kept", "select count(*) from kept_mail where not exists (select from job)".to_owned()).await;
    let ours = format!("kept_mail where recipient = '{}' and body_text like '%{}%'", ada.email, ada.email);
    assert_eq!((counted("kept_mail").await, counted(&ours).await), (1, 1));
}

#[tokio::test]
async fn a_served_database_shows_no_mails() {
    let app = TestApp::spawn().await;
    app.get("/api/v1/dev/mail").send().await.expect_problem(404, "not-found");
}
