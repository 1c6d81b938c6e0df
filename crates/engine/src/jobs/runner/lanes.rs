//! The jobs of one kind that wait: whose turn it is, and from which place on.

use std::collections::{BTreeMap, HashMap};

use tidegate_kernel::{JobPriority, WorkspaceId};

use super::super::kinds::Kind;
use super::super::model::{Lane, LaneClaim};
use super::measures::KindMeasures;
use crate::fairness::Ring;
use crate::model::ShardId;

/// Lanes without jobs are forgotten when there are more than these.
const REMEMBERED: usize = 4_096;

/// A lane that has, or had, something.
struct Known {
    shard: ShardId,
    /// Jobs up to here were claimed.
    bound: i64,
    has_work: bool,
    /// Something came while a claim was on its way.
    nudged: bool,
}

/// What is known of one kind.
pub(super) struct KindQueue {
    name: &'static str,
    pub(super) kind: Kind,
    pub(super) measures: KindMeasures,
    ring: Ring<WorkspaceId>,
    lanes: HashMap<WorkspaceId, BTreeMap<JobPriority, Known>>,
    /// How many attempts each workspace has in hand.
    running: HashMap<WorkspaceId, usize>,
    total: usize,
}

impl KindQueue {
    pub(super) fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            measures: KindMeasures::new(name),
            ring: Ring::default(),
            lanes: HashMap::new(),
            running: HashMap::new(),
            total: 0,
        }
    }

    /// A lane has jobs; where it is known, the first of them is at `first`.
    pub(super) fn has_work(&mut self, lane: &Lane, first: Option<i64>, claiming: bool) {
        let lanes = self.lanes.entry(lane.workspace).or_default();
        let fresh = Known { shard: lane.shard, bound: 0, has_work: true, nudged: false };
        let known = lanes.entry(lane.priority).or_insert(fresh);
        known.shard = lane.shard;
        known.has_work = true;
        known.nudged |= claiming;
        if let Some(first) = first {
            // A job below the bound came late: its transaction began before those of jobs that were claimed.
            known.bound = known.bound.min(first.saturating_sub(1));
        }
        self.ring.insert(lane.workspace, 1);
    }

    /// What to claim next, up to `most` jobs.
    pub(super) fn share(&mut self, most: usize) -> Vec<LaneClaim> {
        let free = self.kind.options.concurrency.saturating_sub(self.total).min(most);
        if free == 0 || self.ring.is_empty() {
            return Vec::new();
        }
        let cap = self.kind.options.per_workspace();
        let mut claims = Vec::new();
        for (workspace, share) in self.ring.share(u32::try_from(free).unwrap_or(u32::MAX)) {
            let running = self.running.get(&workspace).copied().unwrap_or(0);
            let room = u32::try_from(cap.saturating_sub(running)).unwrap_or(u32::MAX);
            let first = self.lanes.get(&workspace).and_then(|lanes| lanes.iter().find(|(_, known)| known.has_work));
            let (Some((priority, known)), 1..) = (first, share.min(room)) else { continue };
            let lane = Lane { shard: known.shard, workspace, kind: self.name.to_owned(), priority: *priority };
            claims.push(LaneClaim { lane, bound: known.bound, quantum: share.min(room) });
        }
        claims
    }

    /// A claim has brought `taken` jobs of the lane, the last of them at `last`.
    pub(super) fn claimed(&mut self, claim: &LaneClaim, taken: u32, last: i64) {
        let Some(lanes) = self.lanes.get_mut(&claim.lane.workspace) else { return };
        if let Some(known) = lanes.get_mut(&claim.lane.priority) {
            known.bound = known.bound.max(last);
            known.has_work = taken >= claim.quantum || known.nudged;
            known.nudged = false;
        }
        if !lanes.values().any(|known| known.has_work) {
            self.ring.remove(claim.lane.workspace);
        }
    }

    pub(super) fn began(&mut self, workspace: WorkspaceId) {
        *self.running.entry(workspace).or_default() += 1;
        self.total += 1;
    }

    pub(super) fn ended(&mut self, workspace: WorkspaceId) {
        self.total = self.total.saturating_sub(1);
        if let Some(running) = self.running.get_mut(&workspace) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                self.running.remove(&workspace);
            }
        }
    }

    pub(super) fn forget(&mut self, shard: ShardId) {
        self.retain(|known| known.shard != shard);
    }

    /// Forgets lanes without jobs where there are many.
    pub(super) fn tidy(&mut self) {
        if self.lanes.len() > REMEMBERED {
            self.retain(|known| known.has_work);
        }
    }

    fn retain(&mut self, keep: impl Fn(&Known) -> bool) {
        let ring = &mut self.ring;
        self.lanes.retain(|workspace, lanes| {
            lanes.retain(|_, known| keep(known));
            if !lanes.values().any(|known| known.has_work) {
                ring.remove(*workspace);
            }
            !lanes.is_empty()
        });
    }
}
