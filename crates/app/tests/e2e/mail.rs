//! The mails of a server on the embedded PostgreSQL.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::demo::tidegate;
use crate::server::listening;

#[tokio::test]
async fn whoever_tries_it_on_their_own_machine_reads_its_mails() {
    tidegate_outbound_http::install_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = tidegate()
        .args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let (url, _out) = listening(&mut server).await;
    let client = reqwest::Client::new();
    let new = json!({ "email": "ada@example.org", "password": "an umbrella in march", "name": "Ada <b>" });
    let made = client.post(format!("{url}/api/v1/auth/register")).json(&new).send().await.expect("an answer");
    assert_eq!(made.status().as_u16(), 202);
    let mails = || client.get(format!("{url}/api/v1/dev/mail"));
    let first = async {
        loop {
            let list: Value = mails().send().await.expect("an answer").json().await.expect("it is JSON");
            if let Some(mail) = list["items"].get(0) {
                return mail.clone();
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let mail = timeout(Duration::from_secs(30), first).await.expect("the mail comes");
    assert_eq!((&mail["to"], &mail["recipient"]), (&"ada@example.org".into(), &"Ada <b>".into()));
    let html = mail["html"].as_str().expect("there is HTML");
    assert!(html.contains("Ada &lt;b&gt;") && !html.contains("Ada <b>"), "{html}");
    // A caller on another machine, through a proxy on this one.
    let foreign = mails().header("x-forwarded-for", "192.0.2.1").send().await.expect("an answer");
    assert_eq!(foreign.status().as_u16(), 404);
    server.kill().await.expect("the server ends");
}
