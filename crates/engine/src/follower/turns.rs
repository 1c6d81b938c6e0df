//! The queue of workspaces. A workspace is in the queue at most once, and never while it is being read or pauses.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use tidegate_kernel::WorkspaceId;
use tokio::time::Instant;

/// The state of a workspace that is not in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    /// It is being read. It is queued again if events arrived meanwhile.
    Reading { again: bool },
    /// It pauses until this time. It is then queued if events arrived meanwhile.
    Resting { until: Instant, again: bool },
}

#[derive(Debug, Default)]
pub(super) struct Turns {
    line: VecDeque<WorkspaceId>,
    in_line: HashSet<WorkspaceId>,
    away: HashMap<WorkspaceId, Away>,
    resting: BTreeSet<(Instant, WorkspaceId)>,
}

impl Turns {
    /// `workspace` has events to read.
    pub(super) fn wants(&mut self, workspace: WorkspaceId) {
        match self.away.get_mut(&workspace) {
            Some(Away::Reading { again } | Away::Resting { again, .. }) => *again = true,
            None => self.queue(workspace),
        }
    }

    /// Takes the next workspace from the queue. It counts as being read until [`Turns::again`] or [`Turns::rests`].
    pub(super) fn next(&mut self, now: Instant) -> Option<WorkspaceId> {
        while let Some((until, workspace)) = self.resting.first().copied().filter(|(until, _)| *until <= now) {
            self.resting.remove(&(until, workspace));
            if self.away.remove(&workspace) == Some(Away::Resting { until, again: true }) {
                self.queue(workspace);
            }
        }
        let workspace = self.line.pop_front()?;
        self.in_line.remove(&workspace);
        self.away.insert(workspace, Away::Reading { again: false });
        Some(workspace)
    }

    /// When the first pause ends.
    pub(super) fn next_rested(&self) -> Option<Instant> {
        self.resting.first().map(|(until, _)| *until)
    }

    /// A step of `workspace` has ended and there are more events: puts it at the end of the queue.
    pub(super) fn again(&mut self, workspace: WorkspaceId) {
        self.away.remove(&workspace);
        self.queue(workspace);
    }

    /// A step of `workspace` has ended and it pauses until `until`.
    pub(super) fn rests(&mut self, workspace: WorkspaceId, until: Instant) {
        let again = matches!(self.away.get(&workspace), Some(Away::Reading { again: true }));
        self.away.insert(workspace, Away::Resting { until, again });
        self.resting.insert((until, workspace));
    }

    fn queue(&mut self, workspace: WorkspaceId) {
        if self.in_line.insert(workspace) {
            self.line.push_back(workspace);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    fn workspace(n: u128) -> WorkspaceId {
        WorkspaceId::from_uuid(Uuid::from_u128(n))
    }

    #[test]
    fn workspaces_take_turns_and_stand_in_the_line_once() {
        let now = Instant::now();
        let mut turns = Turns::default();
        for n in [1, 2, 1] {
            turns.wants(workspace(n));
        }
        assert_eq!(turns.next(now), Some(workspace(1)));
        turns.again(workspace(1));
        assert_eq!(turns.next(now), Some(workspace(2)));
        assert_eq!(turns.next(now), Some(workspace(1)));
        assert_eq!(turns.next(now), None);
    }

    #[test]
    fn what_comes_while_a_workspace_is_read_or_rests_is_read_after_its_rest() {
        let now = Instant::now();
        let rested = now + Duration::from_secs(1);
        let mut turns = Turns::default();
        for n in [1, 2, 3] {
            turns.wants(workspace(n));
            assert_eq!(turns.next(now), Some(workspace(n)));
        }
        turns.wants(workspace(1));
        for n in [1, 2, 3] {
            turns.rests(workspace(n), rested);
        }
        turns.wants(workspace(2));
        assert_eq!((turns.next(now), turns.next_rested()), (None, Some(rested)));
        assert_eq!(turns.next(rested), Some(workspace(1)));
        assert_eq!(turns.next(rested), Some(workspace(2)));
        assert_eq!((turns.next(rested), turns.next_rested()), (None, None));
        turns.wants(workspace(3));
        assert_eq!(turns.next(rested), Some(workspace(3)));
    }
}
