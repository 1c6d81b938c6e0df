//! Runs of three steps, each a recorded transition, and the queries of an idle server.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{Executor, PgConnection};

use crate::failure::Failure;
use crate::http::Client;
use crate::measure::{Latencies, Metric, Report, per_second};
use crate::story::{Person, text};
use crate::{Setting, prepare, story};

const CONNECTIONS: usize = 16;
/// Runs that are started one at a time in each round.
const SINGLE: usize = 200;
/// How long a server takes to become idle.
const QUIET: Duration = Duration::from_secs(15);
/// How long an idle server is observed: several turns of its slowest poll.
const IDLE: Duration = Duration::from_secs(30);
/// Statements in a transaction of an idle server: the beginning with its role, a query, and the commit.
const QUERIES: f64 = 3.0;
/// The timeout of a round.
const TIMEOUT: Duration = Duration::from_secs(600);

const WORKFLOW: &str = "
name: bench
inputs: {type: object, properties: {n: {type: integer}}, required: [n]}
steps:
  - {id: first, uses: transform, with: {n: '${{ inputs.n + 1 }}'}}
  - {id: second, uses: transform, needs: [first], with: {n: '${{ steps.first.output.n + 1 }}'}}
  - {id: third, uses: transform, needs: [second], with: {n: '${{ steps.second.output.n + 1 }}'}}
outputs: {n: '${{ steps.third.output.n }}'}
";

/// Runs the benchmark.
pub(crate) async fn run(setting: &Setting, runs: usize) -> Result<Report, Failure> {
    let mut person = story::person(&setting.server).await?;
    let workspace = story::workspace(&mut person, "runs").await?;
    let path = format!("/workspaces/{workspace}/workflows");
    let made = person.client.send("POST", &path, "application/yaml", WORKFLOW.as_bytes()).await?.json(201)?;
    let workflow = format!("{path}/{}", text(&made, "id")?);
    let published = person.client.post(&format!("{workflow}/publish"), &json!({})).await?;
    if published.status / 100 != 2 {
        published.expect(200)?;
    }
    let start = format!("{workflow}/runs");
    let mut admin = prepare::admin(setting).await?;
    // First, because after the rounds PostgreSQL would count its own cleanup too.
    let idle = idle(&mut admin).await?;
    let (mut rates, mut p50, mut p99, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.rounds {
        rates.push(many(setting, &person.token, &start, &mut admin, runs).await?);
        let mut latencies = one_at_a_time(&mut person, &start).await?;
        p50.push(latencies.percentile(50));
        p99.push(latencies.percentile(99));
        bare.push(bare_rate(&mut admin, runs).await?);
    }
    Ok(Report {
        bench: "runs",
        setting: format!("{runs} runs of three steps over {CONNECTIONS} connections, then {SINGLE} one at a time"),
        metrics: vec![
            Metric::new("runs", "/s", rates).beside(&bare).at_least(500.0),
            Metric::new("one run, p50", "ms", p50).below(10.0),
            Metric::new("one run, p99", "ms", p99),
            Metric::new("idle", "queries/s", vec![idle]).below(5.0),
        ],
    })
}

/// Starts runs as fast as it can and waits until the last has ended.
async fn many(
    setting: &Setting,
    token: &str,
    start: &str,
    admin: &mut PgConnection,
    runs: usize,
) -> Result<f64, Failure> {
    let before = completed(admin).await?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(&setting.server, Some(token)).await?);
    }
    let began = Instant::now();
    let each = clients.into_iter().map(|mut client| async move {
        for n in 0..runs / CONNECTIONS {
            client.post(start, &json!({ "input": { "n": n } })).await?.expect(201)?;
        }
        Ok::<_, Failure>(())
    });
    futures::future::try_join_all(each).await?;
    let expected = before + i64::try_from(runs / CONNECTIONS * CONNECTIONS)?;
    while completed(admin).await? < expected {
        if began.elapsed() > TIMEOUT {
            return Err(Failure::new("not every run has completed"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(per_second(runs / CONNECTIONS * CONNECTIONS, began.elapsed()))
}

async fn completed(admin: &mut PgConnection) -> Result<i64, Failure> {
    let query = "select count(*) from run where status = 'completed'";
    Ok(sqlx::query_scalar(query).fetch_one(admin).await?)
}

/// Repeatedly starts a run and waits for its end.
async fn one_at_a_time(person: &mut Person, start: &str) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::default();
    let path = format!("{start}?wait=10s");
    for n in 0..SINGLE {
        let sent = Instant::now();
        let run = person.client.post(&path, &json!({ "input": { "n": n } })).await?.json(201)?;
        latencies.add(sent.elapsed());
        if run["status"] != "completed" || run["outputs"]["n"] != n + 3 {
            return Err(Failure::new(format!("the run did not complete: {run}")));
        }
    }
    Ok(latencies)
}

/// Copies the rows of as many runs into the same tables without policies, with a commit for each hundred runs.
async fn bare_rate(admin: &mut PgConnection, runs: usize) -> Result<f64, Failure> {
    const COPIED: i64 = 100;
    admin
        .execute(
            "drop schema if exists bare cascade; create schema bare;
             create table bare.run (like public.run including all);
             create table bare.step_event (like public.step_event including all);
             create temporary table if not exists ids (n bigint, id uuid); truncate ids",
        )
        .await?;
    sqlx::query("insert into ids select row_number() over (), id from (select id from run where status = 'completed' limit $1) r")
        .bind(i64::try_from(runs)?)
        .execute(&mut *admin)
        .await?;
    let began = Instant::now();
    let (mut first, last) = (1, i64::try_from(runs)?);
    while first <= last {
        let statement = "with picked as materialized (select id from ids where n between $1 and $2),
            copied as (insert into bare.run select r.* from run r join picked using (id))
            insert into bare.step_event select e.* from step_event e join picked on picked.id = e.run_id";
        sqlx::query(statement).bind(first).bind(first + COPIED - 1).execute(&mut *admin).await?;
        first += COPIED;
    }
    Ok(per_second(runs, began.elapsed()))
}

/// Queries per second without any request.
async fn idle(admin: &mut PgConnection) -> Result<f64, Failure> {
    tokio::time::sleep(QUIET).await;
    let before = transactions(admin).await?;
    tokio::time::sleep(IDLE).await;
    Ok((transactions(admin).await? - before - 1.0).max(0.0) * QUERIES / IDLE.as_secs_f64())
}

async fn transactions(admin: &mut PgConnection) -> Result<f64, Failure> {
    let query = "select (xact_commit + xact_rollback)::float8 from pg_stat_database where datname = current_database()";
    Ok(sqlx::query_scalar(query).fetch_one(admin).await?)
}
