//! Erasure removes the rows of a deleted workspace from every table, and none of its neighbour's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tidegate_engine::erasure::{ErasedTable, ErasureParts, WorkspaceErasure, WorkspaceObjects, erase_when_due};
use tidegate_engine::model::ShardId;
use tidegate_kernel::{Environment, UnitOfWork, WorkspaceId, WorkspaceScope};
use tidegate_postgres::PgStore;
use tidegate_tenancy::{TenancyTx, WorkspaceDeletion};
use tidegate_testing::catalog::lists::NOT_ERASED;
use tidegate_testing::clock::test_clock;
use tidegate_testing::scope::{system_scope, workspace_scope};
use tidegate_testing::{TestDatabase, test_environment};
use tokio_util::sync::CancellationToken;

use crate::fill::Fill;

/// The number of rows of each kind: more than one slice erases.
const ROWS: i64 = 2_500;

/// A published workflow of the workspace `:w`, and its events and runs in the previous partition.
const BESIDES: &str = "
    update workflow w set published_version = 1 where workspace_id = :w and exists (
        select from workflow_version v where v.workspace_id = w.workspace_id and v.workflow_id = w.id and v.version = 1);
    insert into event (workspace_id, id, position, dedupe_key, type, source, sender_id, time)
    select :w, event_id((extract(epoch from now()) * 1000)::bigint - 2764800000, n, 0), -n, gen_random_uuid(), 'a', 'b', n::text, now()
    from generate_series(1, 10) n;
    insert into run (workspace_id, id, workflow_id, version, shard, status, trigger, input, depth, request_id, created_at)
    select :w, event_id((extract(epoch from now()) * 1000)::bigint - 2764800000, n, 0), gen_random_uuid(), 1, 1, 'cancelled', '{}', '{}', 0, 'r', now()
    from generate_series(1, 10) n";

/// A workspace with rows in every table, and a neighbour like it.
async fn filled(database: &TestDatabase, env: &Environment) -> (WorkspaceId, WorkspaceId) {
    let doomed = database.workspace(env).await;
    database.run(Fill { workspace: doomed, rows: ROWS, shard: ShardId(1), due: 0 }.sql()).await;
    let neighbour = sqlx::query_scalar("select workspace_id from workspace where workspace_id <> $1 limit 1");
    let neighbour = neighbour.bind(doomed.as_uuid()).fetch_one(&mut database.admin().await).await;
    let neighbour = WorkspaceId::from_uuid(neighbour.expect("the workspace of somebody else"));
    for workspace in [doomed, neighbour] {
        database.run(BESIDES.replace(":w", &format!("'{}'::uuid", workspace.as_uuid()))).await;
    }
    assert_eq!(database.count("select count(*) from workflow where published_version = 1".to_owned()).await, 2);
    (doomed, neighbour)
}

/// Every table with a `workspace_id`, without partitions.
async fn tenant_tables(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace_id'
         where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(admin)
    .await
    .expect("the catalog can be read")
}

/// The number of rows of a workspace in each table, with a digest of them.
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

/// Erases until nothing is due.
async fn erase_all(store: &Arc<PgStore>) {
    let parts = ErasureParts {
        objects: None,
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
    let (doomed, neighbour) = filled(&database, &env).await;
    let mut admin = database.admin().await;
    delete(&store, doomed, TimeDelta::zero()).await;
    let before = held(&mut admin, neighbour).await;
    for (table, rows, _) in held(&mut admin, doomed).await.iter().chain(&before) {
        let filled = *rows > 0 || table == "workspace_erasure";
        assert!(filled, "nothing fills {table}; add a line to fill.sql");
    }

    erase_all(&store).await;

    let left: Vec<_> = held(&mut admin, doomed).await.into_iter().filter(|(_, rows, _)| *rows > 0).collect();
    let kept = |table: &String| NOT_ERASED.iter().any(|(kept, _)| kept == table);
    assert!(left.iter().all(|(table, ..)| kept(table)), "left behind: {left:?}");
    assert_eq!(held(&mut admin, neighbour).await, before);
}

/// Objects that cannot be erased at first.
struct Objects {
    failures: AtomicUsize,
    left: AtomicUsize,
}

#[async_trait]
impl WorkspaceObjects for Objects {
    async fn erase_some(&self, _: &WorkspaceScope) -> Result<usize, String> {
        let one_less = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
            return Err("the bucket is away".to_owned());
        }
        Ok(usize::from(self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()))
    }
}

/// A workspace whose objects cannot be erased waits with its error, and goes when none is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_goes_after_its_last_object() {
    let database = TestDatabase::new().await;
    let (clock, env) = test_clock();
    let store = Arc::new(database.store(env.clone()).await);
    let doomed = database.workspace(&env).await;
    delete(&store, doomed, TimeDelta::zero()).await;
    clock.advance(TimeDelta::minutes(1));
    let objects = Arc::new(Objects { failures: AtomicUsize::new(1), left: AtomicUsize::new(3) });
    let parts = ErasureParts {
        store: store.clone(),
        objects: Some(objects.clone()),
        env,
        scope: system_scope(),
        report: |_, _| {},
    };
    let stop = CancellationToken::new();
    let erasing = tokio::spawn(erase_when_due(parts, stop.clone()));
    let until = async |sql: &str, count| {
        let reached = async { while database.count(sql.to_owned()).await != count {} };
        tokio::time::timeout(std::time::Duration::from_secs(60), reached).await.expect(sql);
    };
    until("select count(*) from workspace_erasure where error like '%the bucket is away%'", 1).await;
    assert_eq!(database.count("select count(*) from workspace".to_owned()).await, 1, "it waits");
    clock.advance(TimeDelta::minutes(11));
    until("select count(*) from workspace_erasure", 0).await;
    assert_eq!(objects.left.load(Ordering::Relaxed), 0, "no object is left");
    assert_eq!(database.count("select count(*) from workspace".to_owned()).await, 0);
    stop.cancel();
    erasing.await.expect("it ends");
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

/// The engine's role, with all workspaces declared, sees the rows of deleted ones only.
#[tokio::test]
async fn the_engine_sees_no_living_workspace_of_what_it_only_erases() {
    let database = TestDatabase::new().await;
    let env = test_environment();
    let store = database.store(env.clone()).await;
    let (doomed, neighbour) = filled(&database, &env).await;
    let mut admin = database.admin().await;
    delete(&store, doomed, TimeDelta::days(1)).await;
    let declared = format!("'{{{},{}}}'", doomed.as_uuid(), neighbour.as_uuid());
    for (set, rows) in [(declared.as_str(), ROWS), ("''", 0)] {
        let begin = format!("begin; set local role tidegate_engine; set local app.workspace_ids = {set}");
        admin.execute(AssertSqlSafe(begin)).await.unwrap();
        for table in ["event", "audit_entry"] {
            let sql = format!(
                "select count(*), count(*) filter (where workspace_id = '{}') from {table}",
                neighbour.as_uuid()
            );
            let (all, living): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut admin).await.unwrap();
            assert!(all >= rows && all <= rows + 10 && living == 0, "{table}: {all}, {living}");
        }
        admin.execute("rollback").await.unwrap();
    }
}
