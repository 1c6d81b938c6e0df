//! Records the plan of every statement in a database's sessions, with what it read, also inside functions
//! (auto_explain).

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tidegate_testing::TestDatabase;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

/// The tracing target of the server's notices in the driver.
const NOTICES: &str = "sqlx::postgres::notice";

/// The plans since the last call of [`Explained::take`].
#[derive(Clone, Default)]
pub struct Explained(Arc<Mutex<Vec<Value>>>);

impl Explained {
    /// Makes every session of `database` explain its statements, planned in this `mode`. It listens for as long as the
    /// guard lives.
    pub async fn listen(database: &TestDatabase, mode: &str) -> (Self, DefaultGuard) {
        let settings = [
            ("session_preload_libraries", "auto_explain"),
            ("auto_explain.log_min_duration", "0"),
            ("auto_explain.log_analyze", "on"),
            ("auto_explain.log_buffers", "on"),
            ("auto_explain.log_timing", "off"),
            ("auto_explain.log_format", "json"),
            ("auto_explain.log_level", "notice"),
            ("auto_explain.log_nested_statements", "on"),
            ("plan_cache_mode", mode),
        ];
        for (name, value) in settings {
            let set = format!("execute format('alter database %I set {name} = {value}', current_database())");
            database.run(format!("do $$ begin {set}; end $$")).await;
        }
        let explained = Self::default();
        let guard = tracing::subscriber::set_default(explained.clone());
        (explained, guard)
    }

    /// The plans since the last call.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Subscriber for Explained {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == NOTICES
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Notice(self));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Notice<'a>(&'a Explained);

impl Visit for Notice<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let Some((_, plan)) = value.split_once("plan:\n").filter(|_| field.name() == "message") else { return };
        let plan = serde_json::from_str(plan).expect("auto_explain writes JSON");
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The nodes of a plan that read more than they should. A scan may touch this many `dead` blocks in addition to those
/// of its rows.
pub fn wasteful(explained: &Value, dead: f64) -> Vec<String> {
    let plan = &explained["Plan"];
    let mut asked = 0.0;
    visit(plan, &mut |node| {
        let written = node["Node Type"] == "ModifyTable";
        if node["Node Type"] == "Function Scan" || written {
            let given = rows(node) + removed(node);
            asked += children(node).map(rows).sum::<f64>() + if written { 0.0 } else { given };
        }
    });
    asked += rows(plan);
    let mut wrong = Vec::new();
    visit(plan, &mut |node| {
        let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
        let loops = number("Actual Loops").max(1.0);
        let kept = rows(node);
        let removed = removed(node);
        let table = node["Relation Name"].as_str();
        // A scan reports the blocks that it touched, not the index entries that it skipped: an index is three blocks
        // deep, with one row each.
        let blocks =
            number("Shared Hit Blocks") + number("Shared Read Blocks") - children(node).map(blocks).sum::<f64>();
        let too_many_rows = (table.is_some() || removed > 0.0) && kept + removed > ROWS_PER_ROW * asked + ROWS;
        let too_many_blocks = table.is_some()
            && node["Node Type"] != "ModifyTable"
            && blocks > 2.0 * (kept + removed) + 6.0 * loops + BLOCKS + dead;
        if too_many_rows || too_many_blocks {
            wrong.push(format!(
                "{} on {} by {}: {kept} rows and {removed} removed, {blocks} blocks, {loops} loops, where {asked} were asked for",
                node["Node Type"], node["Relation Name"], node["Index Name"]
            ));
        }
    });
    wrong
}

/// The most rows that a plan may read for each row that it returns, writes or is given as a key.
const ROWS_PER_ROW: f64 = 10.0;
/// The rows that it may read in addition, which is what looking at a few workspaces or at the shards reads.
const ROWS: f64 = 130.0;
/// The blocks that any scan may touch: two or three for each of the sixteen shards.
const BLOCKS: f64 = 48.0;

fn rows(node: &Value) -> f64 {
    node["Actual Rows"].as_f64().unwrap_or(0.0) * node["Actual Loops"].as_f64().unwrap_or(0.0)
}

/// The rows of a node that were read and filtered out.
fn removed(node: &Value) -> f64 {
    let names = ["Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck"];
    let each: f64 = names.iter().filter_map(|name| node[name].as_f64()).sum();
    each * node["Actual Loops"].as_f64().unwrap_or(0.0)
}

fn blocks(node: &Value) -> f64 {
    node["Shared Hit Blocks"].as_f64().unwrap_or(0.0) + node["Shared Read Blocks"].as_f64().unwrap_or(0.0)
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

fn visit(node: &Value, look: &mut dyn FnMut(&Value)) {
    look(node);
    for child in children(node) {
        visit(child, look);
    }
}
