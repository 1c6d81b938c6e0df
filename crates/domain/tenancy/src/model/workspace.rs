//! Workspaces.

use chrono::{DateTime, Utc};
use tidegate_kernel::WorkspaceId;

use crate::model::text::{InvalidText, Name, Slug};

/// A workspace: the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The id.
    pub id: WorkspaceId,
    /// The display name.
    pub name: Name,
    /// The name in URLs, unique among the workspaces that are not deleted.
    pub slug: Slug,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A change of a workspace. A field with `None` is not changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceChange {
    /// The new name.
    pub name: Option<Name>,
    /// The new slug.
    pub slug: Option<Slug>,
}

/// The deletion of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceDeletion {
    /// When it was deleted.
    pub deleted_at: DateTime<Utc>,
    /// When its data is due for erasure.
    pub erase_at: DateTime<Utc>,
}

/// A reference to a workspace: its id or its slug.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WorkspaceRef {
    /// The id.
    Id(WorkspaceId),
    /// The slug.
    Slug(Slug),
}

impl WorkspaceRef {
    /// Parses an id or a slug.
    ///
    /// # Errors
    /// [`InvalidText`] if the text is neither, so that no workspace can match.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => Slug::new(text).map(Self::Slug),
        }
    }
}
