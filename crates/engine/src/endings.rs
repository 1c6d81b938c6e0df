//! Who waits for runs to end, in this process and in others.
//!
//! A process in which somebody waits says so to the others; whoever drives the run answers when it ends, and at once where
//! it ended a moment ago. So nothing is sent for the many runs that nobody waits for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_kernel::{Received, RunId, Signal, SignalBus, Topic};
use tokio::sync::oneshot;

/// How many runs that other processes wait for are remembered, and how many that have ended. Of one that was forgotten the
/// waiter learns when it asks again.
const REMEMBERED: usize = 10_000;

/// Tells waiters that a run has ended. A signal may be lost, so whoever waits also asks the store from time to time.
#[derive(Clone, Default)]
pub struct RunEndings {
    state: Arc<Mutex<State>>,
    bus: Option<Arc<dyn SignalBus>>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<RunId, Vec<oneshot::Sender<()>>>,
    /// Runs that another process waits for.
    awaited: Recent,
    /// Runs that this process ended.
    ended: Recent,
}

/// The latest runs of some kind.
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
    /// Endings that are told across the processes on `bus`, as long as [`RunEndings::relay`] runs in each.
    #[must_use]
    pub fn across(bus: Arc<dyn SignalBus>) -> Self {
        Self { state: Arc::default(), bus: Some(bus) }
    }

    /// Resolves when `run` ends from now on; with an error where nobody will ever tell.
    #[must_use]
    pub fn ended(&self, run: RunId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let waiters = state.waiting.entry(run).or_default();
        // Whoever gave up waiting is forgotten when the next one comes.
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        drop(state);
        self.publish(Topic::RunAwaited, run);
        receiver
    }

    /// Forgets a run that nobody waits for any more.
    pub fn forget(&self, run: RunId) {
        let mut state = self.state();
        if state.waiting.get(&run).is_some_and(|waiters| waiters.iter().all(oneshot::Sender::is_closed)) {
            state.waiting.remove(&run);
        }
    }

    /// Passes on who waits and what has ended, between this process and the others, until the bus ends.
    pub async fn relay(&self) {
        let Some(bus) = &self.bus else { return };
        let mut signals = bus.subscribe(&[Topic::RunAwaited, Topic::RunEnded]);
        // What was told before anybody listened is not known.
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
            // Who waits in this process is told without a signal.
            if !ended && !state.waiting.contains_key(&run) {
                state.awaited.insert(run);
            }
            drop(state);
            if ended {
                self.publish(Topic::RunEnded, run);
            }
        }
    }

    /// Tells whoever waits for `run` that it has ended. The engine does so for the runs that it ends.
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

    /// Endings may have been missed: everybody looks.
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
        // A waiter that is gone does not want to know.
        let _ = waiter.send(());
    }
}
