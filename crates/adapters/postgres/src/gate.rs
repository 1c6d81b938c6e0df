//! A queue with priorities for the one connection of the embedded PostgreSQL.
//!
//! Requests go first, then the engine, then background work; within one kind the order is first come, first served. No
//! kind starves: one that has been passed over [`Line::most`] times takes the next turn. The gate decides only the
//! order of turns, not their length, so background work keeps its transactions short.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_kernel::Urgency;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// How often the engine may be passed over. If requests never end, it gets one turn in 5.
const ENGINE_PASSED_OVER: u32 = 4;
/// How often background work may be passed over. If requests never end, it gets one turn in 9.
const BACKGROUND_PASSED_OVER: u32 = 8;
/// A request often takes several turns in a row. Background work waits this long after a request before it takes a
/// turn.
const BETWEEN_TURNS: Duration = Duration::from_millis(2);

/// From the most urgent to the least.
const ORDER: [Urgency; 3] = [Urgency::Request, Urgency::Engine, Urgency::Background];

/// The gate before the connection. Each store has one.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    taken: bool,
    requests: Line,
    engine: Line,
    background: Line,
    last_request: Option<Instant>,
}

/// The queue of one urgency.
#[derive(Debug)]
struct Line {
    waiting: VecDeque<oneshot::Sender<Turn>>,
    /// How often other urgencies went first since its last turn.
    passed_over: u32,
    /// How often they may go first.
    most: u32,
}

impl Default for State {
    fn default() -> Self {
        let line = |most| Line { waiting: VecDeque::new(), passed_over: 0, most };
        Self {
            taken: false,
            requests: line(u32::MAX),
            engine: line(ENGINE_PASSED_OVER),
            background: line(BACKGROUND_PASSED_OVER),
            last_request: None,
        }
    }
}

impl State {
    const fn line(&mut self, urgency: Urgency) -> &mut Line {
        match urgency {
            Urgency::Request => &mut self.requests,
            Urgency::Engine => &mut self.engine,
            Urgency::Background => &mut self.background,
        }
    }

    /// Takes the next waiter and its urgency. Other urgencies with waiters count as passed over.
    fn next(&mut self) -> Option<(Urgency, oneshot::Sender<Turn>)> {
        let mut chosen: Option<Urgency> = None;
        for urgency in ORDER {
            let line = self.line(urgency);
            while line.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                line.waiting.pop_front();
            }
            if !line.waiting.is_empty() && (chosen.is_none() || line.is_due()) {
                chosen = Some(urgency);
            }
        }
        let chosen = chosen?;
        for urgency in ORDER.into_iter().filter(|urgency| *urgency != chosen) {
            let line = self.line(urgency);
            line.passed_over = line.passed_over.saturating_add(u32::from(!line.waiting.is_empty()));
        }
        self.line(chosen).waiting.pop_front().map(|next| (chosen, next))
    }
}

impl Line {
    const fn is_due(&self) -> bool {
        self.passed_over >= self.most
    }
}

/// The right to use the connection. Dropping it gives the turn to the next waiter.
#[derive(Debug)]
pub(crate) struct Turn {
    /// `None` if no waiter took the turn, so that dropping it does not pass it on again.
    gate: Option<Arc<Gate>>,
    urgency: Urgency,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.hand_on(self.urgency);
        }
    }
}

impl Gate {
    /// Waits for a turn. If the caller gives up, it leaves the queue, and a turn that was already sent to it goes to
    /// the next waiter.
    pub(crate) async fn turn(self: &Arc<Self>, urgency: Urgency) -> Turn {
        loop {
            let turn = self.next_turn(urgency).await;
            let Some(pause) = self.pause_before(urgency) else {
                self.lock().line(urgency).passed_over = 0;
                return turn;
            };
            drop(turn);
            sleep(pause).await;
        }
    }

    async fn next_turn(self: &Arc<Self>, urgency: Urgency) -> Turn {
        loop {
            let given = {
                let mut state = self.lock();
                if !state.taken {
                    state.taken = true;
                    return Turn { gate: Some(Arc::clone(self)), urgency };
                }
                let (give, given) = oneshot::channel();
                state.line(urgency).waiting.push_back(give);
                given
            };
            // The gate never drops the sender of a live waiter, so this loop runs once.
            if let Ok(turn) = given.await {
                return turn;
            }
        }
    }

    /// How long background work leaves its turn to requests, if one was there a moment ago. Waiting counts as being
    /// passed over, so it ends.
    fn pause_before(&self, urgency: Urgency) -> Option<Duration> {
        let mut state = self.lock();
        let pause = BETWEEN_TURNS.checked_sub(state.last_request?.elapsed()).filter(|pause| !pause.is_zero())?;
        if urgency != Urgency::Background || state.background.is_due() {
            return None;
        }
        state.background.passed_over += 1;
        Some(pause)
    }

    /// Passes a finished turn to the next waiter.
    fn hand_on(self: &Arc<Self>, urgency: Urgency) {
        loop {
            let (urgency, next) = {
                let mut state = self.lock();
                if urgency == Urgency::Request {
                    state.last_request = Some(Instant::now());
                }
                let Some(next) = state.next() else {
                    state.taken = false;
                    return;
                };
                next
            };
            match next.send(Turn { gate: Some(Arc::clone(self)), urgency }) {
                Ok(()) => return,
                Err(mut untaken) => untaken.gate = None,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
