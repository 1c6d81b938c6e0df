//! Compiled plans of the versions that are in use. A version never changes, so a plan is never stale.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate_kernel::{StoreError, WorkflowId, WorkspaceScope};
use tidegate_workflows::plan::Plan;
use tidegate_workflows::run::PlanSource;
use tokio::sync::Mutex;

/// How many plans are kept.
const CAPACITY: usize = 1_000;

/// Keeps what another source has compiled.
pub struct PlanCache {
    source: Arc<dyn PlanSource>,
    plans: Mutex<HashMap<(WorkflowId, i32), Arc<Plan>>>,
}

impl std::fmt::Debug for PlanCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanCache").finish_non_exhaustive()
    }
}

impl PlanCache {
    /// A cache before `source`.
    #[must_use]
    pub fn new(source: Arc<dyn PlanSource>) -> Self {
        Self { source, plans: Mutex::default() }
    }
}

#[async_trait]
impl PlanSource for PlanCache {
    async fn plan(
        &self,
        scope: &WorkspaceScope,
        workflow: WorkflowId,
        version: i32,
    ) -> Result<Option<Arc<Plan>>, StoreError> {
        if let Some(plan) = self.plans.lock().await.get(&(workflow, version)) {
            return Ok(Some(plan.clone()));
        }
        let Some(plan) = self.source.plan(scope, workflow, version).await? else { return Ok(None) };
        let mut plans = self.plans.lock().await;
        if plans.len() >= CAPACITY {
            // Rare, and cheaper than keeping an order: what is in use is back at once.
            plans.clear();
        }
        plans.insert((workflow, version), plan.clone());
        Ok(Some(plan))
    }
}
