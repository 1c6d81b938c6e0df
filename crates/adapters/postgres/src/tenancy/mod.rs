//! Tenancy on PostgreSQL: the directory as the role `tidegate_directory`, everything of a workspace as `tidegate_api`.

mod account_log;
mod api_key;
mod audit_trail;
mod delete;
mod member;
mod people;
mod personal;
mod sessions;
mod signing_keys;
mod workspace;

use async_trait::async_trait;
use tidegate_kernel::{AuditLog, PersonScope, StoreError, SystemScope, UnitOfWork, WorkspaceScope};
use tidegate_tenancy::{
    AccountLog, ApiKeyRepository, AuditTrailRepository, DirectoryTx, InvalidText, Locator, MemberRepository,
    PersonRepository, PersonTx, PersonalRepository, SessionRepository, SigningKeyRepository, TenancyTx,
    WorkspaceRepository,
};

use crate::store::PgStore;
use crate::transaction::{Directory, Person, PgTx, Tenant};

#[async_trait]
impl UnitOfWork<dyn DirectoryTx, SystemScope> for PgStore {
    async fn begin(&self, scope: &SystemScope) -> Result<Box<dyn DirectoryTx>, StoreError> {
        Ok(self.begin_directory(scope).await?)
    }
}

#[async_trait]
impl UnitOfWork<dyn PersonTx, PersonScope> for PgStore {
    async fn begin(&self, scope: &PersonScope) -> Result<Box<dyn PersonTx>, StoreError> {
        Ok(self.begin_person(scope).await?)
    }
}

#[async_trait]
impl UnitOfWork<dyn TenancyTx> for PgStore {
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn TenancyTx>, StoreError> {
        Ok(self.begin_tenant(scope).await?)
    }
}

impl DirectoryTx for PgTx<Directory> {
    fn people(&mut self) -> &mut dyn PersonRepository {
        self
    }
    fn sessions(&mut self) -> &mut dyn SessionRepository {
        self
    }
    fn locator(&mut self) -> &mut dyn Locator {
        self
    }
    fn signing_keys(&mut self) -> &mut dyn SigningKeyRepository {
        self
    }
    fn account_log(&mut self) -> &mut dyn AccountLog {
        self
    }
}

impl PersonTx for PgTx<Person> {
    fn personal(&mut self) -> &mut dyn PersonalRepository {
        self
    }
}

impl TenancyTx for PgTx<Tenant> {
    fn workspace(&mut self) -> &mut dyn WorkspaceRepository {
        self
    }
    fn members(&mut self) -> &mut dyn MemberRepository {
        self
    }
    fn api_keys(&mut self) -> &mut dyn ApiKeyRepository {
        self
    }
    fn audit_trail(&mut self) -> &mut dyn AuditTrailRepository {
        self
    }
    fn audit(&mut self) -> &mut dyn AuditLog {
        self
    }
}

/// A text in the store that breaks the rule of its type: somebody wrote past the domain.
fn broken(error: InvalidText) -> StoreError {
    StoreError::Internal(Box::new(error))
}
