//! Caches compiled workflows by version. A version never changes, so a cached compiled workflow is never stale.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tidegate_kernel::{CacheCounts, CacheFigures, WorkflowId, WorkspaceId};

use crate::compiled::CompiledWorkflow;

/// The maximum number of entries of each cache.
const CAPACITY: usize = 1_000;

type CompiledVersions = HashMap<(WorkflowId, i32), Arc<CompiledWorkflow>>;

/// The version of each workflow that was published when last read. It can be stale, so a transaction has to confirm it.
type Published = HashMap<(WorkspaceId, WorkflowId), i32>;

/// Compiled workflows by version, and published versions. Clones share the entries.
#[derive(Debug, Clone, Default)]
pub(super) struct CompiledCache {
    versions: Arc<RwLock<CompiledVersions>>,
    published: Arc<RwLock<Published>>,
    version_counts: Arc<CacheCounts>,
    published_counts: Arc<CacheCounts>,
}

impl CompiledCache {
    pub(super) fn get(&self, workflow: WorkflowId, version: i32) -> Option<Arc<CompiledWorkflow>> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        self.version_counts.count(versions.get(&(workflow, version)).cloned())
    }

    pub(super) fn put(&self, workflow: WorkflowId, version: i32, compiled: Arc<CompiledWorkflow>) {
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        if versions.len() >= CAPACITY {
            // Rare, and cheaper than tracking recent use: entries in use are soon cached again.
            versions.clear();
        }
        versions.insert((workflow, version), compiled);
    }

    pub(super) fn published(&self, workspace: WorkspaceId, workflow: WorkflowId) -> Option<i32> {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        self.published_counts.count(published.get(&(workspace, workflow)).copied())
    }

    pub(super) fn publish(&self, workspace: WorkspaceId, workflow: WorkflowId, version: i32) {
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        if published.len() >= CAPACITY {
            published.clear();
        }
        published.insert((workspace, workflow), version);
    }

    pub(super) fn figures(&self) -> [CacheFigures; 2] {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner).len();
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner).len();
        [
            self.version_counts.figures("compiled_workflows", number(versions), number(CAPACITY)),
            self.published_counts.figures("published_versions", number(published), number(CAPACITY)),
        ]
    }
}
