//! A list of workflows: from the cache, as 304, and from the database.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::failure::Failure;
use crate::http::Client;
use crate::measure::{Latencies, Metric, Report, hammer_with};
use crate::{Setting, story};

const CONNECTIONS: usize = 16;
/// Workflows in the list.
const WORKFLOWS: usize = 50;
/// Changes of a workspace whose latency is measured, in each round.
const CHANGES: usize = 200;

/// What is measured of one server.
#[derive(Default)]
struct Figures {
    hits: Vec<f64>,
    unchanged: Vec<f64>,
    fresh: Vec<f64>,
    changes: Vec<f64>,
}

/// Runs the benchmark on the server with Redis, and on one that caches in its process.
pub(crate) async fn run(setting: &Setting, in_process: &str) -> Result<Report, Failure> {
    let mut person = story::person(&setting.server).await?;
    let id = story::workspace(&mut person, "cache").await?;
    let path = format!("/workspaces/{id}/workflows");
    for n in 0..WORKFLOWS {
        let steps = json!([{ "id": "shape", "uses": "transform" }]);
        let new = json!({ "name": format!("workflow {n}"), "description": "One of many.", "steps": steps });
        person.client.post(&path, &new).await?.expect(201)?;
    }
    let list = person.client.get(&path).await?;
    if list.json(200)?["items"].as_array().map(Vec::len) != Some(WORKFLOWS) {
        return Err(Failure::new(format!("expected a page of {WORKFLOWS}")));
    }
    let known = format!("if-none-match: {}\r\n", list.tag.clone().unwrap_or_default());
    let (mut shared, mut alone) = (Figures::default(), Figures::default());
    for _ in 0..setting.rounds {
        for (server, figures) in [(setting.server.as_str(), &mut shared), (in_process, &mut alone)] {
            let time = setting.time / 3;
            let measure = async |extra: &str, status: u16| -> Result<f64, Failure> {
                Ok(hammer_with(server, &person.token, CONNECTIONS, time, &path, extra, status).await?.0)
            };
            figures.hits.push(measure("", 200).await?);
            figures.unchanged.push(measure(&known, 304).await?);
            figures.fresh.push(measure("cache-control: no-cache\r\n", 200).await?);
            figures.changes.push(changes(server, &person.token, &id).await?);
        }
    }
    Ok(Report {
        bench: "cache",
        setting: format!(
            "{WORKFLOWS} workflows in {} bytes, {CONNECTIONS} connections, {} s",
            list.body.len(),
            setting.time.as_secs()
        ),
        metrics: vec![
            Metric::new("process: hits", "/s", alone.hits).at_least(15_000.0),
            Metric::new("process: 304", "/s", alone.unchanged).at_least(20_000.0),
            Metric::new("process: fresh", "/s", alone.fresh),
            Metric::new("process: change", "ms", alone.changes),
            Metric::new("Redis: hits", "/s", shared.hits).at_least(15_000.0),
            Metric::new("Redis: 304", "/s", shared.unchanged).at_least(20_000.0),
            Metric::new("Redis: fresh", "/s", shared.fresh),
            Metric::new("Redis: change", "ms", shared.changes),
        ],
    })
}

/// The median latency of changes of a workspace, one at a time, in milliseconds.
async fn changes(server: &str, token: &str, workspace: &str) -> Result<f64, Failure> {
    let mut client = Client::connect(server, Some(token)).await?;
    let mut latencies = Latencies::default();
    for n in 0..CHANGES {
        let body = json!({ "name": format!("name {n}") }).to_string();
        let sent = Instant::now();
        let path = format!("/workspaces/{workspace}");
        client.send("PATCH", &path, "application/merge-patch+json", body.as_bytes()).await?.expect(200)?;
        latencies.add(sent.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(latencies.percentile(50))
}
