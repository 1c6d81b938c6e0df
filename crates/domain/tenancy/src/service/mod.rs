//! The use cases. Each is one unit of work: the change and its record commit together or not at all.

mod access;
mod accounts;
mod api_keys;
mod audit_trail;
mod lookup;
mod members;
mod workspaces;

pub use access::{AccessControl, Principal};
pub use accounts::{Accounts, Registration};
pub use api_keys::ApiKeys;
pub use audit_trail::AuditTrail;
pub use lookup::StoredAccess;
pub use members::{AfterMember, Members};
pub use workspaces::{AfterWorkspace, Workspaces};

use chrono::{DateTime, SubsecRound, Utc};
use tidegate_kernel::Environment;

/// Now, to the microsecond that stores keep, so that what is answered equals what is read later.
fn now(env: &Environment) -> DateTime<Utc> {
    env.now().trunc_subsecs(6)
}
