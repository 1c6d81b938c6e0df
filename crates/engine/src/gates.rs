//! Counts the runs behind each gate. Only the owner of the shard counts them, so the counts are exact.

use std::collections::HashMap;

use tidegate_kernel::WorkspaceId;

use crate::model::{Departure, Gate, Holding, ShardId};

/// The counts for the shards that a worker owns.
#[derive(Debug, Default)]
pub(crate) struct GateBook {
    gates: HashMap<(WorkspaceId, Gate), Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    shard: ShardId,
    /// Runs behind the gate (including those whose departure is not committed) and places reserved for runs that wait.
    held: u32,
    /// The runs among them whose departure is not committed.
    leaving: u32,
}

impl GateBook {
    fn count(&mut self, shard: ShardId, workspace: WorkspaceId, gate: &Gate) -> &mut Count {
        self.gates.entry((workspace, gate.clone())).or_insert(Count { shard, held: 0, leaving: 0 })
    }

    /// Loads the committed counts.
    pub(crate) fn load(&mut self, holdings: Vec<Holding>) {
        for holding in holdings {
            let count = Count { shard: holding.shard, held: holding.runs, leaving: 0 };
            self.gates.insert((holding.workspace, holding.gate), count);
        }
    }

    /// Forgets a shard that the worker no longer owns.
    pub(crate) fn forget(&mut self, shard: ShardId) {
        self.gates.retain(|_, count| count.shard != shard);
    }

    /// Whether one more run could pass the gate.
    pub(crate) fn has_room(&self, workspace: WorkspaceId, gate: &Gate, limit: u32) -> bool {
        self.gates.get(&(workspace, gate.clone())).is_none_or(|count| count.held < limit)
    }

    /// Lets one more run pass if the limit allows it. Returns whether it did.
    pub(crate) fn pass(&mut self, shard: ShardId, workspace: WorkspaceId, gate: &Gate, limit: u32) -> bool {
        let count = self.count(shard, workspace, gate);
        let free = count.held < limit;
        count.held += u32::from(free);
        free
    }

    /// A run is about to leave. Returns how many waiting runs may then pass, and reserves the places for them.
    pub(crate) fn vacate(&mut self, shard: ShardId, workspace: WorkspaceId, gate: &Gate, limit: u32) -> u32 {
        let count = self.count(shard, workspace, gate);
        count.leaving += 1;
        let places = limit.saturating_sub(count.held.saturating_sub(count.leaving));
        count.held += places;
        places
    }

    /// A run is about to leave a gate whose limit is unknown: one waiting run may pass in its place.
    pub(crate) fn hand_over(&mut self, shard: ShardId, workspace: WorkspaceId, gate: &Gate) -> u32 {
        let count = self.count(shard, workspace, gate);
        count.leaving += 1;
        count.held += 1;
        1
    }

    /// A run is about to leave: [`GateBook::vacate`] if the limit is known, else [`GateBook::hand_over`].
    pub(crate) fn depart(&mut self, shard: ShardId, workspace: WorkspaceId, gate: &Gate, limit: Option<u32>) -> u32 {
        match limit {
            Some(limit) => self.vacate(shard, workspace, gate, limit),
            None => self.hand_over(shard, workspace, gate),
        }
    }

    /// A departure was committed. The places that were reserved for it are released; [`GateBook::promote`] counts each
    /// run that the store let pass.
    pub(crate) fn leave(&mut self, workspace: WorkspaceId, departure: &Departure) {
        let key = (workspace, departure.gate.clone());
        if let Some(count) = self.gates.get_mut(&key) {
            count.leaving = count.leaving.saturating_sub(1);
            count.held = count.held.saturating_sub(departure.places.saturating_add(1));
            if count.held == 0 && count.leaving == 0 {
                self.gates.remove(&key);
            }
        }
    }

    /// The store let a waiting run pass.
    pub(crate) fn promote(&mut self, shard: ShardId, workspace: WorkspaceId, gate: &Gate) {
        self.count(shard, workspace, gate).held += 1;
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
        let places = book.vacate(shard, workspace, &gate, 2);
        assert_eq!(places, 1);
        assert!(!book.pass(shard, workspace, &gate, 2), "the place is kept for who waits");
        book.leave(workspace, &Departure { gate: gate.clone(), places });
        assert!(book.pass(shard, workspace, &gate, 2), "nobody waited");
        book.forget(shard);
        assert!(book.pass(shard, workspace, &gate, 1));
    }

    #[test]
    fn whoever_leaves_fills_the_gate_up_to_its_limit() {
        let (shard, workspace, gate) = (ShardId(1), WorkspaceId::from_uuid(Uuid::nil()), Gate::workspace());
        let mut book = GateBook::default();
        book.load(vec![Holding { shard, workspace, gate: gate.clone(), runs: 2 }]);
        let (first, second) = (book.vacate(shard, workspace, &gate, 4), book.vacate(shard, workspace, &gate, 4));
        assert_eq!((first, second), (3, 1));
        book.leave(workspace, &Departure { gate: gate.clone(), places: first });
        book.leave(workspace, &Departure { gate: gate.clone(), places: second });
        for _ in 0..4 {
            book.promote(shard, workspace, &gate);
        }
        assert!(!book.has_room(workspace, &gate, 4));
    }
}
