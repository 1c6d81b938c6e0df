//! What a served PostgreSQL does in the background and this one does not.
//!
//! The caller holds the one connection, so it also does the work; this module only says when.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Work that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// `VACUUM (ANALYZE)`: gives the room of dead rows back and tells the planner what the tables hold.
    Vacuum,
    /// `CHECKPOINT`: bounds the log and the time that the next start takes after a kill.
    Checkpoint,
}

impl Chore {
    /// The statement, for the superuser, outside a transaction. A session that gave its rights up gets them back with
    /// `SET SESSION AUTHORIZATION postgres`; `RESET` does not do that here.
    #[must_use]
    pub const fn sql(self) -> &'static str {
        match self {
            Self::Vacuum => "VACUUM (ANALYZE)",
            Self::Checkpoint => "CHECKPOINT",
        }
    }
}

/// How often each chore is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Between two vacuums.
    pub vacuum: Duration,
    /// Between two checkpoints.
    pub checkpoint: Duration,
}

impl Default for Schedule {
    /// A vacuum each ten minutes; a checkpoint each five, as PostgreSQL's `checkpoint_timeout` has it.
    fn default() -> Self {
        Self { vacuum: Duration::from_secs(600), checkpoint: Duration::from_secs(300) }
    }
}

/// Calls `run` whenever a chore is due, one at a time, for as long as it is polled. A chore that fails is due again
/// after its usual time; what was missed while another ran is done once.
pub async fn maintain<Run, Running, Error>(schedule: Schedule, mut run: Run)
where
    Run: FnMut(Chore) -> Running,
    Running: Future<Output = Result<(), Error>>,
    Error: std::fmt::Display,
{
    let mut due = [(Chore::Checkpoint, schedule.checkpoint), (Chore::Vacuum, schedule.vacuum)]
        .map(|(chore, every)| (Instant::now() + every, chore, every));
    loop {
        due.sort_by_key(|(at, ..)| *at);
        let [(at, chore, every), _] = &mut due;
        sleep_until(*at).await;
        if let Err(error) = run(*chore).await {
            tracing::warn!(%error, chore = chore.sql(), "maintenance of the embedded PostgreSQL failed");
        }
        *at = Instant::now() + *every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_chore_is_done_at_its_time_also_after_a_failure() {
        let schedule = Schedule { vacuum: Duration::from_secs(50), checkpoint: Duration::from_secs(20) };
        let (mut done, began) = (Vec::new(), Instant::now());
        let maintenance = maintain(schedule, |chore| {
            done.push((began.elapsed().as_secs(), chore));
            async { Err("refused") }
        });
        assert!(tokio::time::timeout(Duration::from_secs(70), maintenance).await.is_err());
        let expected = [(20, Chore::Checkpoint), (40, Chore::Checkpoint), (50, Chore::Vacuum), (60, Chore::Checkpoint)];
        assert_eq!(done, expected);
    }
}
