//! A caller that gives up while a transaction is being opened leaves nothing behind on the connection.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tidegate_kernel::{SystemScope, UnitOfWork, WorkspaceId, WorkspaceScope};
use tidegate_postgres::{PgStore, PgStoreConfig};
use tidegate_tenancy::{DirectoryTx, TenancyTx, WorkspaceDeletion};
use tidegate_testing::scope::{system_scope, workspace_scope};
use tidegate_testing::{TestDatabase, test_environment};

/// Polls a future until it was pending `waits` times, and then drops it and returns `None`.
struct GiveUp<F> {
    future: Pin<Box<F>>,
    waits: usize,
}

impl<F: Future> Future for GiveUp<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.waits == 0 => Poll::Ready(None),
            Poll::Pending => {
                self.waits -= 1;
                Poll::Pending
            }
        }
    }
}

/// Gives up at the first await point of `begin`, then at the second, and so on until it completes. Runs `check` each
/// time.
async fn at_every_await_point<F: Future>(mut begin: impl FnMut() -> F, mut check: impl AsyncFnMut()) -> usize {
    for waits in 0.. {
        let finished = pin!(GiveUp { future: Box::pin(begin()), waits }).await.is_some();
        check().await;
        if finished {
            return waits;
        }
    }
    unreachable!("the loop has no end")
}

/// Checks that the connection sees only what the next transaction was opened for.
async fn the_connection_is_clean(store: &PgStore, workspace: WorkspaceId) {
    let scope = workspace_scope(workspace);
    let mut tx: Box<dyn TenancyTx> =
        UnitOfWork::<dyn TenancyTx, WorkspaceScope>::begin(store, &scope).await.expect("the connection is free again");
    let seen = tx.workspace().get().await.expect("the role may read its workspace");
    assert_eq!(seen.map(|seen| seen.id), Some(workspace));
    tx.commit().await.expect("it commits");
    let mut tx: Box<dyn DirectoryTx> =
        UnitOfWork::<dyn DirectoryTx, SystemScope>::begin(store, &system_scope()).await.expect("it is free again");
    assert_eq!(tx.people().find(&[]).await.expect("the role may read people"), []);
}

#[tokio::test]
async fn a_begin_that_is_given_up_hands_no_dirty_connection_on() {
    let database = TestDatabase::new().await;
    let env = test_environment();
    let (theirs, ours) = (database.workspace(&env).await, database.workspace(&env).await);
    let config = PgStoreConfig { max_connections: 1, ..PgStoreConfig::served(database.url()) };
    let store = PgStore::connect(&config, env).await.expect("the store connects");

    let scope = workspace_scope(theirs);
    let begin = || UnitOfWork::<dyn TenancyTx, WorkspaceScope>::begin(&store, &scope);
    let waits = at_every_await_point(begin, async || the_connection_is_clean(&store, ours).await).await;
    assert!(waits > 0, "a begin that never waits was not cancelled");

    let system = system_scope();
    let begin = || UnitOfWork::<dyn DirectoryTx, SystemScope>::begin(&store, &system);
    at_every_await_point(begin, async || the_connection_is_clean(&store, ours).await).await;
}

#[tokio::test]
async fn a_use_that_is_given_up_is_rolled_back() {
    let database = TestDatabase::new().await;
    let env = test_environment();
    let (theirs, ours) = (database.workspace(&env).await, database.workspace(&env).await);
    let config = PgStoreConfig { max_connections: 1, ..PgStoreConfig::served(database.url()) };
    let store = PgStore::connect(&config, env.clone()).await.expect("the store connects");

    let scope = workspace_scope(theirs);
    let delete = || async {
        let mut tx = UnitOfWork::<dyn TenancyTx, WorkspaceScope>::begin(&store, &scope).await.expect("it begins");
        let deletion = WorkspaceDeletion { deleted_at: env.now(), erase_at: env.now() };
        tx.workspace().delete(&deletion).await.expect("it is deleted, and not committed");
    };
    at_every_await_point(delete, async || the_connection_is_clean(&store, ours).await).await;
    the_connection_is_clean(&store, theirs).await;
}
