//! The shards that this process owns, for whatever works under the same fence as runs do.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::model::{ShardId, Tenure, WorkerId};

/// What the worker of this process owns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Owned {
    /// The worker; none before it has begun and after it has ended.
    pub(crate) worker: Option<WorkerId>,
    /// Its shards, in order.
    pub(crate) tenures: Vec<Tenure>,
    /// Shards of these that are about to be given back: nothing more begins in them.
    pub(crate) leaving: BTreeSet<ShardId>,
}

/// Connects the worker that owns shards with what else works in them: the one says what it owns, the other what it is still
/// busy with, so that a shard is given back only when nobody is.
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
