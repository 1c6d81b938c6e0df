//! Expressions that would run for minutes: each ends within its budget, and whoever waited for it is told.

use serde_json::{Value, json};

use crate::support::{TestApp, text};

/// Every item of a list with every other and every third: 10^11 additions for a list of 5,000.
fn endless(list: &str) -> String {
    format!("{list}.all(a, {list}.all(b, {list}.all(c, a + b + c > 0)))")
}

/// Each part makes three items of one: written out, forty of them are 3^40.
fn endless_to_write() -> String {
    format!("[1]{}", ".map(x, [x, x, x])".repeat(40))
}

fn hole(expression: &str) -> String {
    format!("${{{{ {expression} }}}}")
}

#[tokio::test]
async fn an_expression_that_would_run_for_minutes_ends_where_it_is_used() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let base = format!("/api/v1/workspaces/{}", app.workspace(&ada, "Acme").await);
    let post = async |path: &str, body: Value| app.post(path).bearer(&ada.token).json(&body).send().await;
    let publish = async |document: Value| {
        let id = text(&post(&format!("{base}/workflows"), document).await.expect(201)["id"]);
        app.post(&format!("{base}/workflows/{id}/publish")).bearer(&ada.token).send().await.expect(200);
        id
    };
    let quick = json!([{ "id": "a", "uses": "transform" }]);
    let list = json!({ "n": vec![1; 5_000] });

    // In a step: the run fails at once, and says at which step.
    for (name, expression) in [("works", endless("inputs.n")), ("writes", endless_to_write())] {
        let steps = json!([{ "id": "spin", "uses": "transform", "with": { "n": hole(&expression) } }]);
        let inputs = json!({ "type": "object", "properties": { "n": { "type": "array" } } });
        let spinning = publish(json!({ "name": name, "inputs": inputs, "steps": steps })).await;
        let run =
            post(&format!("{base}/workflows/{spinning}/runs?wait=30s"), json!({ "input": list })).await.expect(201);
        assert_eq!((&run["status"], &run["error"]["code"]), (&json!("failed"), &json!("expression")), "{run}");
        assert_eq!(run["error"]["step"], "spin");
        assert!(text(&run["error"]["message"]).contains("more work than one evaluation may"), "{run}");
    }

    // In a concurrency key: the start is refused, and there is no run.
    let concurrency = json!({ "key": hole(&endless("inputs.n")), "limit": 1 });
    let inputs = json!({ "type": "object", "properties": { "n": { "type": "array" } } });
    let keyed =
        publish(json!({ "name": "in a key", "inputs": inputs, "concurrency": concurrency, "steps": quick })).await;
    let before = app.contents().await;
    let start = post(&format!("{base}/workflows/{keyed}/runs"), json!({ "input": list })).await;
    let refused = start.expect_problem(422, "invalid");
    assert_eq!(refused["errors"][0]["pointer"], "/input");
    assert!(text(&refused["detail"]).contains("more work than one evaluation may"), "{refused}");
    assert_eq!(app.contents().await, before);

    // In a filter: the event does not pass it, and what stands behind it is read all the same.
    let filter = json!([{ "event": { "type": "seen", "filter": hole(&endless("event.data.n")) } }]);
    publish(json!({ "name": "in a filter", "triggers": filter, "steps": quick })).await;
    publish(json!({ "name": "beside it", "triggers": [{ "event": { "type": "seen" } }], "steps": quick })).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/test", "type": "seen", "data": list }).to_string();
    let sent = app.post(&format!("{base}/events")).bearer(&ada.token).body("application/cloudevents+json", event);
    sent.send().await.expect(202);
    let started = async {
        loop {
            let runs = app.get(&format!("{base}/runs")).bearer(&ada.token).send().await.expect(200);
            let runs = runs["items"].as_array().cloned().unwrap_or_default();
            if let Some(run) = runs.iter().find(|run| run["trigger"]["kind"] == "event") {
                return (runs.len(), run.clone());
            }
            tokio::task::yield_now().await;
        }
    };
    let (count, run) = tokio::time::timeout(std::time::Duration::from_secs(60), started).await.expect("a run starts");
    assert_eq!(count, 3, "two runs of the first part, and one of the event: {run}");
}
