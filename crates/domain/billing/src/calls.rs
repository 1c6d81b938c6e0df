//! Counts API calls in memory and writes them in numbered batches.
//!
//! A call costs one lock and one addition, and no query. The program flushes every second and at shutdown, so a crash
//! loses at most the counts of the last second. A failed batch is written again under the same number before any newer
//! batch. The ledger remembers the number, so that nothing is counted twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tidegate_kernel::{Environment, Meter, StoreError, SystemScope, WorkspaceId};
use uuid::Uuid;

use crate::ports::{CallCount, CallLedger};

/// The counter of one process.
pub struct CallMeter {
    ledger: Arc<dyn CallLedger>,
    env: Environment,
    recorder: Uuid,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Counts since the last batch.
    fresh: BTreeMap<(WorkspaceId, DateTime<Utc>), i64>,
    /// The batch that is being written or has failed.
    pending: Vec<CallCount>,
    /// The number of the current batch, or of the last one.
    batch: i64,
}

impl CallMeter {
    /// A counter without counts.
    #[must_use]
    pub fn new(ledger: Arc<dyn CallLedger>, env: Environment) -> Self {
        Self { ledger, recorder: env.uuid_v7(), env, counts: Mutex::default() }
    }

    /// Counts one call at the current time.
    pub fn count(&self, workspace: WorkspaceId) {
        let day = Meter::ApiCalls.period(self.env.now()).start;
        self.with(|counts| *counts.fresh.entry((workspace, day)).or_default() += 1);
    }

    /// Writes the calls that were counted before this call. Those that come meanwhile wait for the next flush, so it ends
    /// however many come. Makes no query if there are none. It MUST NOT be called concurrently.
    ///
    /// # Errors
    /// [`StoreError`] if a batch could not be written; it is kept for the next flush.
    pub async fn flush(&self, scope: &SystemScope) -> Result<(), StoreError> {
        // A batch that failed keeps its number, because it may have been written.
        self.write_pending(scope).await?;
        self.with(|counts| {
            if !counts.fresh.is_empty() {
                let fresh = std::mem::take(&mut counts.fresh).into_iter();
                counts.pending = fresh.map(|((workspace, day), calls)| CallCount { workspace, day, calls }).collect();
                counts.batch += 1;
            }
        });
        self.write_pending(scope).await
    }

    async fn write_pending(&self, scope: &SystemScope) -> Result<(), StoreError> {
        let (batch, pending) = self.with(|counts| (counts.batch, counts.pending.clone()));
        if !pending.is_empty() {
            self.ledger.record(scope, self.recorder, batch, &pending).await?;
            self.with(|counts| counts.pending.clear());
        }
        Ok(())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for CallMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallMeter").field("recorder", &self.recorder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{OnceLock, Weak};

    use async_trait::async_trait;

    use super::*;
    use crate::testing::{environment, issuer, now};

    /// Stores every batch, and reports an error for every other one although it was stored.
    #[derive(Default)]
    struct Ledger(Mutex<Vec<(i64, i64)>>);

    #[async_trait]
    impl CallLedger for Ledger {
        async fn record(&self, _: &SystemScope, _: Uuid, batch: i64, counts: &[CallCount]) -> Result<bool, StoreError> {
            let mut written = self.0.lock().unwrap();
            written.push((batch, counts.iter().map(|count| count.calls).sum()));
            if written.len() % 2 == 1 { Err(StoreError::Unavailable("no answer".into())) } else { Ok(true) }
        }
    }

    #[test]
    fn a_batch_that_failed_is_written_again_before_what_came_since() {
        let ledger = Arc::new(Ledger::default());
        let env = environment("2026-05-01T23:59:59Z");
        let meter = CallMeter::new(ledger.clone(), env.clone());
        let scope = issuer().system("a test");
        let workspace = WorkspaceId::generate(&env);
        now(meter.flush(&scope)).unwrap();
        assert_eq!(*ledger.0.lock().unwrap(), [], "nothing is written where nothing was counted");
        meter.count(workspace);
        meter.count(workspace);
        assert!(now(meter.flush(&scope)).is_err());
        meter.count(workspace);
        assert!(now(meter.flush(&scope)).is_err(), "the first batch passes, the second meets a failure");
        now(meter.flush(&scope)).unwrap();
        assert_eq!(*ledger.0.lock().unwrap(), [(1, 2), (1, 2), (2, 1), (2, 1)]);
    }

    /// Is called while a batch is written, as on a server that is never idle.
    #[derive(Default)]
    struct Busy(OnceLock<(Weak<CallMeter>, WorkspaceId)>, Mutex<Vec<i64>>);

    #[async_trait]
    impl CallLedger for Busy {
        async fn record(&self, _: &SystemScope, _: Uuid, batch: i64, counts: &[CallCount]) -> Result<bool, StoreError> {
            assert!(batch <= 2, "each flush writes one batch");
            let (meter, workspace) = self.0.get().unwrap();
            meter.upgrade().unwrap().count(*workspace);
            self.1.lock().unwrap().push(counts.iter().map(|count| count.calls).sum());
            Ok(true)
        }
    }

    #[test]
    fn calls_that_come_while_a_batch_is_written_wait_for_the_next_flush() {
        let ledger = Arc::new(Busy::default());
        let env = environment("2026-05-01T23:59:59Z");
        let meter = Arc::new(CallMeter::new(ledger.clone(), env.clone()));
        let workspace = WorkspaceId::generate(&env);
        ledger.0.set((Arc::downgrade(&meter), workspace)).unwrap();
        let scope = issuer().system("a test");
        (0..5).for_each(|_| meter.count(workspace));
        now(meter.flush(&scope)).unwrap();
        assert_eq!(*ledger.1.lock().unwrap(), [5]);
        now(meter.flush(&scope)).unwrap();
        assert_eq!(*ledger.1.lock().unwrap(), [5, 1]);
    }
}
