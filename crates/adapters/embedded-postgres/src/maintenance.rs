//! What a served PostgreSQL does in the background and this one does not.
//!
//! The caller holds the one connection, so it also does the work; this module only says when, and what.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_millis(500);

/// Work that is due. Each is for the superuser, outside a transaction. A session that gave its rights up gets them back with
/// `SET SESSION AUTHORIZATION postgres`; `RESET` does not do that here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// `CHECKPOINT`: bounds the log and the time that the next start takes after a kill.
    Checkpoint,
    /// Gives the room of dead rows back and tells the planner what the tables hold, where enough has changed.
    Vacuum,
}

impl Chore {
    /// What it is called in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Vacuum => "vacuum",
        }
    }
}

/// The statement of [`Chore::Checkpoint`].
pub const CHECKPOINT: &str = "CHECKPOINT";

/// A query whose rows are the statements of [`Chore::Vacuum`]: one for each table of which enough rows have changed, as
/// autovacuum's defaults have it, those that need it most first. Each is to be run in a turn of its own, because all of them
/// together hold the connection for seconds. A table that has only grown is not vacuumed but analyzed, which reads a sample.
pub const VACUUMS_DUE: &str = "
    select format(case when t.n_dead_tup > 50 + 0.2 * t.n_live_tup then 'VACUUM (ANALYZE) %I.%I' else 'ANALYZE %I.%I' end,
                  t.schemaname, t.relname)
    from pg_stat_all_tables t
    where t.schemaname in ('public', 'pg_catalog')
      and (t.n_dead_tup > 50 + 0.2 * t.n_live_tup or t.n_mod_since_analyze > 50 + 0.1 * t.n_live_tup)
    order by t.n_dead_tup + t.n_mod_since_analyze desc";

/// When each chore is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Between two looks for tables of which enough has changed.
    pub vacuum: Duration,
    /// Between two checkpoints at most.
    pub checkpoint: Duration,
    /// The size of the log in bytes from which on a checkpoint is due.
    pub wal: u64,
}

impl Default for Schedule {
    /// Each minute, as PostgreSQL's `autovacuum_naptime`; each five, as its `checkpoint_timeout`; 64 MiB, so that the log
    /// stays below 256 MiB although it grows while a checkpoint waits for its turn.
    fn default() -> Self {
        Self { vacuum: Duration::from_secs(60), checkpoint: Duration::from_secs(300), wal: 64 << 20 }
    }
}

/// Calls `run` whenever a chore is due, one at a time, for as long as it is polled. `wal` is the size of the log now. A chore
/// that fails is due again after its usual time; what was missed while another ran is done once.
pub async fn maintain<Run, Running, Error>(schedule: Schedule, wal: impl Fn() -> u64, mut run: Run)
where
    Run: FnMut(Chore) -> Running,
    Running: Future<Output = Result<(), Error>>,
    Error: std::fmt::Display,
{
    let (mut checkpoint, mut vacuum) = (Instant::now(), Instant::now());
    // A log that a checkpoint did not make small is not tried again before it has grown by as much once more.
    let mut limit = schedule.wal;
    loop {
        sleep(LOOK).await;
        let due = if wal() >= limit || checkpoint.elapsed() >= schedule.checkpoint {
            Chore::Checkpoint
        } else if vacuum.elapsed() >= schedule.vacuum {
            Chore::Vacuum
        } else {
            continue;
        };
        if let Err(error) = run(due).await {
            tracing::warn!(%error, chore = due.name(), "maintenance of the embedded PostgreSQL failed");
        }
        match due {
            Chore::Checkpoint => {
                checkpoint = Instant::now();
                limit = schedule.wal.max(wal() + schedule.wal / 2);
            }
            Chore::Vacuum => vacuum = Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_chore_is_done_at_its_time_also_after_a_failure() {
        let schedule = Schedule { vacuum: Duration::from_secs(50), checkpoint: Duration::from_secs(20), wal: u64::MAX };
        let (mut done, began) = (Vec::new(), Instant::now());
        let maintenance = maintain(
            schedule,
            || 0,
            |chore| {
                done.push((began.elapsed().as_secs(), chore));
                async { Err("refused") }
            },
        );
        assert!(tokio::time::timeout(Duration::from_secs(70), maintenance).await.is_err());
        let expected = [(20, Chore::Checkpoint), (40, Chore::Checkpoint), (50, Chore::Vacuum), (60, Chore::Checkpoint)];
        assert_eq!(done, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_grows_is_checkpointed_and_one_that_stays_large_not_without_end() {
        const MIB: u64 = 1 << 20;
        let schedule = Schedule { vacuum: Duration::MAX, checkpoint: Duration::MAX, wal: 64 * MIB };
        // It grows by 8 MiB each time that somebody looks; the third checkpoint and those after it free nothing.
        let (size, checkpoints) = (Cell::new(0), Cell::new(0));
        let sizes = std::cell::RefCell::new(Vec::new());
        let wal = || {
            size.set(size.get() + 8 * MIB);
            size.get()
        };
        let maintenance = maintain(schedule, wal, |_| {
            sizes.borrow_mut().push(size.get() / MIB);
            checkpoints.set(checkpoints.get() + 1);
            if checkpoints.get() < 3 {
                size.set(0);
            }
            async { Ok::<(), &str>(()) }
        });
        assert!(tokio::time::timeout(Duration::from_secs(25), maintenance).await.is_err());
        let sizes = sizes.borrow();
        assert_eq!(sizes[..3], [64, 64, 64]);
        assert!(sizes[3..].windows(2).all(|pair| pair[1] - pair[0] >= 32), "{sizes:?}");
        assert!(sizes.len() > 4, "{sizes:?}");
    }
}
