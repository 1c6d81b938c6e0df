//! Obligations of stores that erase deleted workspaces.

use chrono::TimeDelta;
use tidegate_engine::erasure::{ErasureOutlook, WorkspaceErasure};
use tidegate_events::{EventFilter, EventsTx};
use tidegate_kernel::{PageSize, UnitOfWork, WorkspaceId};
use tidegate_tenancy::{TenancyTx, WorkspaceDeletion};

use super::events::plains;
use super::stage::subject;
use crate::scope::{system_scope, workspace_scope};

subject! {
    about {
        /// The port.
        erasure: dyn WorkspaceErasure = store,
    }
    beside {
        /// Deletes workspaces.
        tenancy: dyn UnitOfWork<dyn TenancyTx> = store,
        /// Adds rows to workspaces.
        events: dyn UnitOfWork<dyn EventsTx> = store,
    }
}

impl Subject {
    async fn delete(&self, workspace: WorkspaceId, erase_after: TimeDelta) {
        let now = self.env.now();
        let deletion = WorkspaceDeletion { deleted_at: now, erase_at: now + erase_after };
        let mut tx = self.tenancy.begin(&workspace_scope(workspace)).await.expect("a transaction begins");
        assert!(tx.workspace().delete(&deletion).await.expect("it is deleted"));
        tx.commit().await.expect("it commits");
    }

    /// The pending erasures of the two workspaces.
    async fn outlook(&self) -> ErasureOutlook {
        let mut outlook =
            self.erasure.outlook(&system_scope(), self.env.now(), 1_000).await.expect("what waits is read");
        outlook.due.retain(|workspace| self.knows(*workspace));
        outlook
    }

    /// Erases a whole workspace in slices of `rows`, and returns how many rows it had.
    async fn erase(&self, workspace: WorkspaceId, rows: u32) -> u64 {
        let mut erased = 0;
        for table in self.erasure.tables(&system_scope()).await.expect("tables are read") {
            loop {
                let slice = self.erasure.erase(&system_scope(), workspace, self.env.now(), &table, rows).await;
                let slice = slice.expect("a slice is erased").expect("nobody else is at it");
                if slice == 0 {
                    break;
                }
                erased += slice;
            }
        }
        erased
    }

    async fn kept_events(&self, workspace: WorkspaceId) -> usize {
        let mut tx = self.events.begin(&workspace_scope(workspace)).await.expect("a transaction begins");
        let size = PageSize::new(PageSize::MAX).expect("a page");
        tx.events().list(&EventFilter::default(), None, size).await.expect("events are listed").len()
    }
}

/// A deletion is known as soon as it is committed, and for that workspace alone.
pub async fn a_deletion_is_known_at_once(subject: &Subject) {
    let both = [subject.ours, subject.theirs];
    let deleted = subject.erasure.deleted(&system_scope(), &both).await.expect("deletions are read");
    assert!(deleted.is_empty());
    subject.delete(subject.ours, TimeDelta::days(1)).await;
    let deleted = subject.erasure.deleted(&system_scope(), &both).await.expect("deletions are read");
    assert_eq!(deleted.into_iter().collect::<Vec<_>>(), [subject.ours]);
    let deleted = subject.erasure.deleted(&system_scope(), &[subject.theirs]).await.expect("deletions are read");
    assert!(deleted.is_empty(), "who is not asked about is not told of");
}

/// Neither a live workspace is erased, nor a deleted one before its time.
pub async fn nothing_is_erased_before_its_time(subject: &Subject) {
    subject.delete(subject.ours, TimeDelta::days(30)).await;
    let before = subject.outlook().await;
    assert!(before.due.is_empty() && before.waiting > 0 && before.next.is_some());
    let tables = subject.erasure.tables(&system_scope()).await.expect("tables are read");
    for workspace in [subject.ours, subject.theirs] {
        let now = subject.env.now();
        for table in &tables {
            let slice = subject.erasure.erase(&system_scope(), workspace, now, table, 10).await;
            assert_eq!(slice.expect("an answer"), None, "{}", table.name);
        }
        assert!(!subject.erasure.finish(&system_scope(), workspace, now).await.expect("an answer"));
    }
    subject.clock.advance(TimeDelta::days(31));
    assert_eq!(subject.outlook().await.due, [subject.ours]);
}

/// The slices together erase everything of one workspace, and nothing of another.
pub async fn slices_take_one_workspaces_rows(subject: &Subject) {
    for scope in [subject.scope(), subject.foreign()] {
        subject.add_to(&*subject.events, &scope, &plains(1..=25)).await;
    }
    subject.delete(subject.ours, TimeDelta::zero()).await;
    assert_eq!(subject.outlook().await.due, [subject.ours]);
    let erased = subject.erase(subject.ours, 10).await;
    assert!(erased >= 26, "events and their batch: {erased}");
    assert_eq!((subject.kept_events(subject.ours).await, subject.kept_events(subject.theirs).await), (0, 25));
    assert_eq!(subject.erase(subject.ours, 10).await, 0, "everything was erased");
    let finish = async || subject.erasure.finish(&system_scope(), subject.ours, subject.env.now()).await;
    assert!(finish().await.expect("it is finished"));
    assert!(!finish().await.expect("an answer"), "there is nothing more to finish");
    let deleted = subject.erasure.deleted(&system_scope(), &[subject.ours]).await.expect("deletions are read");
    assert!(deleted.is_empty(), "nothing tells of it any more");
}

/// A workspace whose erasure fails waits for its next attempt, and is counted as failed.
pub async fn what_cannot_be_erased_waits(subject: &Subject) {
    subject.delete(subject.ours, TimeDelta::zero()).await;
    let failed = subject.outlook().await.failed;
    let until = subject.env.now() + TimeDelta::hours(1);
    subject.erasure.set_aside(&system_scope(), subject.ours, until, "a\0b").await.expect("it is set aside");
    let outlook = subject.outlook().await;
    assert_eq!((outlook.due, outlook.failed), (Vec::new(), failed + 1));
    subject.clock.advance(TimeDelta::hours(2));
    assert_eq!(subject.outlook().await.due, [subject.ours]);
}
