//! The use cases of tenancy. Each is one unit of work: the change and its audit entry commit together.

mod access;
mod accounts;
mod api_keys;
mod audit_trail;
mod lookup;
mod members;
mod workspaces;

pub use access::{AccessControl, Principal};
pub use accounts::{Accounts, LinkMails, LogIn, NewTotp, PendingLogIn, Proof, PublicUrl, Registration};
pub use api_keys::ApiKeys;
pub use audit_trail::AuditTrail;
pub use lookup::StoredAccess;
pub use members::{AfterMember, Members};
pub use workspaces::{AfterWorkspace, Workspaces};

use chrono::{DateTime, SubsecRound, Utc};
use tidegate_kernel::Environment;

/// The current time with the precision of stores, one microsecond, so that the returned value equals the stored one.
fn now(env: &Environment) -> DateTime<Utc> {
    env.now().trunc_subsecs(6)
}
