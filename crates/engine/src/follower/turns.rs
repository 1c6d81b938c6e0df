//! Whose turn it is: each workspace at most once in the line, never in the line while it is being read or rests.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use tidegate_kernel::WorkspaceId;
use tokio::time::Instant;

/// Where a workspace stands that is not in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    /// Being read; it wants another turn if something came meanwhile.
    Reading { again: bool },
    /// Rests until then; it wants a turn if something came meanwhile.
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
    /// There is something to read in `workspace`.
    pub(super) fn wants(&mut self, workspace: WorkspaceId) {
        match self.away.get_mut(&workspace) {
            Some(Away::Reading { again } | Away::Resting { again, .. }) => *again = true,
            None => self.queue(workspace),
        }
    }

    /// The workspace whose turn it is; it counts as being read until [`Turns::again`] or [`Turns::rests`].
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

    /// When the first workspace has rested.
    pub(super) fn next_rested(&self) -> Option<Instant> {
        self.resting.first().map(|(until, _)| *until)
    }

    /// `workspace` has been read and has more: to the end of the line.
    pub(super) fn again(&mut self, workspace: WorkspaceId) {
        self.away.remove(&workspace);
        self.queue(workspace);
    }

    /// `workspace` has been read and rests until then.
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
