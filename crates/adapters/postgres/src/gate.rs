//! Whose turn it is on the one connection of the embedded PostgreSQL.
//!
//! Requests go first, then the engine, then background work; those of one kind in the order in which they came. None
//! starves: a kind that has been passed over [`Line::most`] times takes the next turn, whatever else waits. The gate decides
//! only who begins; how long a turn lasts is for its holder, so background work keeps its transactions short.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_kernel::Urgency;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// How often the engine is passed over: where requests never end, it has one turn in 5.
const ENGINE_PASSED_OVER: u32 = 4;
/// How often background work is passed over: where requests never end, it has one turn in 9.
const BACKGROUND_PASSED_OVER: u32 = 8;
/// A request often takes several turns, one right after the other. For so long background work leaves the connection to it.
const BETWEEN_TURNS: Duration = Duration::from_millis(2);

/// From the most urgent to the least.
const ORDER: [Urgency; 3] = [Urgency::Request, Urgency::Engine, Urgency::Background];

/// The gate before the connection. There is one for each store.
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

/// Those of one urgency.
#[derive(Debug)]
struct Line {
    waiting: VecDeque<oneshot::Sender<Turn>>,
    /// How often others went first since the last turn.
    passed_over: u32,
    /// How often they may.
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

    /// The next in line, with their urgency; the others are passed over.
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

/// The right to use the connection. It goes to the next when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    /// `None` where nobody took it, so that it does not go on by itself.
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
    /// Waits for a turn. Who stops waiting leaves the line; a turn that was on its way to them goes to the next.
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
            // The gate drops no sender that is waited for, so this does not come round again.
            if let Ok(turn) = given.await {
                return turn;
            }
        }
    }

    /// For how long background work leaves its turn to a request that was there a moment ago. This counts as being passed
    /// over, so it ends.
    fn pause_before(&self, urgency: Urgency) -> Option<Duration> {
        let mut state = self.lock();
        let pause = BETWEEN_TURNS.checked_sub(state.last_request?.elapsed()).filter(|pause| !pause.is_zero())?;
        if urgency != Urgency::Background || state.background.is_due() {
            return None;
        }
        state.background.passed_over += 1;
        Some(pause)
    }

    /// A turn is over.
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
