//! Obligations of stores of files.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::json;
use tidegate_files::model::{Completed, NewFile, UploadKind};
use tidegate_files::{
    DueTask, File, FileFilter, FileName, FileState, FileTaskQueue, FilesTx, MediaType, Metadata, TaskKind,
};
use tidegate_kernel::{Actor, ApiKeyId, FileId, PageSize, UnitOfWork, UserId, WorkspaceScope};
use tidegate_tenancy::{TenancyTx, WorkspaceDeletion};

use super::stage::subject;
use crate::scope::system_scope;

subject! {
    about {
        /// The rows of files.
        files: dyn UnitOfWork<dyn FilesTx> = store,
        /// The tasks of files.
        queue: dyn FileTaskQueue = store,
    }
    beside {
        /// Deletes workspaces.
        tenancy: dyn UnitOfWork<dyn TenancyTx> = store,
    }
}

const LEASE: TimeDelta = TimeDelta::minutes(15);

fn named(text: &str) -> FileName {
    FileName::new(text).expect("a name")
}

fn media(text: &str) -> MediaType {
    text.parse().expect("a media type")
}

impl Subject {
    async fn begin(&self, scope: &WorkspaceScope) -> Box<dyn FilesTx> {
        self.files.begin(scope).await.expect("a transaction begins")
    }

    fn now(&self) -> DateTime<Utc> {
        self.env.now().trunc_subsecs(6)
    }

    /// An uploading file of 100 reserved bytes.
    fn file(&self, name: &str) -> File {
        let Ok(metadata) = serde_json::from_value(json!({"a": [1, "ä"]})) else { unreachable!("it is an object") };
        File {
            id: FileId::generate(&self.env),
            name: named(name),
            content_type: MediaType::unknown(),
            size: 100,
            sha256: None,
            state: FileState::Uploading,
            upload: UploadKind::Direct,
            metadata: Metadata::new(metadata).expect("metadata"),
            revision: 1,
            uploaded_by: Actor::Person(UserId::generate(&self.env)),
            created_at: self.now(),
            uploaded_at: None,
            deleted_at: None,
            purge_at: None,
        }
    }

    async fn insert(&self, file: &File) {
        let mut tx = self.begin(&self.scope()).await;
        let new = NewFile { file: file.clone(), lease_until: self.now() + LEASE };
        tx.files().insert(&new).await.expect("it is stored");
        tx.commit().await.expect("it commits");
    }

    fn completed(&self, size: i64) -> Completed {
        Completed {
            size,
            sha256: [7; 32],
            content_type: media("text/plain"),
            metadata: Metadata::default(),
            at: self.now(),
            remove_upload_at: None,
        }
    }

    async fn complete(&self, id: FileId, attempt: i32, completed: &Completed) -> bool {
        let mut tx = self.begin(&self.scope()).await;
        let done = tx.files().complete(id, attempt, completed).await.expect("an answer");
        tx.commit().await.expect("it commits");
        done
    }

    async fn uploaded(&self, file: &File) {
        self.insert(file).await;
        assert!(self.complete(file.id, 0, &self.completed(80)).await);
    }

    async fn found(&self, id: FileId) -> Option<File> {
        self.begin(&self.scope()).await.files().find(id).await.expect("it is read")
    }

    async fn state(&self, id: FileId) -> Option<FileState> {
        self.found(id).await.map(|file| file.state)
    }

    async fn withdraw(&self, id: FileId, to: FileState) -> bool {
        let mut tx = self.begin(&self.scope()).await;
        let done = tx.files().withdraw(id, to, self.now()).await.expect("an answer");
        tx.commit().await.expect("it commits");
        done
    }

    async fn freed(&self, id: FileId) -> i64 {
        let mut tx = self.begin(&self.scope()).await;
        let now = self.now();
        let freed = tx.files().freed(id, now, now + TimeDelta::hours(1)).await.expect("an answer");
        tx.commit().await.expect("it commits");
        freed
    }

    /// The due tasks of the two workspaces.
    async fn due(&self) -> Vec<(FileId, TaskKind)> {
        let due = self.queue.due(&system_scope(), self.now(), 10_000).await.expect("tasks are read");
        due.into_iter().filter(|task| self.knows(task.workspace)).map(|task| (task.file, task.task)).collect()
    }
}

/// A file reads back as it was stored, and only in its workspace.
pub async fn a_file_reads_back_in_its_workspace(subject: &Subject) {
    let presigned = UploadKind::Presigned { expires_at: subject.now() + TimeDelta::hours(1) };
    for file in [
        subject.file("../دعوة \u{202e}.pdf"),
        File { upload: presigned, sha256: Some([9; 32]), ..subject.file("b") },
        File { uploaded_by: Actor::ApiKey(ApiKeyId::generate(&subject.env)), ..subject.file("c") },
        File { uploaded_by: Actor::System, ..subject.file("d") },
    ] {
        subject.insert(&file).await;
        assert_eq!(subject.found(file.id).await, Some(file.clone()));
        let foreign = subject.begin(&subject.foreign()).await.files().find(file.id).await.expect("an answer");
        assert_eq!(foreign, None);
    }
}

/// An upload is completed once, with what it has come to, and its task ends.
pub async fn an_upload_is_completed_once(subject: &Subject) {
    let file = subject.file("a");
    subject.insert(&file).await;
    let completed = subject.completed(80);
    assert!(!subject.complete(file.id, 1, &completed).await, "no attempt has claimed it");
    assert!(subject.complete(file.id, 0, &completed).await);
    assert!(!subject.complete(file.id, 0, &subject.completed(81)).await);
    let found = subject.found(file.id).await.expect("it exists");
    let expected = File {
        size: 80,
        sha256: Some([7; 32]),
        content_type: media("text/plain"),
        metadata: Metadata::default(),
        state: FileState::Uploaded,
        uploaded_at: Some(completed.at),
        revision: 2,
        ..file
    };
    assert_eq!(found, expected);
    subject.clock.advance(TimeDelta::hours(1));
    assert_eq!(subject.due().await, []);
}

/// Another workspace's scope changes nothing.
pub async fn a_foreign_scope_changes_nothing(subject: &Subject) {
    let (file, other) = (subject.file("a"), subject.file("b"));
    subject.uploaded(&file).await;
    subject.insert(&other).await;
    let before = (subject.found(file.id).await, subject.found(other.id).await);
    subject.clock.advance(TimeDelta::hours(1));
    let now = subject.now();
    let mut tx = subject.begin(&subject.foreign()).await;
    let later = now + LEASE;
    assert!(!tx.files().extend(other.id, 5, later).await.expect("an answer"));
    assert!(!tx.files().complete(other.id, 0, &subject.completed(5)).await.expect("an answer"));
    assert!(!tx.files().change(file.id, 2, &named("x"), &Metadata::default()).await.expect("an answer"));
    assert!(!tx.files().delete(file.id, now, now).await.expect("an answer"));
    assert!(!tx.files().restore(file.id).await.expect("an answer"));
    assert!(!tx.files().withdraw(other.id, FileState::Abandoned, now).await.expect("an answer"));
    assert_eq!(tx.files().freed(other.id, now, later).await.expect("an answer"), 0);
    tx.files().forget(file.id).await.expect("an answer");
    tx.files().end_task(other.id, TaskKind::GiveUp).await.expect("an answer");
    assert_eq!(tx.files().claim(other.id, now, later).await.expect("an answer"), None);
    tx.files().release(other.id, 0).await.expect("an answer");
    tx.commit().await.expect("it commits");
    assert_eq!((subject.found(file.id).await, subject.found(other.id).await), before);
    assert_eq!(subject.due().await, [(other.id, TaskKind::GiveUp)]);
}

/// A lease that is extended is not given up; one that is over is, and nothing completes the upload then.
pub async fn an_upload_is_given_up_when_its_lease_is_over(subject: &Subject) {
    let file = subject.file("a");
    subject.insert(&file).await;
    subject.clock.advance(TimeDelta::minutes(10));
    let mut tx = subject.begin(&subject.scope()).await;
    assert!(tx.files().extend(file.id, 150, subject.now() + LEASE).await.expect("it is extended"));
    tx.commit().await.expect("it commits");
    subject.clock.advance(TimeDelta::minutes(10));
    assert!(!subject.withdraw(file.id, FileState::Abandoned).await);
    subject.clock.advance(TimeDelta::minutes(10));
    assert_eq!(subject.due().await, [(file.id, TaskKind::GiveUp)]);
    assert!(subject.withdraw(file.id, FileState::Abandoned).await);
    assert!(subject.withdraw(file.id, FileState::Abandoned).await, "it can be repeated");
    assert!(!subject.complete(file.id, 0, &subject.completed(80)).await);
    assert_eq!(subject.found(file.id).await, None, "nobody sees it");
    assert_eq!(subject.freed(file.id).await, 150);
    assert_eq!(subject.freed(file.id).await, 0, "bytes are freed once");
    assert_eq!(subject.due().await, []);
    subject.clock.advance(TimeDelta::hours(2));
    assert_eq!(subject.due().await, [(file.id, TaskKind::Forget)]);
    let mut tx = subject.begin(&subject.scope()).await;
    tx.files().forget(file.id).await.expect("it is forgotten");
    tx.commit().await.expect("it commits");
    assert_eq!(subject.due().await, []);
}

/// A deleted file is restored, or purged when its time has come, and not both.
pub async fn a_deleted_file_is_restored_or_purged(subject: &Subject) {
    let file = subject.file("a");
    subject.uploaded(&file).await;
    let delete = async || {
        let (mut tx, now) = (subject.begin(&subject.scope()).await, subject.now());
        assert!(tx.files().delete(file.id, now, now + TimeDelta::days(30)).await.expect("it is deleted"));
        assert!(!tx.files().delete(file.id, now, now).await.expect("an answer"), "it is deleted already");
        assert_eq!(tx.files().deleted_bytes().await.expect("a sum"), 80);
        tx.commit().await.expect("it commits");
    };
    let restore = async || {
        let mut tx = subject.begin(&subject.scope()).await;
        let restored = tx.files().restore(file.id).await.expect("an answer");
        tx.commit().await.expect("it commits");
        restored
    };
    delete().await;
    assert!(!subject.withdraw(file.id, FileState::Purging).await, "it is not time yet");
    assert!(restore().await && !restore().await);
    subject.clock.advance(TimeDelta::days(31));
    assert_eq!(subject.due().await, [], "the task ended");
    delete().await;
    subject.clock.advance(TimeDelta::days(31));
    assert_eq!(subject.due().await, [(file.id, TaskKind::Purge)]);
    assert_eq!(subject.freed(file.id).await, 0, "its bytes may still be there");
    assert!(subject.withdraw(file.id, FileState::Purging).await);
    assert!(!restore().await);
    assert_eq!(subject.freed(file.id).await, 80);
    assert_eq!(subject.freed(file.id).await, 0);
    assert_eq!(subject.state(file.id).await, Some(FileState::Purged));
    assert_eq!(subject.begin(&subject.scope()).await.files().deleted_bytes().await.expect("a sum"), 0);
}

/// One attempt at a time completes a presigned upload, and only the latest one.
pub async fn one_attempt_completes_a_presigned_upload(subject: &Subject) {
    let expires_at = subject.now() + TimeDelta::hours(1);
    let file = File { upload: UploadKind::Presigned { expires_at }, ..subject.file("a") };
    let direct = subject.file("b");
    subject.insert(&file).await;
    subject.insert(&direct).await;
    let claim = async |id| {
        let mut tx = subject.begin(&subject.scope()).await;
        let claimed = tx.files().claim(id, subject.now(), subject.now() + LEASE).await.expect("an answer");
        tx.commit().await.expect("it commits");
        claimed
    };
    assert_eq!(claim(direct.id).await, None, "it is not presigned");
    assert_eq!((claim(file.id).await, claim(file.id).await), (Some(1), None));
    let mut tx = subject.begin(&subject.scope()).await;
    tx.files().release(file.id, 1).await.expect("it is released");
    tx.commit().await.expect("it commits");
    assert_eq!(claim(file.id).await, Some(2));
    subject.clock.advance(LEASE + TimeDelta::minutes(1));
    assert_eq!(claim(file.id).await, Some(3), "the attempt before is lost");
    assert!(!subject.withdraw(file.id, FileState::Abandoned).await, "a claim is a lease");
    let completed = Completed { remove_upload_at: Some(expires_at), ..subject.completed(100) };
    assert!(!subject.complete(file.id, 2, &completed).await);
    assert!(subject.complete(file.id, 3, &completed).await);
    subject.clock.advance(TimeDelta::hours(1));
    let due = subject.due().await;
    assert!(due.contains(&(file.id, TaskKind::RemoveUpload)) && due.contains(&(direct.id, TaskKind::GiveUp)));
    let mut tx = subject.begin(&subject.scope()).await;
    tx.files().end_task(file.id, TaskKind::RemoveUpload).await.expect("it ends");
    tx.commit().await.expect("it commits");
    assert_eq!(subject.due().await, [(direct.id, TaskKind::GiveUp)]);
}

/// A change is made to the revision that it was made for.
pub async fn a_change_needs_its_revision(subject: &Subject) {
    let file = subject.file("a");
    subject.insert(&file).await;
    let change = async |revision, name: &str| {
        let mut tx = subject.begin(&subject.scope()).await;
        let done = tx.files().change(file.id, revision, &named(name), &Metadata::default()).await.expect("an answer");
        tx.commit().await.expect("it commits");
        done
    };
    assert!(!change(1, "b").await, "it is not uploaded yet");
    assert!(subject.complete(file.id, 0, &subject.completed(80)).await);
    assert!(!change(1, "b").await && change(2, "b").await && !change(2, "c").await);
    let found = subject.found(file.id).await.expect("it exists");
    assert_eq!((found.name.as_str(), found.revision), ("b", 3));
}

/// A list has the files of its filter, newest first, page by page, and none of another workspace.
pub async fn lists_are_filtered_and_paged(subject: &Subject) {
    let person = Actor::Person(UserId::generate(&subject.env));
    let mut all = Vec::new();
    for n in 0..6 {
        let file =
            File { uploaded_by: if n % 2 == 0 { person } else { Actor::System }, ..subject.file(&format!("n{n}_%")) };
        subject.insert(&file).await;
        if n != 5 {
            let content_type = media(if n < 3 { "text/plain" } else { "image/png" });
            let completed = Completed { content_type, ..subject.completed(1) };
            assert!(subject.complete(file.id, 0, &completed).await);
        }
        all.push(file);
    }
    let list = async |scope: &WorkspaceScope, filter: &FileFilter, size| {
        let (size, mut before, mut names) = (PageSize::new(size).expect("a size"), None, Vec::new());
        loop {
            let mut page = subject.begin(scope).await.files().list(filter, before, size).await.expect("a page");
            let more = page.len() > size.get() as usize;
            page.truncate(size.get() as usize);
            before = page.last().map(|file| file.id);
            names.extend(page.into_iter().map(|file| file.name.to_string()));
            if !more {
                return names;
            }
        }
    };
    let filter = FileFilter::default();
    for (filter, names) in [
        (filter.clone(), vec!["n4_%", "n3_%", "n2_%", "n1_%", "n0_%"]),
        (FileFilter { states: vec![FileState::Uploading], ..filter.clone() }, vec!["n5_%"]),
        (FileFilter { types: vec!["text/plain".into(), "x/y".into()], ..filter.clone() }, vec!["n2_%", "n1_%", "n0_%"]),
        (FileFilter { uploaded_by: vec![person], ..filter.clone() }, vec!["n4_%", "n2_%", "n0_%"]),
        (
            FileFilter { uploaded_by: vec![person], types: vec!["text/plain".into()], ..filter.clone() },
            vec!["n2_%", "n0_%"],
        ),
        (FileFilter { name_prefix: Some("n1_%".into()), ..filter.clone() }, vec!["n1_%"]),
        (FileFilter { name_prefix: Some("%".into()), ..filter.clone() }, vec![]),
        (
            FileFilter { from: Some(all[1].created_at), to: Some(all[3].created_at), ..filter.clone() },
            vec!["n2_%", "n1_%"],
        ),
    ] {
        for size in [1, 2, 50] {
            assert_eq!(list(&subject.scope(), &filter, size).await, names, "{filter:?}");
        }
        assert_eq!(list(&subject.foreign(), &filter, 50).await, Vec::<String>::new());
    }
}

/// A task that is postponed is due later, and tells how often it has failed.
pub async fn a_task_that_failed_is_due_later(subject: &Subject) {
    let (file, other) = (subject.file("a"), subject.file("b"));
    subject.insert(&file).await;
    subject.insert(&other).await;
    assert_eq!(subject.due().await, []);
    subject.clock.advance(TimeDelta::hours(1));
    let due = DueTask { workspace: subject.ours, file: file.id, task: TaskKind::GiveUp, failures: 0 };
    let until = subject.now() + TimeDelta::hours(1);
    subject.queue.postpone(&system_scope(), &due, until, "no\0").await.expect("it is postponed");
    assert_eq!(subject.due().await, [(other.id, TaskKind::GiveUp)], "the others go on");
    subject.clock.advance(TimeDelta::hours(2));
    let all = subject.queue.due(&system_scope(), subject.now(), 10_000).await.expect("tasks are read");
    assert!(all.contains(&DueTask { failures: 1, ..due }), "{all:?}");
}

/// A task of a deleted workspace is left to its erasure, before and after its time.
pub async fn tasks_of_a_deleted_workspace_are_left_to_its_erasure(subject: &Subject) {
    let file = subject.file("a");
    subject.insert(&file).await;
    subject.clock.advance(LEASE + TimeDelta::minutes(1));
    assert_eq!(subject.due().await, [(file.id, TaskKind::GiveUp)]);
    let deletion = WorkspaceDeletion { deleted_at: subject.now(), erase_at: subject.now() + TimeDelta::days(30) };
    let mut tx = subject.tenancy.begin(&subject.scope()).await.expect("a transaction begins");
    assert!(tx.workspace().delete(&deletion).await.expect("it is deleted"));
    tx.commit().await.expect("it commits");
    for days in [0, 2, 31] {
        subject.clock.advance(TimeDelta::days(days));
        assert_eq!(subject.due().await, [], "after {days} days more");
    }
}
