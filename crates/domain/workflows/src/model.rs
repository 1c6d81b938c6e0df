//! Workflows and their versions, as stored.

use chrono::{DateTime, Utc};
use tidegate_kernel::WorkflowId;

use crate::definition::Format;

/// A workflow: a series of versions, of which at most one is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// The name in its latest version; unique within the workspace.
    pub name: String,
    /// The description in its latest version.
    pub description: Option<String>,
    /// The revision: 1 for a new workflow, plus 1 for every change.
    pub revision: i32,
    /// The latest version, published or not.
    pub latest: i32,
    /// The version that new runs follow.
    pub published: Option<i32>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A document as it was sent, with its comments and its order of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its format.
    pub format: Format,
    /// Its bytes.
    pub source: Vec<u8>,
}

/// One version without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version number, starting at 1.
    pub number: i32,
    /// The workflow's name in this version.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A workflow with the document of one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowDetails {
    /// The workflow.
    pub workflow: Workflow,
    /// The number of the version that the document belongs to.
    pub version: i32,
    /// The document.
    pub document: Document,
}

/// One version with its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionDetails {
    /// The version.
    pub version: Version,
    /// Its document.
    pub document: Document,
    /// Whether it is the published version.
    pub published: bool,
}

/// The workflow revisions that a caller accepts for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Any revision.
    Any,
    /// One of these.
    OneOf(Vec<i32>),
}

impl Expected {
    /// Whether `revision` is accepted.
    #[must_use]
    pub fn admits(&self, revision: i32) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }
}
