//! Fills every tenant table, for tests with full tables.

use tidegate_engine::model::ShardId;
use tidegate_kernel::WorkspaceId;

/// The parameters of `fill.sql`.
pub(crate) struct Fill {
    /// The workspace to fill. Thirty others get ten rows of each kind.
    pub(crate) workspace: WorkspaceId,
    /// The number of rows of each kind.
    pub(crate) rows: i64,
    /// The shard of its runs.
    pub(crate) shard: ShardId,
    /// How many of its triggers are due.
    pub(crate) due: i64,
}

impl Fill {
    /// The statements.
    pub(crate) fn sql(&self) -> String {
        include_str!("fill.sql")
            .replace("{big}", &self.workspace.as_uuid().to_string())
            .replace("{rows}", &self.rows.to_string())
            .replace("{shard}", &self.shard.0.to_string())
            .replace("{due}", &self.due.to_string())
    }
}
