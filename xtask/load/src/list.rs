//! The first page of a workspace with many events.

use std::time::Instant;

use sqlx::{Executor, PgConnection};
use uuid::Uuid;

use crate::failure::Failure;
use crate::measure::{Latencies, Metric, Report, hammer};
use crate::{Setting, prepare, story};

const CONNECTIONS: usize = 16;
/// Rows in one statement while the workspace is filled.
const CHUNK: i64 = 50_000;
/// The number of event types, which take turns.
const TYPES: i64 = 20;

/// Runs the benchmark.
pub(crate) async fn run(setting: &Setting, rows: u64) -> Result<Report, Failure> {
    let mut person = story::person(&setting.server).await?;
    let id = story::workspace(&mut person, "list").await?;
    let mut admin = prepare::admin(setting).await?;
    let workspace = fill(&mut admin, i64::try_from(rows)?).await?;
    let path = format!("/workspaces/{id}/events?type=bench.kind7&limit=50");
    let page = person.client.get(&path).await?.json(200)?;
    if page["items"].as_array().map(Vec::len) != Some(50) {
        return Err(Failure::new(format!("expected a page of 50, got {page}")));
    }
    let (mut rates, mut p50, mut p99, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.rounds {
        let (rate, mut latencies) = hammer(&setting.server, &person.token, CONNECTIONS, setting.time, &path).await?;
        rates.push(rate);
        p50.push(latencies.percentile(50));
        p99.push(latencies.percentile(99));
        bare.push(bare_p99(setting, workspace).await?);
    }
    Ok(Report {
        bench: "list",
        setting: format!(
            "the newest 50 of a type, {rows} events, {CONNECTIONS} connections, {} s",
            setting.time.as_secs()
        ),
        metrics: vec![
            Metric::new("p99", "ms", p99).beside(&bare).below(25.0),
            Metric::new("p50", "ms", p50),
            Metric::new("requests", "/s", rates),
        ],
    })
}

/// Fills the only workspace with events of the last hour.
async fn fill(admin: &mut PgConnection, rows: i64) -> Result<Uuid, Failure> {
    let workspace: Uuid = sqlx::query_scalar("select workspace_id from workspace").fetch_one(&mut *admin).await?;
    let mut first = 1;
    while first <= rows {
        sqlx::query(FILL)
            .bind(workspace)
            .bind(first)
            .bind(rows.min(first + CHUNK - 1))
            .bind(rows)
            .bind(TYPES)
            .execute(&mut *admin)
            .await?;
        first += CHUNK;
    }
    sqlx::query("update workspace_head set position = $2 where workspace_id = $1")
        .bind(workspace)
        .bind(rows)
        .execute(&mut *admin)
        .await?;
    admin.execute("vacuum analyze event").await?;
    Ok(workspace)
}

/// Inserts rows in the same form as ingest.
const FILL: &str = "
    insert into event (workspace_id, id, position, dedupe_key, type, source, sender_id, subject, time, actor, tool, session,
                       extension, data_kind, data)
    select $1, event_id(((extract(epoch from now()) - 3600) * 1000)::bigint + n * 3600000 / $4, n, 0), n, gen_random_uuid(),
           'bench.kind' || n % $5, '/bench', n::text, 'src/module' || n % 300 || '/file' || n % 7 || '.rs', now(),
           'person-' || n % 40, 'git', (n / 5)::text, 'rs', 'json', convert_to('{\"operation\":\"M\",\"n\":' || n || '}', 'UTF8')
    from generate_series($2::bigint, $3::bigint) n";

/// The same rows over as many connections, without policies and HTTP.
async fn bare_p99(setting: &Setting, workspace: Uuid) -> Result<f64, Failure> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(prepare::admin(setting).await?);
    }
    let began = Instant::now();
    let each = connections.into_iter().map(|mut connection| async move {
        let mut latencies = Latencies::default();
        while began.elapsed() < setting.time / 2 {
            let sent = Instant::now();
            sqlx::query("select * from event where workspace_id = $1 and type = $2 order by id desc limit 50")
                .bind(workspace)
                .bind("bench.kind7")
                .fetch_all(&mut connection)
                .await?;
            latencies.add(sent.elapsed());
        }
        Ok::<_, Failure>(latencies)
    });
    let mut all = Latencies::default();
    for latencies in futures::future::try_join_all(each).await? {
        all.merge(latencies);
    }
    Ok(all.percentile(99))
}
