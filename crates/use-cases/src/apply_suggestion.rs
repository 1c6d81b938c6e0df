//! Makes a workflow from a suggestion.

use std::sync::Arc;

use tidegate_events::suggestion::{Catalogue, SuggestionStatus, SuggestionsTx};
use tidegate_kernel::{
    AuditEntry, AuditLog, Forbidden, Permission, QuotaExceeded, StoreError, SuggestionId, UnitOfWork, WorkflowId,
    WorkspaceScope,
};
use tidegate_workflows::Workflows;
use tidegate_workflows::definition::{DefinitionError, Format};
use tidegate_workflows::error::CreateError;
use tidegate_workflows::model::{Document, WorkflowDetails};
use tidegate_workflows::ports::WorkflowsTx;

/// The slice of a store for applying a suggestion: slices of both domains in one transaction.
pub trait ApplySuggestionTx: SuggestionsTx + WorkflowsTx {}

/// Why a suggestion was not applied; nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum ApplySuggestionError {
    /// The caller lacks `suggestions:apply`.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// This workspace has no such suggestion.
    #[error("there is no such suggestion")]
    NotFound,
    /// It was already applied or dismissed. If it was applied, this is its workflow.
    #[error("the suggestion has been {0} already")]
    Answered(SuggestionStatus, Option<WorkflowId>),
    /// The workspace already has a workflow with the name from the template.
    #[error("the workspace has a workflow of this name already")]
    NameTaken,
    /// The plan of the workspace does not allow another workflow.
    #[error(transparent)]
    QuotaExceeded(QuotaExceeded),
    /// The rule is not in this program's catalogue any more.
    #[error("the rule {0} is no longer in the catalogue")]
    RuleGone(String),
    /// The template does not give a valid workflow with these names.
    #[error("the template makes no valid workflow: {0}")]
    Template(DefinitionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CreateError> for ApplySuggestionError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Forbidden(error) => Self::Forbidden(error),
            CreateError::NameTaken => Self::NameTaken,
            CreateError::QuotaExceeded(exceeded) => Self::QuotaExceeded(exceeded),
            CreateError::Definition(error) => Self::Template(error),
            CreateError::Store(error) => Self::Store(error),
        }
    }
}

/// The result of applying a suggestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedSuggestion {
    /// The workflow, a draft.
    pub workflow: WorkflowDetails,
}

/// Applies suggestions.
#[derive(Clone)]
pub struct ApplySuggestion {
    store: Arc<dyn UnitOfWork<dyn ApplySuggestionTx>>,
    workflows: Workflows,
    catalogue: Arc<Catalogue>,
}

impl ApplySuggestion {
    /// The use case over `store`.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn ApplySuggestionTx>>,
        workflows: Workflows,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        Self { store, workflows, catalogue }
    }

    /// Creates a draft of the suggested workflow with its parameters filled in, and marks the suggestion as applied.
    ///
    /// # Errors
    /// [`ApplySuggestionError`] if the caller lacks the permission, the suggestion does not exist or was already
    /// answered, the workspace already has a workflow with that name, its plan does not allow another workflow, or the
    /// template does not give a valid workflow.
    pub async fn apply(
        &self,
        scope: &WorkspaceScope,
        id: SuggestionId,
    ) -> Result<AppliedSuggestion, ApplySuggestionError> {
        scope.require(Permission::SuggestionsApply)?;
        let limit = self.workflows.limit(scope).await?;
        let mut tx = self.store.begin(scope).await?;
        let suggestion = tx.suggestions().find(id).await?.ok_or(ApplySuggestionError::NotFound)?;
        if suggestion.status != SuggestionStatus::Open {
            return Err(ApplySuggestionError::Answered(suggestion.status, suggestion.workflow));
        }
        let rule = self
            .catalogue
            .rule(&suggestion.rule)
            .ok_or_else(|| ApplySuggestionError::RuleGone(suggestion.rule.clone()))?;
        let subject = suggestion.facts.first_subject();
        let mut event_types = tx.suggestions().event_types(&suggestion.evidence, subject).await?;
        // A workflow MUST NOT be triggered by events that it or another workflow of the catalogue emits.
        event_types.retain(|event_type| !self.catalogue.emits(event_type));
        let document = rule.document(&suggestion, &event_types);
        let source = serde_json::to_vec_pretty(&document).map_err(|error| StoreError::Internal(Box::new(error)))?;
        let document = Document { format: Format::Json, source };
        let workflow = self.workflows.create_in(&mut *tx, document, limit).await?;
        let workflow_id = workflow.workflow.id;
        if !tx.suggestions().answer(id, SuggestionStatus::Applied, Some(workflow_id)).await? {
            return Err(ApplySuggestionError::NotFound);
        }
        let details = serde_json::json!({"workflow_id": workflow_id, "template": rule.template()});
        audit(&mut *tx).record(AuditEntry::new("suggestion.applied", id).with(details)).await?;
        tx.commit().await?;
        Ok(AppliedSuggestion { workflow })
    }
}

/// Both slices have an `audit` method, for the same audit log.
fn audit(tx: &mut dyn ApplySuggestionTx) -> Box<dyn AuditLog + '_> {
    SuggestionsTx::audit(tx)
}
