//! How many runs are behind which gate: counted by the shard's one owner, so exact.

use std::collections::HashMap;

use tidegate_kernel::WorkspaceId;

use crate::model::{Gate, Holding, ShardId};

/// The counts of the shards that a worker owns.
#[derive(Debug, Default)]
pub(crate) struct GateBook {
    held: HashMap<(WorkspaceId, Gate), (ShardId, u32)>,
}

impl GateBook {
    /// Takes over what was committed.
    pub(crate) fn load(&mut self, holdings: Vec<Holding>) {
        for holding in holdings {
            self.held.insert((holding.workspace, holding.gate), (holding.shard, holding.runs));
        }
    }

    /// Forgets a shard that is not owned any more.
    pub(crate) fn forget(&mut self, shard: ShardId) {
        self.held.retain(|_, (of, _)| *of != shard);
    }

    /// Lets one more through if the limit allows.
    pub(crate) fn pass(&mut self, shard: ShardId, workspace: WorkspaceId, gate: &Gate, limit: u32) -> bool {
        let held = self.held.entry((workspace, gate.clone())).or_insert((shard, 0));
        let free = held.1 < limit;
        held.1 += u32::from(free);
        free
    }

    /// One has left, and `successors` took its place.
    pub(crate) fn leave(&mut self, workspace: WorkspaceId, gate: &Gate) {
        if let Some(held) = self.held.get_mut(&(workspace, gate.clone())) {
            held.1 = held.1.saturating_sub(1);
            if held.1 == 0 {
                self.held.remove(&(workspace, gate.clone()));
            }
        }
    }

    /// One was let through by the store in the place of one that left.
    pub(crate) fn promote(&mut self, shard: ShardId, workspace: WorkspaceId, gate: &Gate) {
        self.held.entry((workspace, gate.clone())).or_insert((shard, 0)).1 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_gate_lets_through_as_many_as_its_limit_and_one_more_for_each_that_leaves() {
        let (shard, workspace, gate) = (ShardId(1), WorkspaceId::from_uuid(Uuid::nil()), Gate::workspace());
        let mut book = GateBook::default();
        book.load(vec![Holding { shard, workspace, gate: gate.clone(), runs: 1 }]);
        assert!(book.pass(shard, workspace, &gate, 2));
        assert!(!book.pass(shard, workspace, &gate, 2));
        book.leave(workspace, &gate);
        assert!(book.pass(shard, workspace, &gate, 2));
        book.leave(workspace, &gate);
        book.promote(shard, workspace, &gate);
        assert!(!book.pass(shard, workspace, &gate, 2));
        book.forget(shard);
        assert!(book.pass(shard, workspace, &gate, 1));
    }
}
