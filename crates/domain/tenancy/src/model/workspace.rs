//! Workspaces.

use chrono::{DateTime, Utc};
use tidegate_kernel::WorkspaceId;

use crate::model::text::{InvalidText, Name, Slug};

/// A workspace: the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The id.
    pub id: WorkspaceId,
    /// The name that people see.
    pub name: Name,
    /// The name in addresses; no two living workspaces share one.
    pub slug: Slug,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What is to be changed of a workspace; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceChange {
    /// The new name.
    pub name: Option<Name>,
    /// The new slug.
    pub slug: Option<Slug>,
}

/// The end of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceDeletion {
    /// When it was deleted.
    pub deleted_at: DateTime<Utc>,
    /// From when on its data is erased.
    pub erase_at: DateTime<Utc>,
}

/// How a caller names a workspace: by id or by slug.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum WorkspaceRef {
    /// The id.
    Id(WorkspaceId),
    /// The slug.
    Slug(Slug),
}

impl WorkspaceRef {
    /// Reads either.
    ///
    /// # Errors
    /// [`InvalidText`] where it is neither; no workspace has such a name.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        match text.parse() {
            Ok(id) => Ok(Self::Id(id)),
            Err(_) => Slug::new(text).map(Self::Slug),
        }
    }
}
