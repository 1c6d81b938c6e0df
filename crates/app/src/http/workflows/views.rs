//! Workflows and their versions as API responses.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tidegate_kernel::WorkflowId;
use tidegate_workflows::definition;
use tidegate_workflows::model::{Document, Version, VersionDetails, Workflow, WorkflowDetails};
use utoipa::ToSchema;

use crate::http::support::schema;

/// A workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowView {
    /// The id.
    #[schema(value_type = schema::WorkflowId)]
    id: WorkflowId,
    /// The name in its latest version; unique within the workspace.
    name: String,
    /// The description in its latest version.
    description: Option<String>,
    /// `draft` until a version is published, `published` from then on.
    #[schema(value_type = schema::WorkflowStatus)]
    status: &'static str,
    /// The latest version.
    #[schema(minimum = 1)]
    version: i32,
    /// The version that new runs use; null if none is published.
    #[schema(minimum = 1)]
    published_version: Option<i32>,
    /// Grows with every change; it makes up the ETag.
    #[schema(minimum = 1)]
    revision: i32,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

impl From<Workflow> for WorkflowView {
    fn from(workflow: Workflow) -> Self {
        Self {
            id: workflow.id,
            name: workflow.name,
            description: workflow.description,
            status: if workflow.published.is_some() { "published" } else { "draft" },
            version: workflow.latest,
            published_version: workflow.published,
            revision: workflow.revision,
            created_at: workflow.created_at,
            updated_at: workflow.updated_at,
        }
    }
}

/// A workflow with the document of its latest version.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowDetailsView {
    #[serde(flatten)]
    workflow: WorkflowView,
    /// The document as JSON.
    #[schema(value_type = Object)]
    definition: Value,
    /// The format in which the document was sent.
    #[schema(value_type = schema::DocumentFormat)]
    format: &'static str,
    /// The document as it was sent.
    source: String,
}

impl From<WorkflowDetails> for WorkflowDetailsView {
    fn from(details: WorkflowDetails) -> Self {
        let Document { format, source } = details.document;
        Self {
            workflow: details.workflow.into(),
            definition: definition::to_json(&source, format).unwrap_or_default(),
            format: format.as_str(),
            source: String::from_utf8_lossy(&source).into_owned(),
        }
    }
}

/// The result of checking a document without problems.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckView {
    /// Always true: a document with problems gets 422.
    pub(super) valid: bool,
    /// The workflow's name in the document.
    pub(super) name: String,
    /// The document as JSON.
    #[schema(value_type = Object)]
    pub(super) definition: Value,
}

/// A version of a workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    pub(super) version: i32,
    /// The workflow's name in this version.
    pub(super) name: String,
    /// Whether new runs use it.
    pub(super) published: bool,
    /// When it was created.
    pub(super) created_at: DateTime<Utc>,
}

/// A version with its document.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionDetailsView {
    #[serde(flatten)]
    version: VersionView,
    /// The document as JSON.
    #[schema(value_type = Object)]
    definition: Value,
    /// The format in which the document was sent.
    #[schema(value_type = schema::DocumentFormat)]
    format: &'static str,
    /// The document as it was sent.
    source: String,
}

impl From<VersionDetails> for VersionDetailsView {
    fn from(details: VersionDetails) -> Self {
        let Version { number, name, created_at } = details.version;
        let Document { format, source } = details.document;
        Self {
            version: VersionView { version: number, name, published: details.published, created_at },
            definition: definition::to_json(&source, format).unwrap_or_default(),
            format: format.as_str(),
            source: String::from_utf8_lossy(&source).into_owned(),
        }
    }
}
