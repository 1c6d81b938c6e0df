//! Expressions that would run for minutes: each is stopped at its budget, and the caller gets an error.

use serde_json::{Value, json};

use crate::support::{TestApp, text};

/// Combines each item of a list with every other and every third: 10^11 additions for a list of 5,000.
fn endless(list: &str) -> String {
    format!("{list}.all(a, {list}.all(b, {list}.all(c, a + b + c > 0)))")
}

/// Each part triples the size of the result: forty of them give 3^40 items.
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

    // In a step: the run fails at once and names the step.
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

    // In a concurrency key: the start is refused, and no run is created.
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

    // In a filter: the event does not pass it, and later events are still followed.
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

#[tokio::test]
async fn values_do_not_grow_beyond_what_a_run_can_keep() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let base = format!("/api/v1/workspaces/{}", app.workspace(&ada, "Acme").await);
    let post = async |path: &str, body: Value| app.post(path).bearer(&ada.token).json(&body).send().await;
    let run = async |name: &str, expression: &str| {
        let mut steps = vec![json!({ "id": "s0", "uses": "transform", "with": { "n": "12345678" } })];
        for n in 1..200 {
            let before = format!("s{}", n - 1);
            let with = json!({ "n": hole(&expression.replace('_', &format!("steps.{before}.output.n"))) });
            steps.push(json!({ "id": format!("s{n}"), "uses": "transform", "needs": [before], "with": with }));
        }
        // The cancellation reads it back from what was committed.
        steps.push(json!({ "id": "wait", "uses": "delay", "needs": ["s0"], "with": { "for": "1h" } }));
        let document = json!({ "name": name, "steps": steps });
        let id = text(&post(&format!("{base}/workflows"), document).await.expect(201)["id"]);
        app.post(&format!("{base}/workflows/{id}/publish")).bearer(&ada.token).send().await.expect(200);
        post(&format!("{base}/workflows/{id}/runs?wait=30s"), json!({})).await.expect(201)
    };
    for (name, expression, told) in [
        ("deeper", format!("{}_{}", "[".repeat(40), "]".repeat(40)), "nests more than 100 deep"),
        ("longer", "_ + _".to_owned(), "1048576 bytes"),
        ("wider", "[_, _]".to_owned(), "1048576 bytes"),
    ] {
        let ended = run(name, &expression).await;
        assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!("expression")), "{ended}");
        assert!(text(&ended["error"]["message"]).contains(told), "{name}: {ended}");
        let path = format!("{base}/runs/{}", text(&ended["id"]));
        app.get(&path).bearer(&ada.token).send().await.expect(200);
    }

    let document = json!({ "name": "as deep as may be", "steps": [
        { "id": "keep", "uses": "transform", "with": { "all": "${{ inputs }}" } },
        { "id": "wait", "uses": "delay", "needs": ["keep"], "with": { "for": "1h" } },
    ] });
    let id = text(&post(&format!("{base}/workflows"), document).await.expect(201)["id"]);
    app.post(&format!("{base}/workflows/{id}/publish")).bearer(&ada.token).send().await.expect(200);
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
    let before = app.contents().await;
    let problem = post(&format!("{base}/workflows/{id}/runs"), json!({ "input": nested(101) })).await;
    assert_eq!(problem.expect_problem(422, "invalid")["errors"][0]["pointer"], "/input");
    assert_eq!(app.contents().await, before);

    // A waiting run is parked; its cancellation reads it back from what was committed.
    let deep = post(&format!("{base}/workflows/{id}/runs"), json!({ "input": nested(99) })).await.expect(201);
    let path = format!("{base}/runs/{}", text(&deep["id"]));
    let becomes = async |status: &str| {
        let reached = async {
            while app.get(&path).bearer(&ada.token).send().await.expect(200)["status"] != status {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), reached).await.expect("it gets there");
    };
    becomes("waiting").await;
    app.post(&format!("{path}/cancel")).bearer(&ada.token).send().await.expect(202);
    becomes("cancelled").await;
}
