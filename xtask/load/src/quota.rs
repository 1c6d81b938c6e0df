//! Reservations of a quota: from the budgets that a process leases, beside one row update for each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Executor, PgConnection};
use tidegate_billing::{PlanLimits, PlanQuota};
use tidegate_kernel::{Limit, Meter, Quota, QuotaError, StoreError, WorkspaceScope};

use crate::embedding::Embedding;
use crate::failure::Failure;
use crate::measure::{Latencies, Metric, Report, per_second};
use crate::{Setting, prepare};

/// Callers that reserve at the same time.
const CALLERS: usize = 32;
const TENANTS: u128 = 100;
/// Processes that share the limit of one workspace.
const PROCESSES: usize = 4;
/// That limit.
const FEW: i64 = 20_000;

/// A limit that is far away for requests, and near for runs.
struct Limits;

#[async_trait]
impl PlanLimits for Limits {
    async fn limit(&self, _: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError> {
        Ok(Limit::AtMost(if meter == Meter::Runs { FEW } else { 1_000_000_000_000 }))
    }
}

fn process(on: &Embedding) -> PlanQuota {
    PlanQuota::new(Arc::new(Limits), Arc::new(on.store.clone()), on.env.clone())
}

/// What is measured in one round.
#[derive(Default)]
struct Figures {
    many: Vec<f64>,
    one: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    bare_many: Vec<f64>,
    bare_one: Vec<f64>,
    beyond: Vec<f64>,
    near: Vec<f64>,
}

/// Runs the benchmark.
pub(crate) async fn run(setting: &Setting, login: &str) -> Result<Report, Failure> {
    let on = Embedding::open(login).await?;
    let mut admin = prepare::admin(setting).await?;
    let bare = PgPoolOptions::new().max_connections(16).connect(&setting.admin_url).await?;
    let time = setting.time / 4;
    let workspaces = "insert into workspace (workspace_id, name, slug, created_at)
        select lpad(to_hex(n), 32, '0')::uuid, 'w', 'quota-' || n, now() from generate_series(1, $1::bigint) n";
    let all = i64::try_from(TENANTS)? + i64::try_from(setting.rounds)?;
    sqlx::query(workspaces).bind(all).execute(&mut admin).await?;
    let mut figures = Figures::default();
    for round in 0..setting.rounds as u128 {
        let (rate, mut latencies) = reserve(&on, TENANTS, time).await?;
        figures.many.push(rate);
        figures.p50.push(latencies.percentile(50));
        figures.p99.push(latencies.percentile(99));
        figures.bare_many.push(bare_rate(&mut admin, &bare, TENANTS, time).await?);
        figures.one.push(reserve(&on, 1, time).await?.0);
        figures.bare_one.push(bare_rate(&mut admin, &bare, 1, time).await?);
        let (reserved, rate) = near_the_limit(&on, TENANTS + round).await?;
        figures.near.push(rate);
        figures.beyond.push((reserved - FEW) as f64);
    }
    Ok(Report {
        bench: "quota",
        setting: format!("{CALLERS} callers; {PROCESSES} processes share a limit of {FEW}"),
        metrics: vec![
            Metric::new("100 tenants", "/s", figures.many).beside(&figures.bare_many).at_least(10_000.0),
            Metric::new("one tenant", "/s", figures.one).beside(&figures.bare_one).at_least(2_000.0),
            Metric::new("reserve, p50", "ms", figures.p50).below(0.2),
            Metric::new("reserve, p99", "ms", figures.p99).below(1.0),
            Metric::new("to the limit", "/s", figures.near),
            Metric::new("beyond the limit", "units", figures.beyond).below(1.0),
        ],
    })
}

/// Reserves and commits requests of the workspaces in turn. Returns how many a second, and how long each took.
async fn reserve(on: &Embedding, tenants: u128, time: Duration) -> Result<(f64, Latencies), Failure> {
    let quota = process(on);
    let system = on.issuer.system("a benchmark");
    let began = Instant::now();
    let callers = (0..CALLERS).map(|caller| {
        let quota = &quota;
        async move {
            let scopes = (0..tenants).map(|tenant| on.scope(tenant)).collect::<Result<Vec<_>, _>>()?;
            let mut latencies = Latencies::default();
            for scope in scopes.iter().cycle().skip(caller * 7) {
                if began.elapsed() >= time {
                    break;
                }
                let asked = Instant::now();
                quota.reserve(scope, Meter::ApiCalls, 1).await?.commit();
                latencies.add(asked.elapsed());
                // As the next request would.
                tokio::task::yield_now().await;
            }
            Ok::<_, Failure>(latencies)
        }
    });
    let seconds = async {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        loop {
            seconds.tick().await;
            if let Err(error) = quota.end_second(&system).await {
                return error;
            }
        }
    };
    let all = tokio::select! {
        all = futures::future::try_join_all(callers) => all?,
        error = seconds => return Err(error.into()),
    };
    let took = began.elapsed();
    let mut latencies = Latencies::default();
    all.into_iter().for_each(|of| latencies.merge(of));
    quota.close(&system).await?;
    Ok((per_second(latencies.count(), took), latencies))
}

/// Processes reserve runs of one workspace until the plan allows no more. Returns how many they reserved, and how many a
/// second.
async fn near_the_limit(on: &Embedding, workspace: u128) -> Result<(i64, f64), Failure> {
    let began = Instant::now();
    let processes: Vec<_> = (0..PROCESSES).map(|_| process(on)).collect();
    let system = on.issuer.system("a benchmark");
    let mut reserved = 0;
    // What one process gives back, another can reserve.
    for _ in 0..3 {
        let callers = processes.iter().flat_map(|quota| std::iter::repeat_n(quota, CALLERS / PROCESSES)).map(
            |quota| async move {
                let scope = on.scope(workspace)?;
                let mut reserved = 0;
                loop {
                    match quota.reserve(&scope, Meter::Runs, 1).await {
                        Ok(reservation) => reservation.commit(),
                        Err(QuotaError::Exceeded(_)) => return Ok::<i64, Failure>(reserved),
                        Err(QuotaError::Store(error)) => return Err(error.into()),
                    }
                    reserved += 1;
                    tokio::task::yield_now().await;
                }
            },
        );
        reserved += futures::future::try_join_all(callers).await?.into_iter().sum::<i64>();
        for quota in &processes {
            quota.close(&system).await?;
        }
        tokio::time::sleep(Duration::from_millis(1_100)).await;
    }
    Ok((reserved, per_second(usize::try_from(reserved)?, began.elapsed())))
}

/// The same without budgets: each reservation is one update of the row of its tenant.
async fn bare_rate(admin: &mut PgConnection, pool: &PgPool, tenants: u128, time: Duration) -> Result<f64, Failure> {
    admin
        .execute(
            "drop schema if exists bare cascade; create schema bare;
             create table bare.used (tenant bigint primary key, used bigint not null) with (fillfactor = 50);
             insert into bare.used select n, 0 from generate_series(0, 99) n",
        )
        .await?;
    let (tenants, began) = (i64::try_from(tenants)?, Instant::now());
    let callers = (0..16).map(|caller: i64| async move {
        let mut done = 0;
        while began.elapsed() < time {
            let update = "update bare.used set used = used + 1 where tenant = $1 and used < 1000000000000";
            sqlx::query(update).bind((caller * 7 + done) % tenants).execute(pool).await?;
            done += 1;
        }
        Ok::<i64, Failure>(done)
    });
    let done: i64 = futures::future::try_join_all(callers).await?.into_iter().sum();
    Ok(per_second(usize::try_from(done)?, began.elapsed()))
}
