//! A circuit breaker: it refuses work at once while the database is away, instead of letting each caller wait.
//!
//! A probe finds out whether the database is away. It opens a connection of its own, outside the pool, and sends no
//! query. A probe is sent when a transaction has waited long to begin, or when its connection broke. A probe that fails
//! opens the breaker: waiting and new callers are refused. While the breaker is open, the first caller after a pause
//! sends another probe. The first probe that succeeds closes the breaker. So a pool that is merely busy never opens it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use metrics::{Counter, Gauge};
use tidegate_kernel::StoreError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::error::{is_away, store_error};

/// A unit of work that has waited this long has the database probed. With [`PROBE_WITHIN`] and [`BETWEEN_PROBES`] this
/// is below one second, the time within which a caller hears that the database is away.
const SUSPICIOUS: Duration = Duration::from_millis(200);
/// The timeout of a probe.
const PROBE_WITHIN: Duration = Duration::from_millis(600);
/// The shortest time between a probe that succeeded and the next one.
const BETWEEN_PROBES: Duration = Duration::from_millis(100);
/// The pause after a failed probe: after the first, and at most. It doubles with each failure.
const PAUSE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// The breaker refused a unit of work.
#[derive(Debug, thiserror::Error)]
#[error("the database does not answer; it is asked again in a moment")]
pub struct DatabaseAway;

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// The database answers.
    Closed,
    /// The database did not answer the last probe, and a new probe is under way.
    HalfOpen,
    /// The database does not answer; every unit of work is refused.
    Open,
}

/// The state and the counts of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerFigures {
    /// Its state.
    pub state: BreakerState,
    /// How often it has opened.
    pub openings: u64,
    /// How many units of work it has refused.
    pub refusals: u64,
}

/// Opens a connection of its own to the database and sends no query.
pub(crate) type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<(), sqlx::Error>> + Send + Sync>;

/// The circuit breaker of one pool. Clones share its state.
#[derive(Clone)]
pub(crate) struct Breaker(Arc<Shared>);

struct Shared {
    probe: Probe,
    state: Mutex<State>,
    /// Whether the breaker is open. Callers in [`Breaker::guard`] watch it.
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
    /// No probe is sent before this time.
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

    /// Runs `work`, and drops it as soon as a probe finds that the database is away.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with [`DatabaseAway`] if the database is away; otherwise the error of `work`.
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
                // This cannot fail: the sender is dropped only together with `self`.
                _ = open.wait_for(|open| *open) => return Err(self.refuse()),
                () = &mut waiting => {
                    self.suspect();
                    waiting.as_mut().reset(Instant::now() + SUSPICIOUS);
                }
            }
        }
    }

    /// Sends a probe if the pause is over and waits for its result. Refuses the caller if the pause is not over, or if
    /// another probe is under way.
    async fn wait_for_probe(&self, open: &mut watch::Receiver<bool>) -> Result<(), StoreError> {
        if !self.suspect() {
            return Err(self.refuse());
        }
        // Every result of a probe changes the value.
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

    /// Sends a probe, unless one is under way or the pause is not over. The probe goes on if the caller gives up.
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
            // Any answer of the server counts as reachable, even that it takes no more connections.
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

    /// A database that can be switched off, with a count of its probes.
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
        // The next caller is refused without waiting.
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
