//! Commands that start a server, or change the schema of its database.

pub(super) mod migrate;
pub(super) mod serve;
pub(super) mod temporary;
