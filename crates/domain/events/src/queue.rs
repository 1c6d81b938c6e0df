//! Group commit: concurrent requests that add to one workspace share one statement and one commit.
//!
//! An addition locks the workspace's head until the commit, so additions to one workspace run one after another anyway.
//! Here they wait without holding a connection. The request at the front of the queue also adds the events of the
//! requests that wait behind it. A request never waits for others to join: if none is in progress, it starts at once.
//!
//! There is no background task. The request at the front does the work for its group with its own scope, which is for
//! the same workspace; the permission of each request was checked before. If the front request is dropped half-way, its
//! group stays in the queue and the next request takes over. If the commit took effect, the dedupe keys show that.

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

/// A group accepts further requests up to this number of events. The first request may have more.
const GROUP_EVENTS: usize = 1_000;

/// The head after the statement, and the outcome of each event of the request.
type Verdicts = (Position, Vec<Outcome>);

/// The answer to a request. All requests of a group share an error.
type Answer = Result<Verdicts, Arc<StoreError>>;

/// Adds the events of requests in groups.
pub(crate) struct IngestQueue {
    store: Arc<dyn UnitOfWork<dyn EventsTx>>,
    quota: Arc<dyn EventQuota>,
    env: Environment,
    /// The maximum number of events in one transaction.
    most: usize,
    lanes: Mutex<HashMap<WorkspaceId, Weak<Lane>>>,
}

/// The queue of one workspace.
#[derive(Default)]
struct Lane {
    /// The lock of the request that does the work.
    turn: futures::lock::Mutex<()>,
    waiting: Mutex<VecDeque<Arc<Ticket>>>,
}

/// One request in a lane.
struct Ticket {
    events: Vec<NewEvent>,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

/// Removes the ticket from the lane when its request ends or is dropped.
struct Leave<'a>(&'a Lane, &'a Arc<Ticket>);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).retain(|ticket| !Arc::ptr_eq(ticket, self.1));
    }
}

/// The error of a whole group.
#[derive(Debug, thiserror::Error)]
#[error("the statement that this request shared with others failed")]
struct Shared(#[source] Arc<StoreError>);

impl IngestQueue {
    pub(crate) fn new(store: Arc<dyn UnitOfWork<dyn EventsTx>>, quota: Arc<dyn EventQuota>, env: Environment) -> Self {
        Self { store, quota, env, most: usize::MAX, lanes: Mutex::default() }
    }

    /// The same queue, with at most `most` events in one transaction.
    pub(crate) fn in_transactions_of(&self, most: usize) -> Self {
        let (store, quota) = (Arc::clone(&self.store), Arc::clone(&self.quota));
        Self { most: most.max(1), ..Self::new(store, quota, self.env.clone()) }
    }

    /// Adds `events` to the scope's workspace, together with concurrent requests to the same workspace.
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
                // Cannot happen: this task holds the ticket, which holds the sender.
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

    /// The lane of a workspace. Unused lanes are freed; their map entries are removed before the map would grow.
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

    /// Adds the events of a group with one statement and one commit, or with several if transactions are bounded. If a
    /// later one fails, the earlier ones are committed, and the dedupe keys make it safe to send the events again.
    async fn write(&self, scope: &WorkspaceScope, group: &[Arc<Ticket>]) -> Result<Vec<Verdicts>, StoreError> {
        let received_at = self.env.now();
        let allowance = self.quota.allowance(scope, received_at).await?;
        let mut first = HashMap::<DedupeKey, usize>::new();
        let mut events = Vec::new();
        // For each event, its index among the distinct events, and whether it is the first with its key.
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
    /// The tickets at the front that fit into one statement. They stay in the lane until they are answered.
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
                // The request may have been dropped.
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

/// The locked data is consistent at every step, so a poisoned lock can be used.
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
