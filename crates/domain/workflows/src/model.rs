//! Workflows and their versions as they are kept.

use chrono::{DateTime, Utc};
use tidegate_kernel::WorkflowId;

use crate::definition::Format;

/// A workflow: a name for a row of versions, one of which may be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// The name in its latest version; unique within the workspace.
    pub name: String,
    /// The description in its latest version.
    pub description: Option<String>,
    /// Grows by one with every change of the workflow; 1 for a new one.
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

/// A document as it was sent: comments and order are its author's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// How it is written.
    pub format: Format,
    /// Its bytes.
    pub source: Vec<u8>,
}

/// One version without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// 1 for the first.
    pub number: i32,
    /// The workflow's name in it.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A workflow with the document of one of its versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowDetails {
    /// The workflow.
    pub workflow: Workflow,
    /// The version that the document is of.
    pub version: i32,
    /// The document.
    pub document: Document,
}

/// One version with its document, and whether new runs follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionDetails {
    /// The version.
    pub version: Version,
    /// Its document.
    pub document: Document,
    /// Whether it is the published one.
    pub published: bool,
}

/// The revisions at which a caller wants a change to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whichever it is.
    Any,
    /// One of these.
    OneOf(Vec<i32>),
}

impl Expected {
    /// Whether `revision` is one of them.
    #[must_use]
    pub fn admits(&self, revision: i32) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(&revision),
        }
    }
}
