//! A file, its states, and what can be asked about files.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use tidegate_kernel::{Actor, FileId};

use crate::content_type::MediaType;
use crate::metadata::Metadata;
use crate::name::FileName;
use crate::service::UploadRequest;

/// The state of a file.
///
/// `uploading → uploaded → deleted → purging → purged`; a deleted file can be restored, and an upload that breaks is
/// abandoned. Bytes are stored, and count against the quota, in every state up to `purging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileState {
    /// Its bytes are being received.
    Uploading,
    /// It can be downloaded.
    Uploaded,
    /// It can be restored until it is purged.
    Deleted,
    /// Its bytes are being removed.
    Purging,
    /// Its bytes are gone; what is known of it is kept for a while.
    Purged,
    /// Its upload broke. Nobody sees it, and its bytes are being removed.
    Abandoned,
}

impl FileState {
    /// The states that callers see.
    pub const ALL: &'static [Self] = &[Self::Uploading, Self::Uploaded, Self::Deleted, Self::Purging, Self::Purged];

    /// The name in the API and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Uploaded => "uploaded",
            Self::Deleted => "deleted",
            Self::Purging => "purging",
            Self::Purged => "purged",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether a file may go from this state to `next`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Uploading, Self::Uploaded | Self::Abandoned)
                | (Self::Uploaded, Self::Deleted)
                | (Self::Deleted, Self::Uploaded | Self::Purging)
                | (Self::Purging, Self::Purged)
        )
    }
}

impl fmt::Display for FileState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the state of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a state of a file")]
pub struct UnknownFileState(pub String);

impl FromStr for FileState {
    type Err = UnknownFileState;
    fn from_str(text: &str) -> Result<Self, UnknownFileState> {
        let mut all = Self::ALL.iter().copied().chain([Self::Abandoned]);
        all.find(|state| state.as_str() == text).ok_or_else(|| UnknownFileState(text.to_owned()))
    }
}

/// How the bytes of a file come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadKind {
    /// Through the server.
    Direct,
    /// From the caller to the store, by a presigned request that is valid until this time.
    Presigned {
        /// When the request expires.
        expires_at: DateTime<Utc>,
    },
}

/// A file.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// The id.
    pub id: FileId,
    /// The name, for people to see.
    pub name: FileName,
    /// The type. While the file is uploading, the declared type.
    pub content_type: MediaType,
    /// The length in bytes. While the file is uploading, the bytes that are reserved for it.
    pub size: i64,
    /// The SHA-256 of the bytes. While the file is uploading, the declared one.
    pub sha256: Option<[u8; 32]>,
    /// The state.
    pub state: FileState,
    /// How the bytes came.
    pub upload: UploadKind,
    /// Free metadata.
    pub metadata: Metadata,
    /// Rises with every change of what callers see of the file, from 1.
    pub revision: i32,
    /// Who uploaded it.
    pub uploaded_by: Actor,
    /// When the upload began.
    pub created_at: DateTime<Utc>,
    /// When the upload was complete.
    pub uploaded_at: Option<DateTime<Utc>>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
    /// When its bytes will be removed, or were removed.
    pub purge_at: Option<DateTime<Utc>>,
}

impl File {
    /// A file whose upload begins, with `size` bytes reserved for it.
    pub(crate) fn uploading(
        id: FileId,
        request: UploadRequest,
        upload: UploadKind,
        size: i64,
        uploaded_by: Actor,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            name: request.name,
            content_type: request.content_type.unwrap_or_else(MediaType::unknown),
            size,
            sha256: request.sha256,
            state: FileState::Uploading,
            upload,
            metadata: request.metadata,
            revision: 1,
            uploaded_by,
            created_at: now,
            uploaded_at: None,
            deleted_at: None,
            purge_at: None,
        }
    }
}

/// A file whose upload begins.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFile {
    /// The file, in the state `uploading`.
    pub file: File,
    /// If the upload is not complete or extended then, it is given up.
    pub lease_until: DateTime<Utc>,
}

/// What an upload has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The length in bytes.
    pub size: i64,
    /// The SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// The type.
    pub content_type: MediaType,
    /// The metadata.
    pub metadata: Metadata,
    /// When.
    pub at: DateTime<Utc>,
    /// For a presigned upload, when the object that its request writes is removed.
    pub remove_upload_at: Option<DateTime<Utc>>,
}

/// A change of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileChange {
    /// The new name.
    pub name: Option<FileName>,
    /// The merge patch of the metadata.
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Which files a list has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileFilter {
    /// In one of these states; those that are uploaded if there is none.
    pub states: Vec<FileState>,
    /// Of one of these types.
    pub types: Vec<String>,
    /// Uploaded by one of these.
    pub uploaded_by: Vec<Actor>,
    /// With a name that begins with this text.
    pub name_prefix: Option<String>,
    /// Uploads that began at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Uploads that began before this time.
    pub to: Option<DateTime<Utc>>,
}

/// What is to be done about a file later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskKind {
    /// Give up an upload that was not completed in time.
    GiveUp,
    /// Remove the object that a presigned request wrote, after the request has expired.
    RemoveUpload,
    /// Remove the bytes of a deleted file.
    Purge,
    /// Remove what is still known of a file without bytes.
    Forget,
}

impl TaskKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::GiveUp, Self::RemoveUpload, Self::Purge, Self::Forget];

    /// The name in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GiveUp => "give_up",
            Self::RemoveUpload => "remove_upload",
            Self::Purge => "purge",
            Self::Forget => "forget",
        }
    }
}

/// A text that is not a kind of task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a task of a file")]
pub struct UnknownTask(pub String);

impl FromStr for TaskKind {
    type Err = UnknownTask;
    fn from_str(text: &str) -> Result<Self, UnknownTask> {
        let found = Self::ALL.iter().copied().find(|task| task.as_str() == text);
        found.ok_or_else(|| UnknownTask(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_read_back() {
        for state in FileState::ALL.iter().chain([&FileState::Abandoned]) {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for task in TaskKind::ALL {
            assert_eq!(task.as_str().parse(), Ok(*task));
        }
        assert!("lost".parse::<FileState>().is_err() && "lost".parse::<TaskKind>().is_err());
    }

    proptest! {
        #[test]
        fn bytes_that_are_gone_never_come_back(path in proptest::collection::vec(0_usize..6, 0..40)) {
            let all = [FileState::Uploading, FileState::Uploaded, FileState::Deleted, FileState::Purging, FileState::Purged, FileState::Abandoned];
            let (mut state, mut gone) = (FileState::Uploading, false);
            for next in path.into_iter().map(|n| all[n]) {
                if state.may_become(next) {
                    state = next;
                    gone |= matches!(next, FileState::Purging | FileState::Purged | FileState::Abandoned);
                }
                prop_assert!(!gone || !matches!(state, FileState::Uploading | FileState::Uploaded | FileState::Deleted));
            }
        }
    }
}
