//! A store that cannot write the end of one job among many.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_engine::jobs::{ClaimedJob, EndedJob, JobClaim, JobCount, JobKey, JobOutlook, JobStore, Recurrence};
use tidegate_engine::model::{ShardId, Tenure, WorkerId};
use tidegate_kernel::{JobId, JobStatus, StoreError, SystemScope};
use tidegate_postgres::PgEngineStore;

use super::{Deed, Doer, Fixture, kinds, options, until};

/// A store that refuses to write the end of one job.
struct Refusing {
    store: Arc<PgEngineStore>,
    refused: JobId,
}

#[async_trait]
impl JobStore for Refusing {
    async fn look(
        &self,
        s: &SystemScope,
        w: WorkerId,
        t: &[Tenure],
        n: DateTime<Utc>,
    ) -> Result<JobOutlook, StoreError> {
        self.store.look(s, w, t, n).await
    }

    async fn claim(&self, s: &SystemScope, w: WorkerId, claim: &JobClaim) -> Result<Vec<ClaimedJob>, StoreError> {
        self.store.claim(s, w, claim).await
    }

    async fn recover(&self, s: &SystemScope, w: WorkerId, t: &[Tenure], hand: &[JobKey]) -> Result<(), StoreError> {
        self.store.recover(s, w, t, hand).await
    }

    async fn finish(
        &self,
        scope: &SystemScope,
        worker: WorkerId,
        ended: &[EndedJob],
        now: DateTime<Utc>,
    ) -> Result<Vec<JobKey>, StoreError> {
        if ended.iter().any(|ended| ended.key.job == self.refused) {
            return Err(StoreError::Conflict("a constraint".to_owned()));
        }
        self.store.finish(scope, worker, ended, now).await
    }

    async fn recur(
        &self,
        scope: &SystemScope,
        recurrences: &[Recurrence],
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.store.recur(scope, recurrences, now).await
    }

    async fn count(&self, scope: &SystemScope, shards: &[ShardId]) -> Result<Vec<JobCount>, StoreError> {
        self.store.count(scope, shards).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_cannot_be_written_holds_up_no_other() {
    let fixture = Fixture::new().await;
    let (ours, doer) = (fixture.stage.scene.ours, Doer::default());
    let mut jobs = Vec::new();
    for _ in 0..9 {
        jobs.push(fixture.deed(ours, Deed::Wait).await);
    }
    let store = Arc::new(fixture.engine_store().await);
    let refusing = Arc::new(Refusing { store: store.clone(), refused: jobs[4] });
    let process = fixture.process_on(store, refusing, kinds(&doer, options(16)), Duration::from_millis(20));
    until(async || doer.now.load(Ordering::SeqCst) == 9).await;
    doer.permits.add_permits(9);
    for (n, job) in jobs.iter().enumerate() {
        if n != 4 {
            fixture.becomes(ours, *job, None).await;
        }
    }
    process.shutdown().await;
    fixture.becomes(ours, jobs[4], Some(JobStatus::Ready)).await;
}
