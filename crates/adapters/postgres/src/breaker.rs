//! Tells callers at once that the database is away, instead of letting each of them wait.
//!
//! Whether it is away is found out by a probe: a connection of its own, outside the pool, that asks for nothing. A probe is sent
//! when a unit of work has waited long for its transaction to begin, or its connection broke. One that fails opens the breaker:
//! whoever waits and whoever comes is refused. An open breaker sends another probe for the first who comes after a pause, and the
//! first that is answered closes it. So a pool that is merely busy never opens it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use metrics::{Counter, Gauge};
use tidegate_kernel::StoreError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::error::{is_away, store_error};

/// After waiting so long, a unit of work has the database probed. With [`PROBE_WITHIN`] and [`BETWEEN_PROBES`] this stays below the
/// second within which whoever asks hears that the database is away.
const SUSPICIOUS: Duration = Duration::from_millis(200);
/// How long a probe may take.
const PROBE_WITHIN: Duration = Duration::from_millis(600);
/// How long until another probe, after one that was answered.
const BETWEEN_PROBES: Duration = Duration::from_millis(100);
/// How long nothing is asked of a database that is away: after the first failed probe, and at most. It doubles with each.
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// Why a unit of work was refused.
#[derive(Debug, thiserror::Error)]
#[error("the database does not answer; it is asked again in a moment")]
pub struct DatabaseAway;

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// The database answers.
    Closed,
    /// It did not answer, and is being asked again.
    HalfOpen,
    /// It does not answer: whoever comes is refused.
    Open,
}

/// How a breaker is, and what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerFigures {
    /// Its state.
    pub state: BreakerState,
    /// How often it opened.
    pub openings: u64,
    /// How many units of work it refused.
    pub refusals: u64,
}

/// Asks the database for nothing, by a connection of its own.
pub(crate) type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), sqlx::Error>> + Send + Sync>;

/// The breaker before one pool. Copies share it.
#[derive(Clone)]
pub(crate) struct Breaker(Arc<Shared>);

struct Shared {
    probe: Probe,
    state: Mutex<State>,
    /// Whether it is open, for those who wait.
    open: watch::Sender<bool>,
    openings: AtomicU64,
    refusals: AtomicU64,
    measures: Measures,
}

struct Measures {
    open: Gauge,
    openings: Counter,
    refusals: Counter,
}

#[derive(Debug)]
struct State {
    /// Until when nobody probes; it lies in the past where somebody may.
    quiet_until: Instant,
    /// The pause after the next failed probe.
    pause: Duration,
    probing: bool,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breaker").field("figures", &self.figures()).finish()
    }
}

impl Breaker {
    pub(crate) fn new(pool: &'static str, probe: Probe) -> Self {
        let measures = Measures {
            open: metrics::gauge!("database_breaker_open", "pool" => pool),
            openings: metrics::counter!("database_breaker_openings_total", "pool" => pool),
            refusals: metrics::counter!("database_breaker_refusals_total", "pool" => pool),
        };
        measures.open.set(0.0);
        measures.openings.increment(0);
        measures.refusals.increment(0);
        let state = State { quiet_until: Instant::now(), pause: PAUSE[0], probing: false };
        Self(Arc::new(Shared {
            probe,
            state: Mutex::new(state),
            open: watch::Sender::new(false),
            openings: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            measures,
        }))
    }

    pub(crate) fn figures(&self) -> BreakerFigures {
        let state = match (self.is_open(), self.state().probing) {
            (false, _) => BreakerState::Closed,
            (true, true) => BreakerState::HalfOpen,
            (true, false) => BreakerState::Open,
        };
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        BreakerFigures { state, openings: number(&self.0.openings), refusals: number(&self.0.refusals) }
    }

    /// Begins something with the database, unless that is away, and gives `work` up as soon as it is found to be.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with [`DatabaseAway`] where it is away; otherwise what `work` says.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
        let mut open = self.0.open.subscribe();
        if *open.borrow_and_update() {
            self.wait_for_probe(&mut open).await?;
        }
        let mut work = std::pin::pin!(work);
        let mut waiting = std::pin::pin!(sleep(SUSPICIOUS));
        loop {
            tokio::select! {
                biased;
                result = &mut work => {
                    if result.as_ref().is_err_and(is_away) {
                        self.suspect();
                    }
                    return result.map_err(store_error);
                }
                // The sender lives as long as this does.
                _ = open.wait_for(|open| *open) => return Err(self.refuse()),
                () = &mut waiting => {
                    self.suspect();
                    waiting.as_mut().reset(Instant::now() + SUSPICIOUS);
                }
            }
        }
    }

    /// Waits for the probe that is sent where the pause is over; whoever comes while one is on its way is refused.
    async fn wait_for_probe(&self, open: &mut watch::Receiver<bool>) -> Result<(), StoreError> {
        if !self.suspect() {
            return Err(self.refuse());
        }
        // It changes with every answer of a probe.
        let _ = open.changed().await;
        if *open.borrow_and_update() { Err(self.refuse()) } else { Ok(()) }
    }

    fn refuse(&self) -> StoreError {
        self.0.refusals.fetch_add(1, Ordering::Relaxed);
        self.0.measures.refusals.increment(1);
        StoreError::Unavailable(Box::new(DatabaseAway))
    }

    fn is_open(&self) -> bool {
        *self.0.open.borrow()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a probe, unless one is on its way or the last was a moment ago. It goes on whoever gives up.
    fn suspect(&self) -> bool {
        {
            let mut state = self.state();
            if state.probing || Instant::now() < state.quiet_until {
                return false;
            }
            state.probing = true;
        }
        let breaker = self.clone();
        tokio::spawn(async move {
            let answer = timeout(PROBE_WITHIN, (breaker.0.probe)()).await;
            // Whatever the server says, even that it takes no more connections, is an answer.
            let away = answer.map_or(true, |answer| answer.as_ref().is_err_and(is_away));
            breaker.answered(away);
        });
        true
    }

    fn answered(&self, away: bool) {
        {
            let mut state = self.state();
            state.probing = false;
            let pause = if away { state.pause } else { BETWEEN_PROBES };
            state.quiet_until = Instant::now() + pause;
            state.pause = if away { (state.pause * 2).min(PAUSE[1]) } else { PAUSE[0] };
        }
        let was_open = self.0.open.send_replace(away);
        match (was_open, away) {
            (false, true) => {
                self.0.openings.fetch_add(1, Ordering::Relaxed);
                self.0.measures.openings.increment(1);
                tracing::error!("the database does not answer; requests are refused until it does");
            }
            (true, false) => tracing::warn!("the database answers again"),
            _ => {}
        }
        self.0.measures.open.set(f64::from(u8::from(away)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::atomic::{AtomicBool, AtomicU32};

    /// A database that is there or not, and how often it was probed.
    #[derive(Clone, Default)]
    struct Fake {
        away: Arc<AtomicBool>,
        hangs: Arc<AtomicBool>,
        probes: Arc<AtomicU32>,
    }

    impl Fake {
        fn breaker(&self) -> Breaker {
            let fake = self.clone();
            Breaker::new(
                "test",
                Arc::new(move || {
                    let fake = fake.clone();
                    Box::pin(async move {
                        fake.probes.fetch_add(1, Ordering::Relaxed);
                        if fake.hangs.load(Ordering::Relaxed) {
                            pending::<()>().await;
                        }
                        if fake.away.load(Ordering::Relaxed) { Err(broken()) } else { Ok(()) }
                    })
                }),
            )
        }

        fn probes(&self) -> u32 {
            self.probes.load(Ordering::Relaxed)
        }
    }

    fn broken() -> sqlx::Error {
        sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into())
    }

    fn refused<T>(result: Result<T, StoreError>) -> bool {
        matches!(result, Err(StoreError::Unavailable(source)) if source.is::<DatabaseAway>())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_database_that_hangs_is_refused_within_a_second() {
        let fake = Fake::default();
        fake.hangs.store(true, Ordering::Relaxed);
        let breaker = fake.breaker();
        let began = Instant::now();
        assert!(refused(breaker.guard(pending::<Result<(), _>>()).await));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(breaker.figures(), BreakerFigures { state: BreakerState::Open, openings: 1, refusals: 1 });
        // Whoever comes next does not wait.
        let began = Instant::now();
        assert!(refused(breaker.guard(async { Ok(()) }).await));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pool_that_is_busy_opens_nothing() {
        let fake = Fake::default();
        let breaker = fake.breaker();
        let slow = async {
            sleep(Duration::from_secs(5)).await;
            Ok(7)
        };
        assert_eq!(breaker.guard(slow).await.ok(), Some(7));
        assert!((5..=25).contains(&fake.probes()), "{}", fake.probes());
        assert_eq!(breaker.figures(), BreakerFigures { state: BreakerState::Closed, openings: 0, refusals: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_breaks_has_the_database_probed() {
        let fake = Fake::default();
        let breaker = fake.breaker();
        let break_off = async || breaker.guard(async { Err::<(), _>(broken()) }).await;
        assert!(break_off().await.is_err());
        sleep(BETWEEN_PROBES).await;
        assert_eq!((fake.probes(), breaker.figures().state), (1, BreakerState::Closed), "it answers");
        sleep(BETWEEN_PROBES).await;
        fake.away.store(true, Ordering::Relaxed);
        assert!(break_off().await.is_err());
        sleep(Duration::from_millis(1)).await;
        assert_eq!((fake.probes(), breaker.figures().state), (2, BreakerState::Open), "it does not");
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_lets_one_probe_through_and_the_first_answer_closes_it() {
        let fake = Fake::default();
        fake.away.store(true, Ordering::Relaxed);
        let breaker = fake.breaker();
        assert!(refused(breaker.guard(pending::<Result<(), _>>()).await));
        assert_eq!(fake.probes(), 1);
        for pause in [250, 500, 1_000, 1_000] {
            let probes = fake.probes();
            sleep(Duration::from_millis(pause - 1)).await;
            assert!(refused(breaker.guard(async { Ok(()) }).await));
            assert_eq!(fake.probes(), probes, "the pause is not over");
            sleep(Duration::from_millis(1)).await;
            assert!(refused(breaker.guard(async { Ok(()) }).await));
            assert_eq!(fake.probes(), probes + 1);
        }
        fake.away.store(false, Ordering::Relaxed);
        sleep(PAUSE[1]).await;
        assert!(breaker.guard(async { Ok(()) }).await.is_ok());
        assert_eq!(breaker.figures().state, BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn while_a_probe_is_on_its_way_others_are_refused_and_who_gives_up_does_not_stop_it() {
        let fake = Fake::default();
        fake.away.store(true, Ordering::Relaxed);
        let breaker = fake.breaker();
        assert!(refused(breaker.guard(pending::<Result<(), _>>()).await));
        fake.hangs.store(true, Ordering::Relaxed);
        sleep(PAUSE[0]).await;
        assert!(timeout(Duration::from_millis(10), breaker.guard(async { Ok(()) })).await.is_err(), "it waits");
        assert_eq!(breaker.figures().state, BreakerState::HalfOpen);
        assert!(refused(breaker.guard(async { Ok(()) }).await));
        sleep(PROBE_WITHIN).await;
        assert_eq!(breaker.figures().state, BreakerState::Open);
    }
}
