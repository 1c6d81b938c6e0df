//! The shards that this process owns. Runs and jobs work under the same fencing epochs.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::model::{ShardId, Tenure, WorkerId};

/// The shards of this process's worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    /// The worker; `None` before it has started and after it has ended.
    pub(crate) worker: Option<WorkerId>,
    /// Its tenures, ordered.
    pub(crate) tenures: Vec<Tenure>,
    /// The shards among them that are about to be given up: no new work begins in them.
    pub(crate) leaving: BTreeSet<ShardId>,
}

/// Connects the worker, which owns shards, with the job runner, which works in them. The worker publishes what it owns,
/// and the runner publishes where it is busy. The worker gives a shard up only when the runner is not busy in it.
#[derive(Debug, Clone, Default)]
pub struct OwnedShards {
    owned: Arc<watch::Sender<Owned>>,
    busy: Arc<watch::Sender<BTreeSet<ShardId>>>,
}

impl OwnedShards {
    pub(crate) fn publish(&self, owned: Owned) {
        self.owned.send_if_modified(|known| {
            let changed = *known != owned;
            *known = owned;
            changed
        });
    }

    pub(crate) fn owned(&self) -> watch::Receiver<Owned> {
        self.owned.subscribe()
    }

    pub(crate) fn set_busy(&self, busy: BTreeSet<ShardId>) {
        self.busy.send_if_modified(|known| {
            let changed = *known != busy;
            *known = busy;
            changed
        });
    }

    pub(crate) fn busy(&self) -> watch::Receiver<BTreeSet<ShardId>> {
        self.busy.subscribe()
    }
}
