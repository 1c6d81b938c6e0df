//! Tenancy on PostgreSQL: the directory as the role `tidegate_directory`, the contents of a workspace as
//! `tidegate_api`.

mod account_log;
mod api_key;
mod audit_trail;
mod factors;
mod links;
mod member;
mod outbox;
mod people;
mod personal;
mod sessions;
mod signing_keys;
mod workspace;

pub(crate) use account_log::PgAccountLog;
pub(crate) use api_key::PgApiKeyRepository;
pub(crate) use audit_trail::PgAuditTrailRepository;
pub(crate) use factors::PgFactorRepository;
pub(crate) use links::PgLinkRepository;
pub(crate) use member::PgMemberRepository;
pub(crate) use people::PgPersonRepository;
pub(crate) use personal::PgPersonalRepository;
pub(crate) use sessions::PgSessionRepository;
pub(crate) use signing_keys::{PgLocator, PgSigningKeyRepository};
pub(crate) use workspace::PgWorkspaceRepository;

use tidegate_kernel::StoreError;
use tidegate_tenancy::InvalidText;

/// An error for a stored text that breaks the rule of its type: it was not written by the domain.
fn broken(error: InvalidText) -> StoreError {
    StoreError::Internal(Box::new(error))
}
