//! The waiting jobs of one kind: which workspace has its turn, and from which job on to claim.

use std::collections::{BTreeMap, HashMap};

use tidegate_kernel::{JobPriority, WorkspaceId};

use super::super::kinds::Kind;
use super::super::model::{Lane, LaneClaim};
use super::measures::KindMeasures;
use crate::fairness::Ring;
use crate::model::ShardId;

/// If more lanes than this are remembered, those without jobs are forgotten.
const REMEMBERED: usize = 4_096;

/// A lane that has or had ready jobs.
struct Known {
    shard: ShardId,
    /// Jobs up to this sequence number were claimed.
    bound: i64,
    has_work: bool,
    /// Whether a job became ready during the claim in progress.
    nudged: bool,
}

/// The state of one kind.
pub(super) struct KindQueue {
    name: &'static str,
    pub(super) kind: Kind,
    pub(super) measures: KindMeasures,
    /// Workspaces that have ready jobs and may begin more attempts.
    ring: Ring<WorkspaceId>,
    lanes: HashMap<WorkspaceId, BTreeMap<JobPriority, Known>>,
    /// The number of running attempts per workspace.
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

    /// A lane has ready jobs. `first` is the sequence number of the first one, if known.
    pub(super) fn has_work(&mut self, lane: &Lane, first: Option<i64>, claiming: bool) {
        let lanes = self.lanes.entry(lane.workspace).or_default();
        let fresh = Known { shard: lane.shard, bound: 0, has_work: true, nudged: false };
        let known = lanes.entry(lane.priority).or_insert(fresh);
        known.shard = lane.shard;
        known.has_work = true;
        known.nudged |= claiming;
        if let Some(first) = first {
            // A job below the bound was committed late: its transaction began before that of a job which was already
            // claimed.
            known.bound = known.bound.min(first.saturating_sub(1));
        }
        self.enter(lane.workspace);
    }

    /// Adds a workspace to the ring if it has ready jobs and may begin more attempts.
    fn enter(&mut self, workspace: WorkspaceId) {
        let has_work = self.lanes.get(&workspace).is_some_and(|lanes| lanes.values().any(|known| known.has_work));
        if has_work && self.room(workspace) > 0 {
            self.ring.insert(workspace, 1);
        }
    }

    /// How many more attempts a workspace may begin.
    fn room(&self, workspace: WorkspaceId) -> usize {
        let running = self.running.get(&workspace).copied().unwrap_or(0);
        self.kind.options.per_workspace().saturating_sub(running)
    }

    /// What to claim next: up to `most` jobs.
    pub(super) fn share(&mut self, most: usize) -> Vec<LaneClaim> {
        let free = self.kind.options.concurrency.saturating_sub(self.total).min(most);
        if free == 0 || self.ring.is_empty() {
            return Vec::new();
        }
        let mut claims = Vec::new();
        for (workspace, share) in self.ring.share(u32::try_from(free).unwrap_or(u32::MAX)) {
            let room = u32::try_from(self.room(workspace)).unwrap_or(u32::MAX);
            let first = self.lanes.get(&workspace).and_then(|lanes| lanes.iter().find(|(_, known)| known.has_work));
            let (Some((priority, known)), 1..) = (first, share.min(room)) else { continue };
            let lane = Lane { shard: known.shard, workspace, kind: self.name.to_owned(), priority: *priority };
            claims.push(LaneClaim { lane, bound: known.bound, quantum: share.min(room) });
        }
        claims
    }

    /// A claim returned `taken` jobs of the lane. `last` is the highest sequence number among them.
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
        if self.room(workspace) == 0 {
            // In the ring it would only take the turns of other workspaces.
            self.ring.remove(workspace);
        }
    }

    pub(super) fn ended(&mut self, workspace: WorkspaceId) {
        self.total = self.total.saturating_sub(1);
        if let Some(running) = self.running.get_mut(&workspace) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                self.running.remove(&workspace);
            }
        }
        self.enter(workspace);
    }

    pub(super) fn forget(&mut self, shard: ShardId) {
        self.retain(|known| known.shard != shard);
    }

    /// Forgets lanes without jobs if there are more than [`REMEMBERED`].
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{JobError, JobHandler, JobKinds, JobOptions, JobTask};
    use async_trait::async_trait;
    use serde::{Deserialize, Serialize};
    use tidegate_kernel::JobPayload;
    use uuid::Uuid;

    #[derive(Serialize, Deserialize)]
    struct Nothing {}

    impl JobPayload for Nothing {
        const KIND: &'static str = "test.nothing";
    }

    struct Handler;

    #[async_trait]
    impl JobHandler<Nothing> for Handler {
        async fn run(&self, _: &JobTask, _: Nothing) -> Result<(), JobError> {
            Ok(())
        }
    }

    fn queue(concurrency: usize) -> KindQueue {
        let options = JobOptions { concurrency, ..JobOptions::default() };
        let mut kinds = JobKinds::default().register::<Nothing>(options, Handler).unwrap().kinds;
        KindQueue::new(Nothing::KIND, kinds.remove(Nothing::KIND).unwrap())
    }

    fn workspace(n: u128) -> WorkspaceId {
        WorkspaceId::from_uuid(Uuid::from_u128(n))
    }

    fn lane(n: u128) -> Lane {
        let kind = Nothing::KIND.to_owned();
        Lane { shard: ShardId(0), workspace: workspace(n), kind, priority: JobPriority::Normal }
    }

    /// Claims as much as possible from lanes that never run empty. Returns how much each workspace got.
    fn claim(queue: &mut KindQueue) -> Vec<(u128, u32)> {
        let claims = queue.share(usize::MAX);
        for claim in &claims {
            queue.claimed(claim, claim.quantum, 0);
            (0..claim.quantum).for_each(|_| queue.began(claim.lane.workspace));
        }
        claims.iter().map(|claim| (claim.lane.workspace.as_uuid().as_u128(), claim.quantum)).collect()
    }

    #[test]
    fn a_workspace_that_is_full_takes_no_turn_of_another() {
        let mut queue = queue(16);
        queue.has_work(&lane(1), None, false);
        assert_eq!(claim(&mut queue), [(1, 12)], "it leaves a quarter to others");
        assert_eq!(claim(&mut queue), [], "and waits");
        queue.has_work(&lane(1), None, false);
        queue.has_work(&lane(2), None, false);
        assert_eq!(claim(&mut queue), [(2, 4)], "another one begins at once");
        // The lane has no more jobs.
        queue.claimed(&LaneClaim { lane: lane(2), bound: 0, quantum: 1 }, 0, 0);
        queue.ended(workspace(1));
        assert_eq!(claim(&mut queue), [(1, 1)], "what ends makes room");
    }

    #[test]
    fn the_first_priority_goes_first_and_a_late_job_is_found_below_the_bound() {
        let mut queue = queue(2);
        queue.has_work(&lane(1), None, false);
        queue.has_work(&Lane { priority: JobPriority::High, ..lane(1) }, None, false);
        let first = queue.share(1).remove(0);
        assert_eq!((first.lane.priority, first.quantum), (JobPriority::High, 1));
        queue.claimed(&first, 0, 0);
        let second = queue.share(1).remove(0);
        assert_eq!(second.lane.priority, JobPriority::Normal);
        queue.claimed(&second, 1, 90);
        queue.has_work(&lane(1), Some(70), false);
        assert_eq!(queue.share(1)[0].bound, 69);
    }
}
