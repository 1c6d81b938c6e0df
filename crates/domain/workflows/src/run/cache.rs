//! Compiled plans of the versions that are in use. A version never changes, so a plan is never stale.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tidegate_kernel::{WorkflowId, WorkspaceId};

use crate::plan::Plan;

/// How many plans are kept.
const CAPACITY: usize = 1_000;

type Plans = HashMap<(WorkflowId, i32), Arc<Plan>>;

/// The version that was published when a workflow was looked at last. Whoever goes by it makes sure in a transaction.
type Published = HashMap<(WorkspaceId, WorkflowId), i32>;

/// Plans by version. A copy shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct PlanCache {
    plans: Arc<RwLock<Plans>>,
    published: Arc<RwLock<Published>>,
}

impl PlanCache {
    pub(super) fn get(&self, workflow: WorkflowId, version: i32) -> Option<Arc<Plan>> {
        self.plans.read().unwrap_or_else(PoisonError::into_inner).get(&(workflow, version)).cloned()
    }

    pub(super) fn put(&self, workflow: WorkflowId, version: i32, plan: Arc<Plan>) {
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= CAPACITY {
            // Rare, and cheaper than keeping an order: what is in use is back at once.
            plans.clear();
        }
        plans.insert((workflow, version), plan);
    }
    pub(super) fn published(&self, workspace: WorkspaceId, workflow: WorkflowId) -> Option<i32> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).get(&(workspace, workflow)).copied()
    }

    pub(super) fn publish(&self, workspace: WorkspaceId, workflow: WorkflowId, version: i32) {
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        if published.len() >= CAPACITY {
            published.clear();
        }
        published.insert((workspace, workflow), version);
    }
}
