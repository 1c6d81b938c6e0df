//! What operators do with versions of plans: create, replace, delete, publish, retire.
//!
//! An act locks the versions of its plan, so that acts on one plan come one after the other.

use std::sync::Arc;

use chrono::SubsecRound;
use serde_json::json;
use tidegate_kernel::{Environment, OperatorScope, Page, PageSize, StoreError, SystemScope, UnitOfWork};

use super::plan::{Plan, PlanFault, PlanVersion};
use super::version::{PlanRecord, PlanStatus};
use crate::ports::CatalogueTx;
use crate::service::Billing;

/// Why an act on a version of a plan is refused. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum EditPlanError {
    /// There is no such version.
    #[error("there is no such version of a plan")]
    NotFound,
    /// The plan contradicts itself.
    #[error("the plan is not valid")]
    Invalid(Vec<PlanFault>),
    /// The version exists, or an older number than the newest one was asked for.
    #[error("the newest version of the plan is {0}; a new one has a higher number")]
    VersionTaken(i32),
    /// A version that is not a draft never changes.
    #[error("the version is {}; only a draft can be changed, deleted or published", .0.as_str())]
    NotDraft(PlanStatus),
    /// Only a published version can be retired.
    #[error("the version is {}; only a published version can be retired", .0.as_str())]
    NotPublished(PlanStatus),
    /// A newer version was published before.
    #[error("version {0} is published already; what is published must be newer")]
    Outdated(i32),
    /// New workspaces get this plan.
    #[error(
        "new workspaces get this plan, and it has no other published version; publish another version, or start the servers with another --default-plan"
    )]
    DefaultPlan,
    /// The caller has seen another revision.
    #[error("the version is at revision {0} now")]
    Stale(i32),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The operators' use cases of plans.
#[derive(Clone)]
pub struct PlanEditor {
    store: Arc<dyn UnitOfWork<dyn CatalogueTx, SystemScope>>,
    system: Arc<SystemScope>,
    billing: Billing,
    env: Environment,
}

impl std::fmt::Debug for PlanEditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanEditor").finish_non_exhaustive()
    }
}

impl PlanEditor {
    /// The use cases over a store. `billing` reads again what is sold after each act.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn CatalogueTx, SystemScope>>,
        system: SystemScope,
        billing: Billing,
        env: Environment,
    ) -> Self {
        Self { store, system: Arc::new(system), billing, env }
    }

    /// All versions of all plans, by name and version.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    pub async fn list(
        &self,
        _operator: &OperatorScope,
        after: Option<&PlanVersion>,
        size: PageSize,
    ) -> Result<Page<PlanRecord, PlanVersion>, StoreError> {
        let rows = self.store.begin(&self.system).await?.catalogue().list(after, size.get() + 1).await?;
        Ok(Page::from_overfetch(rows, size, |record| record.plan.id()))
    }

    /// A version.
    ///
    /// # Errors
    /// [`EditPlanError::NotFound`] if there is no such version.
    pub async fn find(&self, _operator: &OperatorScope, id: &PlanVersion) -> Result<PlanRecord, EditPlanError> {
        let mut tx = self.store.begin(&self.system).await?;
        tx.catalogue().find(id).await?.ok_or(EditPlanError::NotFound)
    }

    /// Creates a draft. A version of 0 stands for the next number.
    ///
    /// # Errors
    /// [`EditPlanError`] if the plan is not valid or the number is not higher than that of every other version.
    pub async fn create(&self, operator: &OperatorScope, mut plan: Plan) -> Result<PlanRecord, EditPlanError> {
        let is_next = plan.version == 0;
        plan.version = plan.version.max(i32::from(is_next));
        check(&plan)?;
        let mut tx = self.store.begin(&self.system).await?;
        let newest = tx.catalogue().lock(&plan.name).await?.last().map_or(0, |record| record.plan.version);
        if is_next {
            plan.version = newest.checked_add(1).ok_or(EditPlanError::VersionTaken(newest))?;
        } else if plan.version <= newest {
            return Err(EditPlanError::VersionTaken(newest));
        }
        let draft = PlanRecord::draft(plan, false, self.env.now().trunc_subsecs(6));
        if !tx.catalogue().insert(&draft).await? {
            return Err(EditPlanError::VersionTaken(draft.plan.version));
        }
        self.finish(tx, operator, "plan.created", &draft.plan).await?;
        Ok(draft)
    }

    /// Replaces a draft. `expected` are the revisions that the caller has seen; `None` is any.
    ///
    /// # Errors
    /// [`EditPlanError`] if the plan is not valid, there is no such version, or it is not a draft at this revision.
    pub async fn replace(
        &self,
        operator: &OperatorScope,
        plan: Plan,
        expected: Option<&[i32]>,
    ) -> Result<PlanRecord, EditPlanError> {
        let id = plan.id();
        let (mut tx, _, found) = self.lock_draft(&id, expected).await?;
        check(&plan)?;
        let replaced = PlanRecord { plan, revision: found.revision + 1, ..found };
        tx.catalogue().save(&replaced).await?;
        self.finish(tx, operator, "plan.replaced", &replaced.plan).await?;
        Ok(replaced)
    }

    /// Deletes a draft.
    ///
    /// # Errors
    /// [`EditPlanError`] if there is no such version, or it is not a draft at this revision.
    pub async fn delete(
        &self,
        operator: &OperatorScope,
        id: &PlanVersion,
        expected: Option<&[i32]>,
    ) -> Result<(), EditPlanError> {
        let (mut tx, _, found) = self.lock_draft(id, expected).await?;
        tx.catalogue().delete(id).await?;
        self.finish(tx, operator, "plan.deleted", &found.plan).await
    }

    /// Publishes a draft. From then on it is sold, and it never changes.
    ///
    /// # Errors
    /// [`EditPlanError`] if there is no such version, it is not a draft at this revision, or a newer version is
    /// published.
    pub async fn publish(
        &self,
        operator: &OperatorScope,
        id: &PlanVersion,
        expected: Option<&[i32]>,
    ) -> Result<PlanRecord, EditPlanError> {
        let (mut tx, all, found) = self.lock_draft(id, expected).await?;
        let newest = all.iter().filter(|other| other.status == PlanStatus::Published).map(|other| other.plan.version);
        if let Some(newer) = newest.max().filter(|newest| *newest > id.version) {
            return Err(EditPlanError::Outdated(newer));
        }
        let published = found.published(self.env.now().trunc_subsecs(6));
        tx.catalogue().save(&published).await?;
        self.finish(tx, operator, "plan.published", &published.plan).await?;
        Ok(published)
    }

    /// Retires a published version: it is not sold any more. Who has it keeps it. If an older version is published, that
    /// one is sold again.
    ///
    /// # Errors
    /// [`EditPlanError`] if there is no such version, it is not published, or new workspaces would have no plan.
    pub async fn retire(&self, operator: &OperatorScope, id: &PlanVersion) -> Result<PlanRecord, EditPlanError> {
        let (mut tx, all, found) = self.lock(id).await?;
        if found.status != PlanStatus::Published {
            return Err(EditPlanError::NotPublished(found.status));
        }
        let published = all.iter().filter(|other| other.status == PlanStatus::Published).count();
        if published == 1 && self.billing.default_name() == id.name {
            return Err(EditPlanError::DefaultPlan);
        }
        let retired = found.retired(self.env.now().trunc_subsecs(6));
        tx.catalogue().save(&retired).await?;
        self.finish(tx, operator, "plan.retired", &retired.plan).await?;
        Ok(retired)
    }

    /// The version, with all versions of its plan. They are locked.
    async fn lock(
        &self,
        id: &PlanVersion,
    ) -> Result<(Box<dyn CatalogueTx>, Vec<PlanRecord>, PlanRecord), EditPlanError> {
        let mut tx = self.store.begin(&self.system).await?;
        let all = tx.catalogue().lock(&id.name).await?;
        let found = all.iter().find(|record| record.plan.version == id.version).cloned();
        let found = found.ok_or(EditPlanError::NotFound)?;
        Ok((tx, all, found))
    }

    /// As [`PlanEditor::lock`], if it is a draft at one of these revisions.
    async fn lock_draft(
        &self,
        id: &PlanVersion,
        expected: Option<&[i32]>,
    ) -> Result<(Box<dyn CatalogueTx>, Vec<PlanRecord>, PlanRecord), EditPlanError> {
        let (tx, all, found) = self.lock(id).await?;
        if found.status != PlanStatus::Draft {
            return Err(EditPlanError::NotDraft(found.status));
        } else if expected.is_some_and(|expected| !expected.contains(&found.revision)) {
            return Err(EditPlanError::Stale(found.revision));
        }
        Ok((tx, all, found))
    }

    async fn finish(
        &self,
        mut tx: Box<dyn CatalogueTx>,
        operator: &OperatorScope,
        action: &'static str,
        plan: &Plan,
    ) -> Result<(), EditPlanError> {
        let details = json!({ "plan": plan.name, "version": plan.version });
        tx.operations().record(operator.user(), action, &details, operator.request_id()).await?;
        tx.commit().await?;
        self.billing.forget_catalogue();
        Ok(())
    }
}

fn check(plan: &Plan) -> Result<(), EditPlanError> {
    let faults = plan.faults();
    if faults.is_empty() { Ok(()) } else { Err(EditPlanError::Invalid(faults)) }
}
