//! The keys of objects. This is the only place that builds them.
//!
//! A key is `<workspace>/<kind>/<name>`. It begins with the workspace of a scope, so code can only name objects of a
//! workspace that it was let into. No part of a key comes from a caller's text.

use std::fmt;

use tidegate_kernel::{FileId, UploadId, WorkspaceId, WorkspaceScope};

/// The kind of objects with the bytes of files.
const FILES: &str = "files";
/// The kind of objects that callers write with a presigned request. A file never reads its bytes from there.
const UPLOADS: &str = "uploads";

/// The key of one object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    workspace: WorkspaceId,
    /// Everything behind the workspace and its slash.
    rest: String,
}

impl ObjectKey {
    /// The object with the bytes of a file.
    #[must_use]
    pub fn file(scope: &WorkspaceScope, file: FileId) -> Self {
        Self { workspace: scope.workspace(), rest: format!("{FILES}/{file}") }
    }

    /// The object that a presigned request writes.
    #[must_use]
    pub fn upload(scope: &WorkspaceScope, upload: UploadId) -> Self {
        Self { workspace: scope.workspace(), rest: format!("{UPLOADS}/{upload}") }
    }

    /// The workspace that the object belongs to.
    #[must_use]
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.workspace, self.rest)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All objects of one workspace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectPrefix {
    workspace: WorkspaceId,
}

/// A text that a store lists below a prefix, and that is not a key there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the key of an object of the workspace")]
pub struct KeyError(pub String);

impl ObjectPrefix {
    /// The objects of the scope's workspace.
    #[must_use]
    pub const fn workspace(scope: &WorkspaceScope) -> Self {
        Self { workspace: scope.workspace() }
    }

    /// The key with this text, as a store lists it.
    ///
    /// # Errors
    /// [`KeyError`] if the text is outside of the prefix, or has a part that is empty, `.` or `..`.
    pub fn key(&self, text: &str) -> Result<ObjectKey, KeyError> {
        let rest = text.strip_prefix(&self.to_string()).filter(|rest| {
            rest.split('/').all(|part| !matches!(part, "" | "." | "..")) && !rest.contains(['\0', '\\'])
        });
        let rest = rest.ok_or_else(|| KeyError(text.to_owned()))?;
        Ok(ObjectKey { workspace: self.workspace, rest: rest.to_owned() })
    }
}

/// The text that all keys of the workspace begin with. It ends with a slash, so that no other workspace's keys begin
/// with it.
impl fmt::Display for ObjectPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.workspace)
    }
}

impl fmt::Debug for ObjectPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_kernel::{RequestId, ScopeIssuer};
    use uuid::Uuid;

    #[expect(clippy::disallowed_methods, reason = "a test stands in for the access layer")]
    fn scope(n: u128) -> WorkspaceScope {
        let request_id = RequestId::new("test").unwrap();
        ScopeIssuer::root().system("a test").enter(WorkspaceId::from_uuid(Uuid::from_u128(n)), request_id)
    }

    #[test]
    fn a_key_begins_with_the_workspace_of_its_scope() {
        let file = FileId::from_uuid(Uuid::from_u128(7));
        let (ours, theirs) = (ObjectKey::file(&scope(1), file), ObjectKey::file(&scope(2), file));
        assert_ne!(ours, theirs);
        let prefix = ObjectPrefix::workspace(&scope(1));
        assert_eq!(prefix.key(&ours.to_string()), Ok(ours.clone()));
        assert!(prefix.key(&theirs.to_string()).is_err(), "it is of another workspace");
        assert!(ours.to_string().starts_with(&prefix.to_string()) && prefix.to_string().ends_with('/'));
    }

    #[test]
    fn a_listed_text_cannot_leave_its_prefix() {
        let prefix = ObjectPrefix::workspace(&scope(1));
        for rest in ["", "..", "../x", "files/../../x", "files//x", "/x", "a\\b", "a\0b", "."] {
            assert!(prefix.key(&format!("{prefix}{rest}")).is_err(), "{rest:?}");
        }
    }
}
