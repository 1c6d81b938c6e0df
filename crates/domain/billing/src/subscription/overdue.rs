//! Wakes subscriptions whose job is dead or missing.

use std::sync::Arc;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Environment, JobPayload, RequestId, StoreError, SystemScope, WorkspaceId};

use super::service::{SubscriptionError, Subscriptions};
use crate::ports::OverdueSubscriptions;

/// A subscription is overdue when it has had something to do for so long.
const OVERDUE: TimeDelta = TimeDelta::hours(1);

/// The count of overdue subscriptions stops here, and so many are read at once.
const BATCH: u32 = 1_000;

/// The payload of the recurring job that wakes overdue subscriptions.
#[derive(Debug, Serialize, Deserialize)]
pub struct WakeOverdueSubscriptions {}

impl JobPayload for WakeOverdueSubscriptions {
    const KIND: &'static str = "subscriptions.wake_overdue";
}

/// Wakes overdue subscriptions.
#[derive(Clone)]
pub struct OverdueSweep {
    store: Arc<dyn OverdueSubscriptions>,
    subscriptions: Subscriptions,
    scope: Arc<SystemScope>,
    env: Environment,
}

impl std::fmt::Debug for OverdueSweep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverdueSweep").finish_non_exhaustive()
    }
}

impl OverdueSweep {
    /// The use case over `store`. `scope` is the proof that it may work across tenants.
    #[must_use]
    pub const fn new(
        store: Arc<dyn OverdueSubscriptions>,
        subscriptions: Subscriptions,
        scope: Arc<SystemScope>,
        env: Environment,
    ) -> Self {
        Self { store, subscriptions, scope, env }
    }

    /// The number of overdue subscriptions; the count stops at 1,000.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be counted.
    pub async fn count(&self) -> Result<usize, StoreError> {
        let before = self.env.now() - OVERDUE;
        Ok(self.store.overdue(&self.scope, before, None, BATCH).await?.len())
    }

    /// Wakes each overdue subscription once, and returns those that failed. A failure does not keep the others from
    /// being woken.
    ///
    /// # Errors
    /// [`StoreError`] if the overdue subscriptions could not be read.
    pub async fn run(&self, request_id: &RequestId) -> Result<Vec<(WorkspaceId, SubscriptionError)>, StoreError> {
        let before = self.env.now() - OVERDUE;
        let (mut failed, mut after) = (Vec::new(), None);
        loop {
            let overdue = self.store.overdue(&self.scope, before, after, BATCH).await?;
            let Some(last) = overdue.last() else { return Ok(failed) };
            after = Some(*last);
            for (_, workspace) in overdue {
                let woken = self.subscriptions.wake(&self.scope.enter(workspace, request_id.clone())).await;
                failed.extend(woken.err().map(|error| (workspace, error)));
            }
        }
    }
}
