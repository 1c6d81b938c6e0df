//! Members of workspaces and their roles.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;
use tidegate_kernel::{
    Actor, AuditEntry, Environment, Meter, NoQuota, Page, PageSize, Permission, Quota, Signal, SignalBus, SystemScope,
    Topic, UserId, WorkspaceScope,
};

use crate::error::MemberError;
use crate::model::{Member, Membership, Person, Role, SendMail};
use crate::ports::{Directory, Tenancy};
use crate::service::now;

/// The key of the next page of members: when the last one joined, and the person's id.
pub type AfterMember = (DateTime<Utc>, UserId);

/// The members of workspaces.
pub struct Members {
    tenancy: Arc<Tenancy>,
    directory: Arc<Directory>,
    system: SystemScope,
    signals: Arc<dyn SignalBus>,
    quota: Arc<dyn Quota>,
    env: Environment,
}

impl Members {
    /// Members in these stores. `system` opens the directory, which has their names.
    #[must_use]
    pub fn new(
        tenancy: Arc<Tenancy>,
        directory: Arc<Directory>,
        system: SystemScope,
        signals: Arc<dyn SignalBus>,
        env: Environment,
    ) -> Self {
        Self { tenancy, directory, system, signals, quota: Arc::new(NoQuota), env }
    }

    /// Limits the members of a workspace by `quota`.
    #[must_use]
    pub fn limited_by(mut self, quota: Arc<dyn Quota>) -> Self {
        self.quota = quota;
        self
    }

    /// The members, ordered by when they joined.
    ///
    /// # Errors
    /// [`MemberError::Forbidden`] without `members:read`. [`MemberError::Store`] if the members could not be read.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        after: Option<AfterMember>,
        size: PageSize,
    ) -> Result<Page<Member, AfterMember>, MemberError> {
        scope.require(Permission::MembersRead)?;
        let mut tx = self.tenancy.begin(scope).await?;
        let rows = tx.members().list(after, size.get() + 1).await?;
        tx.commit().await?;
        let page = Page::from_overfetch(rows, size, |membership| (membership.joined_at, membership.user));
        let ids: Vec<UserId> = page.items.iter().map(|membership| membership.user).collect();
        let mut people = self.people(&ids).await?;
        Ok(page.map(|membership| {
            let person = people.remove(&membership.user);
            member(membership, person)
        }))
    }

    /// Adds a member, as an accepted invitation does.
    ///
    /// # Errors
    /// [`MemberError`] if the caller lacks `members:write`, the role has permissions that the caller lacks, the person
    /// is already a member, or the plan does not allow another one. Nothing was changed then.
    pub async fn add(&self, scope: &WorkspaceScope, user: UserId, role: Role) -> Result<(), MemberError> {
        scope.require(Permission::MembersWrite)?;
        may_touch(scope, &role)?;
        let membership = Membership { workspace: scope.workspace(), user, role, joined_at: now(&self.env) };
        let person = self.people(&[user]).await?.remove(&user);
        let limit = self.quota.limit(scope, Meter::Members).await?;
        let mut tx = self.tenancy.begin(scope).await?;
        if !tx.workspace().lock().await? {
            return Err(MemberError::NotFound);
        }
        if !tx.members().insert(&membership).await? {
            return Err(MemberError::AlreadyMember);
        }
        tx.levels().take(Meter::Members, 1, limit).await?;
        let details = json!({ "role": membership.role.name() });
        tx.audit().record(AuditEntry::new("member.added", user).with(details)).await?;
        let workspace = tx.workspace().get().await?;
        if let (Some(person), Some(workspace)) = (person, workspace) {
            tx.jobs().enqueue(&SendMail::member_added(&person, &workspace.name, &membership.role)?).await?;
        }
        tx.commit().await?;
        self.signals.publish(Signal::new(Topic::MembershipChanged, &user));
        Ok(())
    }

    /// The owners, as recipients of mails from Tidegate itself. It needs no permission beyond the scope.
    ///
    /// # Errors
    /// [`MemberError::Store`] if they could not be read.
    pub async fn owners(&self, scope: &WorkspaceScope) -> Result<Vec<Person>, MemberError> {
        let (mut owners, mut after) = (Vec::new(), None);
        loop {
            let rows = self.tenancy.begin(scope).await?.members().list(after, PageSize::MAX).await?;
            owners.extend(rows.iter().filter(|row| row.role.is_owner()).map(|row| row.user));
            match rows.last() {
                Some(last) => after = Some((last.joined_at, last.user)),
                None => break,
            }
        }
        Ok(self.people(&owners).await?.into_values().collect())
    }

    /// Changes a member's role.
    ///
    /// # Errors
    /// [`MemberError`] if the caller lacks `members:write`, one of the roles has permissions that the caller lacks, the
    /// person is not a member, or the person is the last owner.
    pub async fn change_role(&self, scope: &WorkspaceScope, user: UserId, role: Role) -> Result<Member, MemberError> {
        scope.require(Permission::MembersWrite)?;
        // Read before the change, so that no error can follow the commit. Not used if the person is not a member.
        let person = self.people(&[user]).await?.remove(&user);
        let mut tx = self.tenancy.begin(scope).await?;
        if !tx.workspace().lock().await? {
            return Err(MemberError::NotFound);
        }
        let before = tx.members().find(user).await?.ok_or(MemberError::NotFound)?;
        may_touch(scope, &before.role)?;
        may_touch(scope, &role)?;
        if before.role.is_owner() && !role.is_owner() && tx.members().count_owners().await? <= 1 {
            return Err(MemberError::LastOwner);
        }
        tx.members().set_role(user, &role).await?;
        let details = json!({ "before": before.role.name(), "after": role.name() });
        tx.audit().record(AuditEntry::new("member.role_changed", user).with(details)).await?;
        tx.commit().await?;
        self.signals.publish(Signal::new(Topic::MembershipChanged, &user));
        Ok(member(Membership { role, ..before }, person))
    }

    /// Removes a member and revokes the API keys that they created. Every member may remove themselves.
    ///
    /// # Errors
    /// [`MemberError`] if the caller lacks `members:write`, the member's role has permissions that the caller lacks,
    /// the person is not a member, or the person is the last owner.
    pub async fn remove(&self, scope: &WorkspaceScope, user: UserId) -> Result<(), MemberError> {
        let leaves = scope.actor() == Actor::Person(user);
        if !leaves {
            scope.require(Permission::MembersWrite)?;
        }
        let mut tx = self.tenancy.begin(scope).await?;
        if !tx.workspace().lock().await? {
            return Err(MemberError::NotFound);
        }
        let before = tx.members().find(user).await?.ok_or(MemberError::NotFound)?;
        if !leaves {
            may_touch(scope, &before.role)?;
        }
        if before.role.is_owner() && tx.members().count_owners().await? <= 1 {
            return Err(MemberError::LastOwner);
        }
        tx.members().remove(user).await?;
        tx.levels().give_back(Meter::Members, 1).await?;
        let keys = tx.api_keys().revoke_created_by(user, now(&self.env)).await?;
        let action = if leaves { "member.left" } else { "member.removed" };
        let details = json!({ "role": before.role.name(), "revoked_keys": keys });
        tx.audit().record(AuditEntry::new(action, user).with(details)).await?;
        tx.commit().await?;
        self.signals.publish(Signal::new(Topic::MembershipChanged, &user));
        for key in keys {
            self.signals.publish(Signal::new(Topic::ApiKeyRevoked, &key));
        }
        Ok(())
    }

    /// The people with these ids.
    async fn people(&self, ids: &[UserId]) -> Result<HashMap<UserId, Person>, MemberError> {
        let mut tx = self.directory.begin(&self.system).await?;
        let people = tx.people().find(ids).await?;
        tx.commit().await?;
        Ok(people.into_iter().map(|person| (person.id, person)).collect())
    }
}

fn member(membership: Membership, person: Option<Person>) -> Member {
    let (email, name) = person.map(|person| (person.email, person.name)).unzip();
    Member { user: membership.user, email, name, role: membership.role, joined_at: membership.joined_at }
}

/// A caller may neither grant nor take away permissions that they lack.
fn may_touch(scope: &WorkspaceScope, role: &Role) -> Result<(), MemberError> {
    let has_all = scope.permissions().contains_all(role.permissions());
    if has_all { Ok(()) } else { Err(MemberError::RoleExceedsCaller(role.clone())) }
}
