//! The guarantees of the ingest queue.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::executor::block_on;
use futures::{join, poll};
use tidegate_kernel::{
    Actor, Clock, Entropy, EventId, Jobs, PageSize, PermissionSet, RequestId, Reservation, ScopeIssuer, Transaction,
};

use super::*;
use crate::cloud_event::{Rejection, RejectionCode};
use crate::model::{Allowance, EventFilter, StoredEvent};
use crate::ports::{Added, EventRepository};
use crate::service::{Events, MAX_CHAIN};

/// A store that remembers its keys, waits at its gate and counts its statements.
#[derive(Default)]
struct Store {
    gate: futures::lock::Mutex<()>,
    kept: Mutex<Vec<DedupeKey>>,
    statements: Mutex<Vec<usize>>,
    failures: AtomicUsize,
    /// After this is set to 1, all statements from the second one on fail.
    fails_after: AtomicUsize,
    limit: AtomicI64,
}

struct Tx(Arc<Store>);

struct Kept<'t>(&'t Store);

struct Fake(Arc<Store>);

#[async_trait]
impl UnitOfWork<dyn EventsTx> for Fake {
    async fn begin(&self, _: &WorkspaceScope) -> Result<Box<dyn EventsTx>, StoreError> {
        self.0.gate.lock().await;
        Ok(Box::new(Tx(Arc::clone(&self.0))))
    }
}

#[async_trait]
impl Transaction for Tx {
    fn jobs(&mut self) -> Box<dyn Jobs + '_> {
        panic!("the queue of events enqueues no job")
    }

    fn hold(&mut self, _: Reservation) {
        panic!("the queue of events reserves no quota")
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

impl EventsTx for Tx {
    fn events(&mut self) -> Box<dyn EventRepository + '_> {
        Box::new(Kept(&self.0))
    }
}

#[async_trait]
impl EventRepository for Kept<'_> {
    async fn add(&mut self, addition: &Addition<'_>) -> Result<Added, StoreError> {
        let store = &self.0;
        if store.failures.load(Ordering::SeqCst) > 0 {
            store.failures.fetch_sub(1, Ordering::SeqCst);
            return Err(StoreError::Unavailable("gone".into()));
        }
        match store.fails_after.load(Ordering::SeqCst) {
            0 => {}
            1 => store.fails_after.store(2, Ordering::SeqCst),
            _ => return Err(StoreError::Unavailable("gone".into())),
        }
        lock(&store.statements).push(addition.events.len());
        let mut kept = lock(&store.kept);
        let outcomes = addition.events.iter().map(|event| {
            let key = event.dedupe_key();
            let next = i64::try_from(kept.len()).unwrap() + 1;
            if kept.contains(&key) {
                Outcome::Known
            } else if addition.allowance.limit.is_some_and(|limit| next > limit) {
                Outcome::OverLimit
            } else {
                kept.push(key);
                Outcome::Added(Position(next))
            }
        });
        let outcomes = outcomes.collect();
        let used = kept.len().try_into().unwrap();
        Ok(Added { used, head: Position(used), outcomes })
    }
    async fn add_uncounted(&mut self, _: &Addition<'_>) -> Result<(), StoreError> {
        panic!("the queue counts all events")
    }
    async fn head(&mut self) -> Result<Position, StoreError> {
        Ok(Position(lock(&self.0.kept).len().try_into().unwrap()))
    }
    async fn list(&mut self, _: &EventFilter, _: Option<EventId>, _: PageSize) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(Vec::new())
    }
    async fn find(&mut self, _: &[EventId]) -> Result<Vec<StoredEvent>, StoreError> {
        Ok(Vec::new())
    }
}

struct Limit(Arc<Store>);

#[async_trait]
impl EventQuota for Limit {
    async fn allowance(&self, _: &WorkspaceScope, now: DateTime<Utc>) -> Result<Allowance, StoreError> {
        let limit = Some(self.0.limit.load(Ordering::SeqCst)).filter(|limit| *limit > 0);
        Ok(Allowance { period_start: now, limit })
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn env() -> Environment {
    Environment::new(Arc::new(Fixed), Arc::new(Fixed))
}

#[expect(clippy::disallowed_methods, reason = "a test issues its own scopes")]
fn scope() -> WorkspaceScope {
    let workspace = WorkspaceId::generate(&env());
    ScopeIssuer::root().workspace(workspace, Actor::System, PermissionSet::ALL, RequestId::new("r").unwrap())
}

fn queue(store: &Arc<Store>) -> IngestQueue {
    IngestQueue::new(Arc::new(Fake(Arc::clone(store))), Arc::new(Limit(Arc::clone(store))), env())
}

fn events(ids: &[&str]) -> Vec<NewEvent> {
    ids.iter().map(|id| NewEvent::emitted("/s".into(), (*id).into(), "t".into(), 0)).collect()
}

#[test]
fn those_who_wait_share_a_statement_and_get_their_own_verdicts() {
    let store = Arc::new(Store::default());
    let (queue, scope) = (queue(&store), scope());
    block_on(async {
        let shut = store.gate.lock().await;
        let mut first = Box::pin(queue.add(&scope, events(&["a"])));
        let mut second = Box::pin(queue.add(&scope, events(&["b", "a", "b"])));
        let mut third = Box::pin(queue.add(&scope, events(&["b", "c"])));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        drop(shut);
        let (first, second, third) = join!(first, second, third);
        assert_eq!(first.unwrap(), (Position(1), vec![Outcome::Added(Position(1))]));
        assert_eq!(second.unwrap().1, [Outcome::Added(Position(2)), Outcome::Known, Outcome::Known]);
        assert_eq!(third.unwrap(), (Position(3), vec![Outcome::Known, Outcome::Added(Position(3))]));
    });
    assert_eq!(*lock(&store.statements), [1, 3], "one for the first, one for those who waited");
}

#[test]
fn a_group_is_split_where_transactions_are_bounded() {
    let store = Arc::new(Store::default());
    let (queue, scope) = (queue(&store).in_transactions_of(2), scope());
    let (head, outcomes) = block_on(queue.add(&scope, events(&["a", "b", "a", "c", "d", "e"]))).unwrap();
    let added = |position| Outcome::Added(Position(position));
    assert_eq!((head, outcomes), (Position(5), vec![added(1), added(2), Outcome::Known, added(3), added(4), added(5)]));
    assert_eq!(*lock(&store.statements), [2, 2, 1]);
    // If a request fails half-way, its first part is committed, and sending it again reports duplicates.
    let bounded = queue.in_transactions_of(1);
    let sent = events(&["f", "g"]);
    block_on(async {
        let shut = store.gate.lock().await;
        let mut adding = Box::pin(bounded.add(&scope, sent.clone()));
        assert!(poll!(&mut adding).is_pending());
        drop(shut);
        store.fails_after.store(1, Ordering::SeqCst);
        assert!(matches!(adding.await, Err(StoreError::Unavailable(_))));
        store.fails_after.store(0, Ordering::SeqCst);
        assert_eq!(bounded.add(&scope, sent).await.unwrap().1, [Outcome::Known, added(7)]);
    });
}

#[test]
fn a_front_that_is_dropped_leaves_its_group_to_the_next() {
    let store = Arc::new(Store::default());
    let (queue, scope) = (queue(&store), scope());
    block_on(async {
        let shut = store.gate.lock().await;
        let mut first = Box::pin(queue.add(&scope, events(&["a"])));
        let mut second = Box::pin(queue.add(&scope, events(&["b"])));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        drop(first);
        drop(shut);
        assert_eq!(second.await.unwrap().1, [Outcome::Added(Position(1))]);
    });
    assert_eq!(lock(&store.kept).len(), 1, "who has gone before the statement adds nothing");
}

#[test]
fn a_group_fails_together_and_the_next_one_passes() {
    let store = Arc::new(Store::default());
    let (queue, scope) = (queue(&store), scope());
    store.failures.store(2, Ordering::SeqCst);
    block_on(async {
        let shut = store.gate.lock().await;
        let mut first = Box::pin(queue.add(&scope, events(&["a"])));
        let mut second = Box::pin(queue.add(&scope, events(&["b"])));
        let mut third = Box::pin(queue.add(&scope, events(&["c"])));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        drop(shut);
        let (first, second, third) = join!(first, second, third);
        for result in [first, second, third] {
            assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
        }
        assert_eq!(queue.add(&scope, events(&["a"])).await.unwrap().1, [Outcome::Added(Position(1))]);
    });
}

#[test]
fn lanes_of_idle_workspaces_are_dropped() {
    let store = Arc::new(Store::default());
    let queue = queue(&store);
    block_on(async {
        for n in 0..1000 {
            let workspace = WorkspaceId::from_uuid(uuid::Uuid::from_u128(n));
            #[expect(clippy::disallowed_methods, reason = "a test issues its own scopes")]
            let scope = ScopeIssuer::root().workspace(
                workspace,
                Actor::System,
                PermissionSet::ALL,
                RequestId::new("r").unwrap(),
            );
            queue.add(&scope, events(&[&n.to_string()])).await.unwrap();
        }
    });
    assert!(lock(&queue.lanes).len() < 50);
}

#[test]
fn a_report_counts_each_item_once() {
    let store = Arc::new(Store::default());
    store.limit.store(2, Ordering::SeqCst);
    let service = Events::new(Arc::new(Fake(Arc::clone(&store))), Arc::new(Limit(Arc::clone(&store))), env());
    let invalid = Rejection::new(RejectionCode::BadData, "/data", "bad");
    let mut items: Vec<_> = events(&["a", "a", "b", "c", "c"]).into_iter().map(Ok).collect();
    items.insert(1, Err(invalid));
    items.push(Ok(NewEvent::emitted("/s".into(), "d".into(), "t".into(), MAX_CHAIN + 1)));
    let report = block_on(service.ingest(&scope(), items)).unwrap();
    assert_eq!((report.accepted, report.duplicates, report.position), (2, 1, Position(2)));
    let rejected: Vec<_> = report.rejected.iter().map(|(index, rejection)| (*index, rejection.code.as_str())).collect();
    let expected = [(1, "bad-data"), (4, "quota-exceeded"), (5, "quota-exceeded"), (6, "chain-too-deep")];
    assert_eq!(rejected, expected);
    assert!(!report.is_over_quota());
    let report = block_on(service.ingest(&scope(), events(&["e"]).into_iter().map(Ok).collect())).unwrap();
    assert!(report.is_over_quota());
    let report = block_on(service.ingest(&scope(), Vec::new())).unwrap();
    assert_eq!(report, crate::IngestReport { position: Position(2), ..Default::default() });
}
