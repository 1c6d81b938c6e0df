//! Rows in every table of tenants, for tests that ask what a table is like when it is full.

use tidegate_engine::model::ShardId;
use tidegate_kernel::WorkspaceId;

/// What `fill.sql` writes.
pub(crate) struct Fill {
    /// The workspace that is filled. Thirty others get ten rows of everything.
    pub(crate) workspace: WorkspaceId,
    /// How many rows it gets of everything.
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
