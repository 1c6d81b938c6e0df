//! What counts against the plan of a workspace.

mod alerts;
mod grants;
mod levels;

pub(crate) use alerts::{PgAlertRepository, raise};
pub(crate) use levels::PgQuotaLevels;
