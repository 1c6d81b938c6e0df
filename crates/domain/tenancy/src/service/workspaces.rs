//! Creating, finding, changing and deleting workspaces.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tidegate_kernel::{
    AuditEntry, Environment, Limit, Meter, Page, PageSize, Permission, PersonScope, Signal, SignalBus, Topic,
    WorkspaceId, WorkspaceScope,
};

use crate::error::WorkspaceError;
use crate::model::{Membership, Name, Role, Slug, Workspace, WorkspaceChange, WorkspaceDeletion, WorkspacePolicy};
use crate::ports::{Personal, Tenancy, TenancyTx};
use crate::service::{AccessControl, Principal, now};

/// How many suffixes are tried before a derived slug counts as taken.
const SLUG_ATTEMPTS: usize = 5;

/// The key of the next page of a person's workspaces: when the person joined the last one, and its id.
pub type AfterWorkspace = (DateTime<Utc>, WorkspaceId);

/// Workspaces.
pub struct Workspaces {
    access: Arc<AccessControl>,
    tenancy: Arc<Tenancy>,
    personal: Arc<Personal>,
    signals: Arc<dyn SignalBus>,
    env: Environment,
}

impl Workspaces {
    /// Workspaces in these stores.
    #[must_use]
    pub fn new(
        access: Arc<AccessControl>,
        tenancy: Arc<Tenancy>,
        personal: Arc<Personal>,
        signals: Arc<dyn SignalBus>,
        env: Environment,
    ) -> Self {
        Self { access, tenancy, personal, signals, env }
    }

    /// Creates a workspace with the person as its owner. Without a slug, one is derived from the name, with a suffix if
    /// it is taken.
    ///
    /// # Errors
    /// [`WorkspaceError::SlugTaken`] if the requested slug is taken.
    pub async fn create(
        &self,
        person: &PersonScope,
        name: Name,
        slug: Option<Slug>,
    ) -> Result<Workspace, WorkspaceError> {
        let id = WorkspaceId::generate(&self.env);
        let scope = self.access.founder(person, id);
        let at = now(&self.env);
        let wanted = slug.clone().unwrap_or_else(|| self.slug_of(&name));
        let mut workspace = Workspace { id, name, slug: wanted.clone(), created_at: at };
        let mut tx = self.tenancy.begin(&scope).await?;
        let mut attempts = if slug.is_some() { 1 } else { SLUG_ATTEMPTS };
        while !tx.workspace().insert(&workspace).await? {
            attempts -= 1;
            if attempts == 0 {
                return Err(WorkspaceError::SlugTaken);
            }
            workspace.slug = wanted.with_suffix(u32::from_le_bytes(self.env.random()));
        }
        let owner = Membership { workspace: id, user: person.user(), role: Role::OWNER, joined_at: at };
        tx.members().insert(&owner).await?;
        // Whatever the plan says: without its owner the workspace would be of no use.
        tx.levels().take(Meter::Members, 1, Limit::Unlimited).await?;
        let details = json!({ "name": workspace.name.as_str(), "slug": workspace.slug.as_str() });
        tx.audit().record(AuditEntry::new("workspace.created", id).with(details)).await?;
        tx.commit().await?;
        Ok(workspace)
    }

    /// The slug derived from a name, or a random one.
    fn slug_of(&self, name: &Name) -> Slug {
        Slug::derive(name).unwrap_or_else(|| Slug::unnamed(u32::from_le_bytes(self.env.random())))
    }

    /// The person's workspaces with the person's role in each, ordered by when the person joined.
    ///
    /// # Errors
    /// [`WorkspaceError::Store`] if the store failed.
    pub async fn list(
        &self,
        person: &PersonScope,
        after: Option<AfterWorkspace>,
        size: PageSize,
    ) -> Result<Page<(Workspace, Role), AfterWorkspace>, WorkspaceError> {
        let mut tx = self.personal.begin(person).await?;
        let rows = tx.personal().workspaces(after, size.get() + 1).await?;
        tx.commit().await?;
        let page = Page::from_overfetch(rows, size, |(workspace, _, joined_at)| (*joined_at, workspace.id));
        Ok(page.map(|(workspace, role, _)| (workspace, role)))
    }

    /// The policy of the workspace.
    ///
    /// # Errors
    /// [`WorkspaceError`] if the caller lacks the permission or the workspace does not exist.
    pub async fn policy(&self, scope: &WorkspaceScope) -> Result<WorkspacePolicy, WorkspaceError> {
        scope.require(Permission::WorkspaceRead)?;
        let mut tx = self.tenancy.begin(scope).await?;
        let policy = tx.workspace().policy().await?;
        tx.commit().await?;
        policy.ok_or(WorkspaceError::NotFound)
    }

    /// Replaces the policy of the workspace.
    ///
    /// # Errors
    /// [`WorkspaceError::ShutsOutCaller`] if the policy demands of the caller a second factor that the caller has not used.
    pub async fn set_policy(
        &self,
        scope: &WorkspaceScope,
        caller: &Principal,
        policy: &WorkspacePolicy,
    ) -> Result<(), WorkspaceError> {
        scope.require(Permission::WorkspaceWrite)?;
        let mut tx = self.tenancy.begin(scope).await?;
        if let Principal::Person(live) = caller
            && !live.session.has_second_factor()
            && let Some(membership) = tx.members().find(live.person.id).await?
            && policy.concerns(&membership.role)
        {
            return Err(WorkspaceError::ShutsOutCaller);
        }
        if !tx.workspace().set_policy(policy).await? {
            return Err(WorkspaceError::NotFound);
        }
        let (rule, roles) = policy.second_factor.parts();
        let details = json!({ "second_factor": rule, "roles": roles, "from": policy.from });
        tx.audit().record(AuditEntry::new("workspace.policy_changed", scope.workspace()).with(details)).await?;
        tx.commit().await?;
        self.signals.publish(Signal::new(Topic::WorkspaceChanged, &scope.workspace()));
        Ok(())
    }

    /// The workspace of the scope.
    ///
    /// # Errors
    /// [`WorkspaceError`] if the caller lacks the permission or the workspace does not exist.
    pub async fn get(&self, scope: &WorkspaceScope) -> Result<Workspace, WorkspaceError> {
        scope.require(Permission::WorkspaceRead)?;
        let mut tx = self.tenancy.begin(scope).await?;
        let workspace = tx.workspace().get().await?;
        tx.commit().await?;
        workspace.ok_or(WorkspaceError::NotFound)
    }

    /// Changes name and slug.
    ///
    /// # Errors
    /// [`WorkspaceError`] if the caller lacks the permission, the workspace does not exist, or the slug is taken.
    pub async fn update(&self, scope: &WorkspaceScope, change: WorkspaceChange) -> Result<Workspace, WorkspaceError> {
        scope.require(Permission::WorkspaceWrite)?;
        let mut tx = self.tenancy.begin(scope).await?;
        if !tx.workspace().lock().await? {
            return Err(WorkspaceError::NotFound);
        }
        let before = tx.workspace().get().await?.ok_or(WorkspaceError::NotFound)?;
        match tx.workspace().update(&change).await? {
            Some(true) => {}
            Some(false) => return Err(WorkspaceError::SlugTaken),
            None => return Err(WorkspaceError::NotFound),
        }
        let after = Workspace {
            name: change.name.unwrap_or_else(|| before.name.clone()),
            slug: change.slug.unwrap_or_else(|| before.slug.clone()),
            ..before.clone()
        };
        let details = json!({
            "before": { "name": before.name.as_str(), "slug": before.slug.as_str() },
            "after": { "name": after.name.as_str(), "slug": after.slug.as_str() },
        });
        tx.audit().record(AuditEntry::new("workspace.updated", after.id).with(details)).await?;
        tx.commit().await?;
        self.changed(scope);
        Ok(after)
    }

    /// Deletes the workspace, as part of a transaction that also ends its activities. From the commit on it cannot be
    /// found and its slug is free. Its data is erased after `erase_after`. The caller commits and calls
    /// [`Workspaces::changed`].
    ///
    /// # Errors
    /// [`WorkspaceError`] if the caller lacks the permission or the workspace does not exist.
    pub async fn delete_in(
        &self,
        tx: &mut dyn TenancyTx,
        scope: &WorkspaceScope,
        erase_after: TimeDelta,
    ) -> Result<WorkspaceDeletion, WorkspaceError> {
        scope.require(Permission::WorkspaceDelete)?;
        let deleted_at = now(&self.env);
        let deletion = WorkspaceDeletion { deleted_at, erase_at: deleted_at + erase_after };
        if !tx.workspace().delete(&deletion).await? {
            return Err(WorkspaceError::NotFound);
        }
        let details = json!({ "erase_at": deletion.erase_at });
        tx.audit().record(AuditEntry::new("workspace.deleted", scope.workspace()).with(details)).await?;
        Ok(deletion)
    }

    /// Signals to caches that the workspace of `scope` has changed. Call it after the commit.
    pub fn changed(&self, scope: &WorkspaceScope) {
        self.signals.publish(Signal::new(Topic::WorkspaceChanged, &scope.workspace()));
    }
}
