//! Compiled plans of the versions that are in use. A version never changes, so a plan is never stale.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tidegate_kernel::WorkflowId;

use crate::plan::Plan;

/// How many plans are kept.
const CAPACITY: usize = 1_000;

type Plans = HashMap<(WorkflowId, i32), Arc<Plan>>;

/// Plans by version. A copy shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct PlanCache {
    plans: Arc<RwLock<Plans>>,
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
}
