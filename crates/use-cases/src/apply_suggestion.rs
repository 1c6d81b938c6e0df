//! A suggestion becomes a workflow.

use std::sync::Arc;

use tidegate_events::suggestion::{Catalogue, SuggestionStatus, SuggestionsTx};
use tidegate_kernel::{
    AuditEntry, AuditLog, Forbidden, Permission, StoreError, SuggestionId, UnitOfWork, WorkflowId, WorkspaceScope,
};
use tidegate_workflows::Workflows;
use tidegate_workflows::definition::{DefinitionError, Format};
use tidegate_workflows::error::CreateError;
use tidegate_workflows::model::{Document, WorkflowDetails};
use tidegate_workflows::ports::WorkflowsTx;

/// What applying a suggestion needs of a store: slices of both domains in one transaction.
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
    /// It has been answered already, with this workflow where it was applied.
    #[error("the suggestion has been {0} already")]
    Answered(SuggestionStatus, Option<WorkflowId>),
    /// The workspace has another workflow of the name that the template gives.
    #[error("the workspace has a workflow of this name already")]
    NameTaken,
    /// The rule is not in this version's catalogue any more.
    #[error("the rule {0} is no longer in the catalogue")]
    RuleGone(String),
    /// The template makes no valid workflow of these names.
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
            CreateError::Definition(error) => Self::Template(error),
            CreateError::Store(error) => Self::Store(error),
        }
    }
}

/// What came of it.
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

    /// Makes a draft of the suggested workflow, its parameters filled in, and marks the suggestion as applied.
    ///
    /// # Errors
    /// [`ApplySuggestionError`] when the caller may not, the suggestion is not there or answered already, the workspace has a workflow
    /// of that name, or the template makes no valid one.
    pub async fn apply(
        &self,
        scope: &WorkspaceScope,
        id: SuggestionId,
    ) -> Result<AppliedSuggestion, ApplySuggestionError> {
        scope.require(Permission::SuggestionsApply)?;
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
        // A workflow must not be set off by what it or another of the catalogue sends.
        event_types.retain(|event_type| !self.catalogue.emits(event_type));
        let document = rule.document(&suggestion, &event_types);
        let source = serde_json::to_vec_pretty(&document).map_err(|error| StoreError::Internal(Box::new(error)))?;
        let document = Document { format: Format::Json, source };
        let workflow = self.workflows.create_in(&mut *tx, document).await?;
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

/// Both slices have the audit log, and it is the same.
fn audit(tx: &mut dyn ApplySuggestionTx) -> Box<dyn AuditLog + '_> {
    SuggestionsTx::audit(tx)
}
