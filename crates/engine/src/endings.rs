//! Notifies waiters when a run ends, in this process and in other processes.
//!
//! A process in which a caller waits for a run announces this to the other processes. The process that drives the run
//! answers when the run ends, or at once if it ended a moment ago. So no signal is sent for a run without a waiter.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_kernel::{Received, RunId, Signal, SignalBus, Topic};
use tokio::sync::oneshot;

/// How many awaited runs and how many ended runs are remembered. If a run was dropped from memory, its waiter learns of
/// the end from its next query to the store.
const REMEMBERED: usize = 10_000;

/// Notifies waiters that a run has ended. A signal can be lost, so a waiter MUST also query the store from time to
/// time.
#[derive(Clone, Default)]
pub struct RunEndings {
    state: Arc<Mutex<State>>,
    bus: Option<Arc<dyn SignalBus>>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<RunId, Vec<oneshot::Sender<()>>>,
    /// Runs for which another process waits.
    awaited: Recent,
    /// Runs that ended in this process.
    ended: Recent,
}

/// The most recent runs of a kind, at most [`REMEMBERED`].
#[derive(Default)]
struct Recent {
    order: VecDeque<RunId>,
    members: HashSet<RunId>,
}

impl Recent {
    fn insert(&mut self, run: RunId) {
        if self.members.insert(run) {
            self.order.push_back(run);
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.members.remove(&oldest);
            }
        }
    }

    fn contains(&self, run: RunId) -> bool {
        self.members.contains(&run)
    }
}

impl std::fmt::Debug for RunEndings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunEndings").finish_non_exhaustive()
    }
}

impl RunEndings {
    /// Shares the ends of runs across processes over `bus`, as long as each process runs [`RunEndings::relay`].
    #[must_use]
    pub fn across(bus: Arc<dyn SignalBus>) -> Self {
        Self { state: Arc::default(), bus: Some(bus) }
    }

    /// Resolves when `run` ends from now on, or with an error if no notification can arrive any more.
    #[must_use]
    pub fn ended(&self, run: RunId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let waiters = state.waiting.entry(run).or_default();
        // Removes waiters that have given up.
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        drop(state);
        self.publish(Topic::RunAwaited, run);
        receiver
    }

    /// Forgets a run that has no waiter any more.
    pub fn forget(&self, run: RunId) {
        let mut state = self.state();
        if state.waiting.get(&run).is_some_and(|waiters| waiters.iter().all(oneshot::Sender::is_closed)) {
            state.waiting.remove(&run);
        }
    }

    /// Relays waits and ends of runs between this process and the others, until the bus ends.
    pub async fn relay(&self) {
        let Some(bus) = &self.bus else { return };
        let mut signals = bus.subscribe(&[Topic::RunAwaited, Topic::RunEnded]);
        // Signals from before the subscription may have been missed.
        self.wake_all();
        while let Some(received) = signals.next().await {
            let Received::Signal(signal) = received else {
                self.wake_all();
                continue;
            };
            let Ok(run) = signal.payload.as_str().parse::<RunId>() else { continue };
            if signal.topic == Topic::RunEnded {
                let waiters = self.state().waiting.remove(&run);
                wake(waiters.unwrap_or_default());
                continue;
            }
            let mut state = self.state();
            let ended = state.ended.contains(run);
            // A waiter in this process is notified without a signal.
            if !ended && !state.waiting.contains_key(&run) {
                state.awaited.insert(run);
            }
            drop(state);
            if ended {
                self.publish(Topic::RunEnded, run);
            }
        }
    }

    /// Notifies the waiters for `run` that it has ended. The engine calls this for the runs that it ends.
    pub fn notify(&self, run: RunId) {
        let mut state = self.state();
        let waiters = state.waiting.remove(&run).unwrap_or_default();
        let awaited = state.awaited.contains(run);
        state.ended.insert(run);
        drop(state);
        wake(waiters);
        if awaited {
            self.publish(Topic::RunEnded, run);
        }
    }

    /// Wakes every waiter, because notifications may have been missed. Each then queries the store.
    fn wake_all(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        waiting.into_values().for_each(wake);
    }

    fn publish(&self, topic: Topic, run: RunId) {
        if let Some(bus) = &self.bus {
            bus.publish(Signal::new(topic, &run));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waiters: Vec<oneshot::Sender<()>>) {
    for waiter in waiters {
        // The waiter may have given up.
        let _ = waiter.send(());
    }
}
