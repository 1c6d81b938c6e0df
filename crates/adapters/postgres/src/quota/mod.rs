//! What counts against the plan of a workspace.

mod grants;
mod levels;

pub(crate) use levels::PgQuotaLevels;
