//! Group commit: requests that add to one workspace at the same time share one statement and one commit.
//!
//! Adding holds the workspace's head until the commit, so additions to one workspace queue up anyway. Here they queue
//! without a connection, and whoever comes to the front takes along what waits behind it. Nobody waits for company: a
//! request that finds nobody at work goes at once.
//!
//! There is no task behind this. The request at the front does the work for the group in its own scope, which names
//! the same workspace, and each of them has had its own permission checked. When the front is dropped half-way, its
//! group is still in the queue and the next takes over; had the commit gone through, the dedupe keys tell it so.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::channel::oneshot;
use futures::future::{Either, select};
use futures::pin_mut;
use tidegate_kernel::{Environment, Position, StoreError, UnitOfWork, WorkspaceId, WorkspaceScope};

use crate::cloud_event::{DedupeKey, NewEvent};
use crate::model::Outcome;
use crate::ports::{Addition, EventQuota, EventsTx};

/// A group takes further requests up to this many events; the first request may have more.
const GROUP_EVENTS: usize = 1_000;

/// The head after the statement, and what came of each event of the request.
type Verdicts = (Position, Vec<Outcome>);

/// What a request is told; a group shares its failure.
type Answer = Result<Verdicts, Arc<StoreError>>;

/// Adds events, request by request, group by group.
pub(crate) struct IngestQueue {
    store: Arc<dyn UnitOfWork<dyn EventsTx>>,
    quota: Arc<dyn EventQuota>,
    env: Environment,
    /// The most events of one transaction.
    most: usize,
    lanes: Mutex<HashMap<WorkspaceId, Weak<Lane>>>,
}

/// Those who add to one workspace.
#[derive(Default)]
struct Lane {
    /// Held by the request that is at work.
    turn: futures::lock::Mutex<()>,
    waiting: Mutex<VecDeque<Arc<Ticket>>>,
}

/// One request in a lane.
struct Ticket {
    events: Vec<NewEvent>,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

/// Takes the ticket out of the lane when its request ends, however it ends.
struct Leave<'a>(&'a Lane, &'a Arc<Ticket>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).retain(|ticket| !Arc::ptr_eq(ticket, self.1));
    }
}

/// What went wrong for the whole group.
#[derive(Debug, thiserror::Error)]
#[error("the statement that this request shared with others failed")]
struct Shared(#[source] Arc<StoreError>);

impl IngestQueue {
    pub(crate) fn new(store: Arc<dyn UnitOfWork<dyn EventsTx>>, quota: Arc<dyn EventQuota>, env: Environment) -> Self {
        Self { store, quota, env, most: usize::MAX, lanes: Mutex::default() }
    }

    /// The same queue, in transactions of at most `most` events.
    pub(crate) fn in_transactions_of(&self, most: usize) -> Self {
        let (store, quota) = (Arc::clone(&self.store), Arc::clone(&self.quota));
        Self { most: most.max(1), ..Self::new(store, quota, self.env.clone()) }
    }

    /// Adds `events` to the scope's workspace, together with what others add there right now.
    pub(crate) async fn add(&self, scope: &WorkspaceScope, events: Vec<NewEvent>) -> Result<Verdicts, StoreError> {
        let lane = self.lane(scope.workspace());
        let (sender, mut answer) = oneshot::channel();
        let ticket = Arc::new(Ticket { events, answer: Mutex::new(Some(sender)) });
        lock(&lane.waiting).push_back(Arc::clone(&ticket));
        let _leave = Leave(&lane, &ticket);
        loop {
            let turn = lane.turn.lock();
            pin_mut!(turn);
            let held = match select(&mut answer, turn).await {
                Either::Left((Ok(answer), _)) => return answer.map_err(|error| shared(&error)),
                // The sender lives in the ticket, which is held here.
                Either::Left((Err(_), _)) => return Err(StoreError::Internal("the answer was lost".into())),
                Either::Right((held, _)) => held,
            };
            if let Ok(Some(answer)) = answer.try_recv() {
                return answer.map_err(|error| shared(&error));
            }
            let group = lane.front();
            let result = self.write(scope, &group).await;
            lane.answer(&group, result);
            drop(held);
        }
    }

    /// The lane of a workspace. Lanes that nobody is in are dropped, their entries when the map would grow.
    fn lane(&self, workspace: WorkspaceId) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if lanes.len() == lanes.capacity() {
            lanes.retain(|_, lane| lane.strong_count() > 0);
        }
        match lanes.entry(workspace) {
            Entry::Occupied(mut entry) => entry.get().upgrade().unwrap_or_else(|| {
                let lane = Arc::new(Lane::default());
                entry.insert(Arc::downgrade(&lane));
                lane
            }),
            Entry::Vacant(entry) => {
                let lane = Arc::new(Lane::default());
                entry.insert(Arc::downgrade(&lane));
                lane
            }
        }
    }

    /// One statement and one commit for a group, or one for each part of it where transactions are bounded. Where a later part
    /// fails, the earlier ones are there: the dedupe keys tell whoever sends again.
    async fn write(&self, scope: &WorkspaceScope, group: &[Arc<Ticket>]) -> Result<Vec<Verdicts>, StoreError> {
        let received_at = self.env.now();
        let allowance = self.quota.allowance(scope, received_at).await?;
        let mut first = HashMap::<DedupeKey, usize>::new();
        let mut events = Vec::new();
        // Per event, its place among those that are added, and whether it is the first with its key.
        let mut places = Vec::new();
        for event in group.iter().flat_map(|ticket| &ticket.events) {
            let next = events.len();
            let place = *first.entry(event.dedupe_key()).or_insert(next);
            if place == next {
                events.push(event);
            }
            places.push((place, place == next));
        }
        let (mut head, mut added) = (Position::START, Vec::with_capacity(events.len()));
        for part in events.chunks(self.most) {
            let salt = u64::from_be_bytes(self.env.random());
            let mut tx = self.store.begin(scope).await?;
            let addition = Addition { received_at, salt, allowance, events: part.to_vec() };
            let mut outcomes = tx.events().add(&addition).await?;
            tx.commit().await?;
            head = outcomes.head;
            added.append(&mut outcomes.outcomes);
        }

        let mut outcomes = places.into_iter().map(|(place, is_first)| match added.get(place) {
            Some(Outcome::Added(_)) if !is_first => Ok(Outcome::Known),
            Some(outcome) => Ok(*outcome),
            None => Err(StoreError::Internal("the store gave too few outcomes".into())),
        });
        group
            .iter()
            .map(|ticket| Ok((head, outcomes.by_ref().take(ticket.events.len()).collect::<Result<_, _>>()?)))
            .collect()
    }
}

impl Lane {
    /// Those at the front of the lane, as many as fit into a statement. They stay in the lane until they are answered.
    fn front(&self) -> Vec<Arc<Ticket>> {
        let mut events = 0;
        lock(&self.waiting)
            .iter()
            .take_while(|ticket| {
                let fits = events == 0 || events + ticket.events.len() <= GROUP_EVENTS;
                events += ticket.events.len();
                fits
            })
            .cloned()
            .collect()
    }

    fn answer(&self, group: &[Arc<Ticket>], result: Result<Vec<Verdicts>, StoreError>) {
        lock(&self.waiting).retain(|waiting| !group.iter().any(|done| Arc::ptr_eq(waiting, done)));
        let answers: Vec<_> = match result {
            Ok(verdicts) => verdicts.into_iter().map(Ok).collect(),
            Err(error) => {
                let error = Arc::new(error);
                group.iter().map(|_| Err(Arc::clone(&error))).collect()
            }
        };
        for (ticket, answer) in group.iter().zip(answers) {
            if let Some(sender) = lock(&ticket.answer).take() {
                // Whoever has gone needs no answer.
                let _ = sender.send(answer);
            }
        }
    }
}

fn shared(error: &Arc<StoreError>) -> StoreError {
    let cause = Box::new(Shared(Arc::clone(error)));
    match **error {
        StoreError::Unavailable(_) => StoreError::Unavailable(cause),
        StoreError::Conflict(_) | StoreError::Internal(_) => StoreError::Internal(cause),
    }
}

/// What is under these locks is whole at every step, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for IngestQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IngestQueue").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
