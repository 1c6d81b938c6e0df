//! `GET /auth/me`, whose authentication every other request shares, and failed logins.

use std::time::Instant;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::failure::Failure;
use crate::measure::{Metric, Report, hammer, per_second};
use crate::{Setting, login, prepare, story};

const CONNECTIONS: usize = 16;

/// Runs the benchmark.
pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let person = story::person(&setting.server).await?;
    let (mut rates, mut p99, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.rounds {
        let (rate, mut latencies) =
            hammer(&setting.server, &person.token, CONNECTIONS, setting.time, "/auth/me").await?;
        rates.push(rate);
        p99.push(latencies.percentile(99));
        bare.push(bare_rate(setting).await?);
    }
    let mut metrics =
        vec![Metric::new("requests", "/s", rates).beside(&bare).at_least(8000.0), Metric::new("p99", "ms", p99)];
    metrics.extend(login::run(setting, story::EMAIL).await?);
    Ok(Report {
        bench: "auth",
        setting: format!("GET /auth/me, {CONNECTIONS} connections, {} s", setting.time.as_secs()),
        metrics,
    })
}

/// The rate at which PostgreSQL alone can read the person by id, over as many connections.
async fn bare_rate(setting: &Setting) -> Result<f64, Failure> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(prepare::admin(setting).await?);
    }
    let began = Instant::now();
    let each = connections.into_iter().map(|mut connection: PgConnection| async move {
        let id: Uuid = sqlx::query_scalar("select id from person").fetch_one(&mut connection).await?;
        let mut count = 0;
        while began.elapsed() < setting.time / 2 {
            sqlx::query_as::<_, (String, String)>("select email, name from person where id = $1")
                .bind(id)
                .fetch_one(&mut connection)
                .await?;
            count += 1;
        }
        Ok::<usize, Failure>(count)
    });
    let counts = futures::future::try_join_all(each).await?;
    Ok(per_second(counts.iter().sum(), began.elapsed()))
}
