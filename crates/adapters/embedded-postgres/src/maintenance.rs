//! Maintenance that a PostgreSQL server does in the background and the embedded one does not: vacuums and checkpoints.
//!
//! The caller has the one connection, so it executes the work. This module decides when, and what.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often the schedule is checked.
const LOOK: Duration = Duration::from_millis(500);

/// A maintenance task that is due. Each runs as the superuser, outside a transaction. A session that has given its
/// rights up gets them back with `SET SESSION AUTHORIZATION postgres`; `RESET` does not do that here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// `CHECKPOINT`: bounds the write-ahead log, and the time of recovery after a kill.
    Checkpoint,
    /// `VACUUM` and `ANALYZE` of tables with enough changes: reclaims dead rows and updates the planner's statistics.
    Vacuum,
}

impl Chore {
    /// Its name in logs.
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

/// A query whose rows are the statements of [`Chore::Vacuum`]: one for each table with enough changed rows, by the
/// default thresholds of autovacuum, most urgent first. Run each in a turn of its own, because together they hold the
/// connection for seconds. A table that has only grown is analyzed and not vacuumed, which reads only a sample.
pub const VACUUMS_DUE: &str = "
    select format(case when t.n_dead_tup > 50 + 0.2 * t.n_live_tup then 'VACUUM (ANALYZE) %I.%I' else 'ANALYZE %I.%I' end,
                  t.schemaname, t.relname)
    from pg_stat_all_tables t
    where t.schemaname in ('public', 'pg_catalog')
      and (t.n_dead_tup > 50 + 0.2 * t.n_live_tup or t.n_mod_since_analyze > 50 + 0.1 * t.n_live_tup)
    order by t.n_dead_tup + t.n_mod_since_analyze desc";

/// When each task is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// The interval between two searches for tables with enough changes.
    pub vacuum: Duration,
    /// The longest time between two checkpoints.
    pub checkpoint: Duration,
    /// The size of the write-ahead log, in bytes, at which a checkpoint is due.
    pub wal: u64,
}

impl Default for Schedule {
    /// Vacuums every minute, as PostgreSQL's `autovacuum_naptime`; checkpoints every five, as its `checkpoint_timeout`,
    /// or at 64 MiB, so that the log stays below 256 MiB although it grows while a checkpoint waits for its turn.
    fn default() -> Self {
        Self { vacuum: Duration::from_secs(60), checkpoint: Duration::from_secs(300), wal: 64 << 20 }
    }
}

/// Calls `run` whenever a task is due, one at a time, for as long as this future is polled. `wal` gives the current
/// size of the write-ahead log. A failed task is due again after its usual interval; a task missed while another ran is
/// done once.
pub async fn maintain<Run, Running, Error>(schedule: Schedule, wal: impl Fn() -> u64, mut run: Run)
where
    Run: FnMut(Chore) -> Running,
    Running: Future<Output = Result<(), Error>>,
    Error: std::fmt::Display,
{
    let (mut checkpoint, mut vacuum) = (Instant::now(), Instant::now());
    // If a checkpoint does not shrink the log, the next is due only when the log has grown by half of the limit.
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
        // The log grows by 8 MiB at each check. The third checkpoint and those after it free nothing.
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
