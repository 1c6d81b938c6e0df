//! Batches of events into many workspaces, and the lag of detection.

use std::time::{Duration, Instant};

use sqlx::{Executor, PgConnection};
use uuid::Uuid;

use crate::events::{Event, Maker, TIME, digest, uuid};
use crate::failure::Failure;
use crate::http::Client;
use crate::measure::{Latencies, Metric, Report, per_second};
use crate::{Setting, prepare, story};

const CONNECTIONS: usize = 8;
const WORKSPACES: usize = 20;
const BATCH: usize = 100;
/// How long the benchmark waits for detection after a round.
const DETECTION: Duration = Duration::from_secs(600);

/// Runs the benchmark.
pub(crate) async fn run(setting: &Setting, window: u64) -> Result<Report, Failure> {
    let mut person = story::person(&setting.server).await?;
    let mut workspaces = Vec::new();
    for n in 0..WORKSPACES {
        workspaces.push(story::workspace(&mut person, &format!("ingest {n}")).await?);
    }
    if window > 0 {
        let mut admin = prepare::admin(setting).await?;
        let ids: Vec<Uuid> = sqlx::query_scalar("select workspace_id from workspace").fetch_all(&mut admin).await?;
        fill(&mut admin, window, &ids).await?;
        admin.execute(AS_IF_INGESTED).await?;
        fill(&mut prepare::bare(setting).await?, window, &(0..WORKSPACES).map(bare_workspace).collect::<Vec<_>>())
            .await?;
    }
    let (mut rates, mut p99, mut lags, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..setting.rounds {
        let (rate, mut latencies) = http_round(setting, &person.token, &workspaces, round).await?;
        rates.push(rate);
        p99.push(latencies.percentile(99));
        lags.push(until_detected(setting, &person.token, &workspaces).await?);
        bare.push(bare_round(setting, round).await?);
    }
    let share = Metric::share("share", &rates, &bare);
    let share = if window == 0 { share.at_least(0.35) } else { share.at_least(0.2) };
    Ok(Report {
        bench: "ingest",
        setting: format!(
            "batches of {BATCH}, {CONNECTIONS} connections, {WORKSPACES} workspaces, {window} keys in the window, {} s",
            setting.time.as_secs()
        ),
        metrics: vec![
            Metric::new("events", "/s", rates).beside(&bare),
            share,
            Metric::new("p99 of a batch", "ms", p99),
            Metric::new("detection behind", "s", lags).below(5.0),
        ],
    })
}

async fn http_round(
    setting: &Setting,
    token: &str,
    workspaces: &[String],
    round: usize,
) -> Result<(f64, Latencies), Failure> {
    let mut clients = Vec::new();
    for n in 0..CONNECTIONS {
        clients.push((n, Client::connect(&setting.server, Some(token)).await?));
    }
    let began = Instant::now();
    let each = clients.into_iter().map(|(n, mut client)| async move {
        let mut maker = Maker::new(format_args!("{round}/{n}"));
        let (mut latencies, mut body) = (Latencies::default(), String::new());
        for workspace in workspaces.iter().cycle().skip(n * WORKSPACES / CONNECTIONS) {
            if began.elapsed() >= setting.time {
                break;
            }
            maker.batch(BATCH, &mut body);
            let path = format!("/workspaces/{workspace}/events");
            let sent = Instant::now();
            let answer = client.send("POST", &path, "application/cloudevents-batch+json", body.as_bytes()).await?;
            latencies.add(sent.elapsed());
            let verdict = answer.json(202)?;
            if verdict["accepted"] != BATCH {
                return Err(Failure::new(format!("not all were accepted: {verdict}")));
            }
        }
        Ok::<_, Failure>(latencies)
    });
    let mut all = Latencies::default();
    for latencies in futures::future::try_join_all(each).await? {
        all.merge(latencies);
    }
    Ok((per_second(all.count() * BATCH, began.elapsed()), all))
}

/// The seconds from the last response until detection has read all events of every workspace.
async fn until_detected(setting: &Setting, token: &str, workspaces: &[String]) -> Result<f64, Failure> {
    let began = Instant::now();
    let mut client = Client::connect(&setting.server, Some(token)).await?;
    for workspace in workspaces {
        let newest = client.get(&format!("/workspaces/{workspace}/events?limit=1")).await?;
        newest.expect(200)?;
        // Sending an event that the workspace already has returns its position.
        let again = serde_json::from_slice::<serde_json::Value>(&newest.body)?["items"][0].clone();
        let again =
            serde_json::json!({ "specversion": "1.0", "id": again["id"], "source": again["source"], "type": "again" });
        let path = format!("/workspaces/{workspace}/events");
        let answer = client.send("POST", &path, "application/cloudevents+json", again.to_string().as_bytes()).await?;
        let head = answer.position.ok_or_else(|| Failure::new("ingest did not tell the position"))?;
        loop {
            let patterns = client.get(&format!("/workspaces/{workspace}/patterns?limit=1")).await?;
            patterns.expect(200)?;
            if patterns.position >= Some(head) {
                break;
            }
            if began.elapsed() > DETECTION {
                return Err(Failure::new(format!("detection is at {:?} of {head}", patterns.position)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Inserts the same rows into the same table with its indexes, as the superuser.
async fn bare_round(setting: &Setting, round: usize) -> Result<f64, Failure> {
    let mut connections = Vec::new();
    for n in 0..CONNECTIONS {
        connections.push((n, prepare::bare(setting).await?));
    }
    let millis: f64 = sqlx::query_scalar("select floor(extract(epoch from now()) * 1000)::float8")
        .fetch_one(&mut prepare::bare(setting).await?)
        .await?;
    let began = Instant::now();
    let each = connections.into_iter().map(|(n, mut connection)| async move {
        let mut maker = Maker::new(format_args!("{round}/{n}"));
        let mut written = 0;
        for workspace in (0..WORKSPACES).cycle().skip(n * WORKSPACES / CONNECTIONS) {
            if began.elapsed() >= setting.time {
                break;
            }
            let now = Duration::from_secs_f64(millis / 1000.0) + began.elapsed();
            let serial = u64::try_from((round * CONNECTIONS + n) << 32 | written)?;
            insert(&mut connection, workspace, now, serial, &mut maker).await?;
            written += BATCH;
        }
        Ok::<usize, Failure>(written)
    });
    let counts = futures::future::try_join_all(each).await?;
    Ok(per_second(counts.iter().sum(), began.elapsed()))
}

fn bare_workspace(n: usize) -> Uuid {
    Uuid::from_u128(n as u128 + 1)
}

async fn insert(
    connection: &mut PgConnection,
    workspace: usize,
    now: Duration,
    serial: u64,
    maker: &mut Maker,
) -> Result<(), Failure> {
    let workspace = bare_workspace(workspace);
    let events: Vec<Event> = (0..BATCH).map(|_| maker.next()).collect();
    let serials: Vec<u64> = (serial..).take(BATCH).collect();
    let millis = u64::try_from(now.as_millis())?;
    let texts = |of: fn(&Event) -> &str| events.iter().map(|event| of(event).to_owned()).collect::<Vec<_>>();
    let data: Vec<Vec<u8>> = events
        .iter()
        .map(|event| {
            let Event { actor, session, .. } = event;
            format!(r#"{{"actor":"{actor}","tool":"git","operation":"M","extension":"rs","session":"{session}"}}"#)
                .into_bytes()
        })
        .collect();
    sqlx::query(INSERT)
        .bind(workspace)
        .bind(serials.iter().map(|n| uuid(millis, *n)).collect::<Vec<_>>())
        .bind(serials.iter().map(|n| digest(*n)).collect::<Vec<_>>())
        .bind(texts(|event| event.kind))
        .bind(maker.source())
        .bind(texts(|event| &event.sender_id))
        .bind(texts(|event| &event.subject))
        .bind(texts(|event| &event.actor))
        .bind(texts(|event| &event.session))
        .bind(data)
        .bind(TIME)
        .execute(connection)
        .await?;
    Ok(())
}

const INSERT: &str = "
    insert into event (workspace_id, id, position, dedupe_key, type, source, sender_id, subject, time, actor, tool, session,
                       extension, data_content_type, data_kind, data)
    select $1, u.id, u.place, u.key, u.type, $5, u.sender_id, u.subject, $11::timestamptz, u.actor, 'git', u.session, 'rs',
           'application/json', 'json', u.data
    from unnest($2::uuid[], $3::uuid[], $4::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[])
         with ordinality u (id, key, type, sender_id, subject, actor, session, data, place)";

/// Fills the dedupe window of these workspaces with events of the previous hour.
async fn fill(admin: &mut PgConnection, rows: u64, workspaces: &[Uuid]) -> Result<(), Failure> {
    let (rows, chunk) = (i64::try_from(rows)?, 100_000);
    let mut first = 1;
    while first <= rows {
        sqlx::query(FILL)
            .bind(first)
            .bind(rows.min(first + chunk - 1))
            .bind(rows)
            .bind(workspaces)
            .execute(&mut *admin)
            .await?;
        first += chunk;
    }
    admin.execute("vacuum analyze event").await?;
    admin.execute("checkpoint").await?;
    Ok(())
}

const FILL: &str = "
    insert into event (workspace_id, id, position, dedupe_key, type, source, sender_id, subject, time, actor, tool, session,
                       extension, data_kind, data)
    select ($4::uuid[])[1 + n % cardinality($4)],
           event_id(((extract(epoch from now()) - 3600) * 1000)::bigint + n * 3600000 / $3, n, 0), n, gen_random_uuid(),
           'file.modified', '/bench', n::text, 'src/module' || n % 97 || '/file' || n % 13 || '.rs', now(), 'person-' || n % 40,
           'git', (n / 5)::text, 'rs', 'json', convert_to('{\"operation\":\"M\",\"n\":' || n || '}', 'UTF8')
    from generate_series($1::bigint, $2::bigint) n";

/// Sets the heads of the workspaces behind what [`fill`] has written, and all consumers to the head.
const AS_IF_INGESTED: &str = "
    insert into workspace_head (workspace_id, position, last_ms, period_start)
    select workspace_id, max(position), extract(epoch from now())::bigint * 1000, date_trunc('month', now())
    from event group by workspace_id;
    insert into event_consumer (workspace_id, consumer, position)
    select workspace_id, consumer, position from workspace_head, unnest(array['detection', 'triggers']) consumer";
