//! What a deleted workspace has left goes, from every table, and nothing of a neighbour goes with it.

use std::sync::Arc;

use chrono::TimeDelta;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tidegate_engine::erasure::{ErasedTable, ErasureParts, WorkspaceErasure, erase_when_due};
use tidegate_kernel::{UnitOfWork, WorkspaceId, WorkspaceScope};
use tidegate_postgres::PgStore;
use tidegate_tenancy::{TenancyTx, WorkspaceDeletion};
use tidegate_testing::scope::{system_scope, workspace_scope};
use tidegate_testing::{TestDatabase, test_environment};
use tokio_util::sync::CancellationToken;

/// Rows in every table of tenants, for the workspace `:w`. A table that none of these fills fails the test: add a line for it.
/// There are more events, steps and pairs than a slice takes, and they lie in several partitions.
const FILL: &[&str] = &[
    "insert into membership values (:w, gen_random_uuid(), 'owner', now()), (:w, gen_random_uuid(), 'viewer', now())",
    "insert into api_key (workspace_id, id, name, visible, scopes, created_by, created_at)
     select :w, gen_random_uuid(), 'key', 'tg_', '{}', gen_random_uuid(), now() from generate_series(1, 3)",
    "insert into locator (workspace_id, kind, digest, object_id)
     select :w, 'api_key', sha256((:w || n::text)::bytea), id from (select id, row_number() over () n from api_key where workspace_id = :w) k",
    "insert into audit_entry (workspace_id, id, at, actor_kind, action, resource, details, request_id)
     select :w, gen_random_uuid(), now(), 'system', 'a', 'b', '{}', 'r' from generate_series(1, 2500)",
    "insert into workspace_head (workspace_id, position, period_start) values (:w, 2500, now())",
    "insert into event_period values (:w, now(), 1), (:w, now() - interval '1 month', 2)",
    "insert into event (workspace_id, id, position, dedupe_key, type, source, sender_id, time)
     select :w, event_id((extract(epoch from now()) * 1000)::bigint - (n % 2) * 2764800000, n, 0), n, gen_random_uuid(), 'a', 'b', n::text, now()
     from generate_series(1, 2500) n",
    "insert into event_batch select :w, n, event_id((extract(epoch from now()) * 1000)::bigint, n, 0) from generate_series(1, 30) n",
    "insert into event_consumer values (:w, 'detection', 1), (:w, 'triggers', 1)",
    "insert into workspace_plan values (:w, 'free', 1, now())",
    "insert into usage_counter values (:w, 'runs', now(), 1)",
    "insert into workflow (workspace_id, id, name, revision, latest_version, created_at, updated_at)
     select :w, gen_random_uuid(), 'w' || n, 1, 1, now(), now() from generate_series(1, 20) n",
    "insert into workflow_version (workspace_id, workflow_id, version, name, format, source, created_at)
     select :w, id, 1, name, 'yaml', '', now() from workflow where workspace_id = :w",
    "update workflow set published_version = 1 where workspace_id = :w",
    "insert into cron_trigger select :w, id, 0, 1, now() + interval '1 year' from workflow where workspace_id = :w",
    "insert into event_trigger select :w, id, 0, 1, 'a', 0 from workflow where workspace_id = :w",
    "insert into workspace_slot (workspace_id, slot) values (:w, 1)",
    "insert into run (workspace_id, id, workflow_id, version, shard, status, trigger, input, depth, request_id, created_at)
     select :w, event_id((extract(epoch from now()) * 1000)::bigint - (n % 2) * 2764800000, n, 0), gen_random_uuid(), 1, 1, 'cancelled', '{}', '{}', 0, 'r', now()
     from generate_series(1, 300) n",
    "insert into step_event (workspace_id, run_id, seq, at, kind, body)
     select :w, id, seq, now(), 'k', '' from run, generate_series(0, 9) seq where workspace_id = :w",
    "insert into run_journal select :w, id, 0, now(), '' from run where workspace_id = :w limit 10",
    "insert into run_key select :w, workflow_id, 'k', id, '', now() from run where workspace_id = :w limit 10",
    "insert into ready (workspace_id, run_id, shard) select :w, id, 1 from run where workspace_id = :w limit 3",
    "insert into lease (workspace_id, run_id, shard, epoch, next_seq) values (:w, gen_random_uuid(), 1, 1, 0)",
    "insert into timer values (:w, gen_random_uuid(), 0, 1, now() + interval '1 year', 1)",
    "insert into gate_hold values (:w, gen_random_uuid(), 'g', 1)",
    "insert into blocked (workspace_id, gate, run_id, shard) values (:w, 'g', gen_random_uuid(), 1)",
    "insert into run_quarantine values (:w, gen_random_uuid(), 1, 'refused', 'an error', now())",
    "insert into job (workspace_id, id, shard, kind, payload, priority, is_unique, attempts, created_at, cancelled, request_id)
     select :w, gen_random_uuid(), 1, 'k', '{}', 1, false, 0, now(), false, 'r' from generate_series(1, 5)",
    "insert into job_ready (workspace_id, job_id, shard, kind, priority, is_unique, attempts, since)
     values (:w, gen_random_uuid(), 1, 'k', 1, false, 0, now())",
    "insert into job_later values (:w, gen_random_uuid(), 1, 'k', 1, now() + interval '1 year', false, 0)",
    "insert into job_lease values (:w, gen_random_uuid(), 1, 1, 'k', 1, 0)",
    "insert into job_dead values (:w, gen_random_uuid(), 1, 'k', 1, 'an error', now())",
    "insert into run_signal values (:w, gen_random_uuid(), gen_random_uuid(), 1, 'cancel', now())",
    "insert into pattern_totals values (:w, 1, 1, 1, 0)",
    "insert into pattern_term select :w, gen_random_uuid(), n::text from generate_series(1, 1500) n",
    "insert into pattern (workspace_id, id, kind, a, b, support, days, gap_ms)
     select :w, gen_random_uuid(), 'sequence', gen_random_uuid(), gen_random_uuid(), n, 0, 0 from generate_series(1, 50) n",
    "insert into pattern_subject values (:w, gen_random_uuid(), 1, 1)",
    "insert into pattern_day select :w, 'all', gen_random_uuid(), '2026-01-01', 1, now(), now(), gen_random_uuid() from generate_series(1, 5)",
    "insert into pattern_member select :w, gen_random_uuid(), gen_random_uuid(), now(), gen_random_uuid() from generate_series(1, 5)",
    "insert into pattern_oversized values (:w, gen_random_uuid())",
    "insert into pattern_link select :w, gen_random_uuid(), now(), gen_random_uuid(), gen_random_uuid() from generate_series(1, 5)",
    "insert into suggestion (workspace_id, id, rule, pattern_id, basis, confidence, support, facts, status, offered_at)
     values (:w, gen_random_uuid(), 'r', gen_random_uuid(), gen_random_uuid(), 1, 1, '', 'open', now())",
    "insert into idempotency_key (workspace_id, actor_id, digest, fingerprint, claimed_until, kept_until)
     values (:w, gen_random_uuid(), sha256('a'), sha256('b'), now(), now())",
];

async fn fill(admin: &mut PgConnection, workspace: WorkspaceId) {
    let id = format!("'{}'::uuid", workspace.as_uuid());
    for statement in FILL {
        let statement = statement.replace(":w", &id);
        let done = admin.execute(AssertSqlSafe(statement.clone())).await;
        assert!(done.is_ok(), "{statement}: {done:?}");
    }
}

/// Every table that has a `workspace_id`, partitions aside.
async fn tenant_tables(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace_id'
         where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(admin)
    .await
    .expect("the catalog can be read")
}

/// How many rows of a workspace each table has, and a digest of them.
async fn held(admin: &mut PgConnection, workspace: WorkspaceId) -> Vec<(String, i64, Option<String>)> {
    let mut held = Vec::new();
    for table in tenant_tables(admin).await {
        let sql = format!(
            "select count(*), md5(string_agg(t::text, '|' order by t::text)) from {table} t where workspace_id = '{}'",
            workspace.as_uuid()
        );
        let (rows, digest) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *admin).await.expect("it is read");
        held.push((table, rows, digest));
    }
    held
}

async fn delete(store: &PgStore, workspace: WorkspaceId, erase_after: TimeDelta) {
    let now = test_environment().now();
    let deletion = WorkspaceDeletion { deleted_at: now, erase_at: now + erase_after };
    let scope = workspace_scope(workspace);
    let mut tx: Box<dyn TenancyTx> =
        UnitOfWork::<dyn TenancyTx, WorkspaceScope>::begin(store, &scope).await.expect("a transaction begins");
    assert!(tx.workspace().delete(&deletion).await.expect("it is deleted"));
    tx.commit().await.expect("it commits");
}

/// Lets a server erase until nothing waits any more.
async fn erase_all(store: &Arc<PgStore>) {
    let parts = ErasureParts {
        store: store.clone(),
        env: test_environment(),
        scope: system_scope(),
        report: |_, failed| assert_eq!(failed, 0, "everything can be erased"),
    };
    let stop = CancellationToken::new();
    let erasing = tokio::spawn(erase_when_due(parts, stop.clone()));
    let done = async {
        while store.outlook(&system_scope(), test_environment().now(), 1).await.expect("what waits").waiting > 0 {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), done).await.expect("it is erased in time");
    stop.cancel();
    erasing.await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_is_erased_and_no_neighbours_row() {
    let database = TestDatabase::new().await;
    let env = test_environment();
    let store = Arc::new(database.store(env.clone()).await);
    let (doomed, neighbour) = (database.workspace(&env).await, database.workspace(&env).await);
    let mut admin = database.admin().await;
    for workspace in [doomed, neighbour] {
        fill(&mut admin, workspace).await;
    }
    delete(&store, doomed, TimeDelta::zero()).await;
    let before = held(&mut admin, neighbour).await;
    for (table, rows, _) in held(&mut admin, doomed).await {
        assert!(rows > 0, "nothing fills {table}; add a line to FILL");
    }

    erase_all(&store).await;

    let left: Vec<_> = held(&mut admin, doomed).await.into_iter().filter(|(_, rows, _)| *rows > 0).collect();
    assert!(left.iter().all(|(table, ..)| table == "usage_counter"), "left behind: {left:?}");
    assert_eq!(held(&mut admin, neighbour).await, before);
}

#[tokio::test]
async fn one_of_several_servers_erases_a_workspace_at_a_time() {
    let database = TestDatabase::new().await;
    let env = test_environment();
    let store = database.store(env.clone()).await;
    let doomed = database.workspace(&env).await;
    delete(&store, doomed, TimeDelta::zero()).await;
    let table = ErasedTable { name: "event".to_owned(), key: vec!["id".to_owned()] };
    let mut other = database.admin().await;
    other.execute("begin").await.unwrap();
    other.execute("select from workspace_erasure for update").await.unwrap();
    assert_eq!(store.erase(&system_scope(), doomed, env.now(), &table, 10).await.unwrap(), None);
    assert!(!store.finish(&system_scope(), doomed, env.now()).await.unwrap());
    // The other server is killed.
    drop(other);
    let taken = async {
        while store.erase(&system_scope(), doomed, env.now(), &table, 10).await.expect("an answer").is_none() {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), taken).await.expect("the next one goes on");
}

/// The engine's role, with a batch of every workspace, sees what deleted ones have left and no more.
#[tokio::test]
async fn the_engine_sees_no_living_workspace_of_what_it_only_erases() {
    let database = TestDatabase::new().await;
    let env = test_environment();
    let store = database.store(env.clone()).await;
    let (doomed, neighbour) = (database.workspace(&env).await, database.workspace(&env).await);
    let mut admin = database.admin().await;
    for workspace in [doomed, neighbour] {
        fill(&mut admin, workspace).await;
    }
    delete(&store, doomed, TimeDelta::days(1)).await;
    let declared = format!("'{{{},{}}}'", doomed.as_uuid(), neighbour.as_uuid());
    for (set, rows) in [(declared.as_str(), 2500), ("''", 0)] {
        let begin = format!("begin; set local role tidegate_engine; set local app.workspace_ids = {set}");
        admin.execute(AssertSqlSafe(begin)).await.unwrap();
        for table in ["event", "audit_entry"] {
            let sql = format!(
                "select count(*), count(*) filter (where workspace_id = '{}') from {table}",
                neighbour.as_uuid()
            );
            let (all, living): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut admin).await.unwrap();
            assert!(all >= rows && all <= rows + 1 && living == 0, "{table}: {all}, {living}");
        }
        admin.execute("rollback").await.unwrap();
    }
}
