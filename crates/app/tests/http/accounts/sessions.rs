//! Sessions and the log of an account.

use reqwest::Method;
use serde_json::{Value, json};

use super::{AUTH, ME};
use crate::support::TestApp;

#[tokio::test]
async fn sessions_show_their_devices_and_end_together() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    let login = json!({ "email": ada.email, "password": "an umbrella in march", "remember": true });
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    let request = app.post(&format!("{AUTH}/login")).header("user-agent", agent).json(&login);
    let tokens = request.send().await.expect(200);
    let token = tokens["access_token"].as_str().expect("a token");
    let third = app.log_in(&ada.email, &ada.id).await;
    let eve = app.person("eve").await;

    let sessions = format!("{AUTH}/sessions");
    let listed = app.get(&sessions).bearer(token).send().await.expect(200);
    let items = listed["items"].as_array().expect("items");
    let brief: Vec<_> = items.iter().map(|item| (&item["device"], &item["remember"], &item["current"])).collect();
    let firefox = (&json!("Firefox on Linux"), &json!(true), &json!(true));
    assert_eq!(brief[1], firefox, "{listed}");
    assert_eq!(brief.len(), 3);
    assert!(items.iter().all(|item| item["address"] == "127.0.0.1" && item["last_address"] == "127.0.0.1"));

    app.request(Method::DELETE, &sessions).bearer(token).send().await.expect(204);
    for ended in [&ada.token, &third.token] {
        app.until_refused(ME, ended).await;
    }
    for live in [token, &eve.token] {
        app.get(ME).bearer(live).send().await.expect(200);
    }
    let all = format!("{sessions}?include_current=true");
    app.request(Method::DELETE, &all).bearer(token).send().await.expect(204);
    app.until_refused(ME, token).await;
    app.get(ME).bearer(&eve.token).send().await.expect(200);
}

#[tokio::test]
async fn the_log_has_log_ins_and_failures_with_where_they_came_from() {
    let app = TestApp::spawn().await;
    let ada = app.person("ada").await;
    for password in ["an umbrella in april", "an umbrella in may"] {
        let login = json!({ "email": "ADA@example.org", "password": password });
        let request = app.post(&format!("{AUTH}/login")).header("user-agent", "guesser/1").json(&login);
        request.header("x-request-id", "a-guess").send().await.expect_problem(401, "invalid-credentials");
    }
    let refused = "select count(*) from (select from account_event where action = 'session.refused' offset 1) _";
    app.until("failures are recorded", refused.to_owned()).await;
    let log = async |query: &str| -> Value {
        app.get(&format!("{AUTH}/log{query}")).bearer(&ada.token).send().await.expect(200)
    };
    let all = log("").await;
    let items = all["items"].as_array().expect("items");
    let actions: Vec<&str> = items.iter().filter_map(|item| item["action"].as_str()).collect();
    assert_eq!(actions, ["session.refused", "session.refused", "session.created", "account.registered"]);
    assert_eq!((&items[0]["user_agent"], &items[0]["request_id"]), (&json!("guesser/1"), &json!("a-guess")));
    assert_eq!(items[0]["address"], "127.0.0.1");
    let first = log("?limit=3").await;
    let next = first["next_cursor"].as_str().expect("there is more");
    assert_eq!(log(&format!("?limit=3&cursor={next}")).await["items"], json!([items[3]]));
    let eve = app.person("eve").await;
    let foreign = app.get(&format!("{AUTH}/log?cursor={next}")).bearer(&eve.token).send().await;
    foreign.expect_problem(400, "invalid-cursor");
}
