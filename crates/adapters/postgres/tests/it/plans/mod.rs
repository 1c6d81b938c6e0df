//! Query plans: on an empty database, on one that was just filled and on one with fresh statistics, a statement reads
//! hardly more rows than it returns, writes, or is given as keys. That includes plans made while the tables were empty.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod explained;
mod obligations;
mod statements;
mod walk;

use std::collections::BTreeSet;

use explained::{Explained, wasteful};
use tidegate_engine::model::ShardId;
use tidegate_kernel::WorkspaceId;
use tidegate_testing::TestDatabase;
use tidegate_testing::contract::Stage;
use tracing::subscriber::DefaultGuard;
use walk::Walk;

use crate::fill::Fill;

/// The number of rows of each kind in the full workspace.
const ROWS: i64 = 6_000;
/// A shard that does not exist, so that its runs are never claimed.
const NOWHERE: ShardId = ShardId(99);
/// Source files whose statements run only at start-up or in migrations, and read the catalog.
const AT_A_START: [&str; 3] = ["check.rs", "migrate.rs", "store.rs"];
/// Removes what one obligation leaves and would disturb another: its workers, and triggers that it did not fire.
const RESET: &str =
    "delete from worker; update shard set owner = null, leased_until = '-infinity' where owner is not null;
    delete from cron_trigger where next_fire < now() + interval '5 years'";
/// The most blocks of dead row versions. An obligation changes the same few rows repeatedly, and nothing is vacuumed.
/// Reading all rows of a full workspace touches thousands of blocks.
const DEAD_BLOCKS: f64 = 200.0;
/// A count of due triggers, one an hour, with which the first trigger is due in ten years.
const NEVER: i64 = -87_600;

/// Whether statistics are gathered while the tables are empty. Then they say for good that the tables have no rows.
#[derive(Clone, Copy)]
enum Statistics {
    Missing,
    OfNothing,
}

macro_rules! tests {
    ($($name:ident: $mode:literal $statistics:ident)*) => {$(
        mod $name {
            use super::{Statistics, Watched, obligations_hold, walk_holds};

            /// Statements in one full workspace.
            #[tokio::test]
            async fn a_full_workspace() {
                walk_holds(Watched::new($mode, Statistics::$statistics).await).await;
            }

            /// Obligations in new workspaces beside full ones.
            #[tokio::test]
            async fn full_neighbours() {
                obligations_hold(Watched::new($mode, Statistics::$statistics).await).await;
            }
        }
    )*};
}

tests! {
    for_parameters_without_statistics: "force_custom_plan" Missing
    for_parameters_by_statistics_of_nothing: "force_custom_plan" OfNothing
    for_all_without_statistics: "force_generic_plan" Missing
    for_all_by_statistics_of_nothing: "force_generic_plan" OfNothing
}

async fn walk_holds(mut watched: Watched) {
    let mut walk = Walk::begin(Stage::on(&watched.database).await).await;
    let (full, shard) = (walk.workspace(), walk.filled());
    walk.all().await;
    watched.judge("empty", &[], 0.0);
    watched.fill(full, shard, 300).await;
    walk.all().await;
    watched.judge("filled", &[], 0.0);
    watched.analyze().await;
    walk.all().await;
    watched.judge("filled, with fresh statistics", &[], 0.0);
    watched.is_thrifty();
}

async fn obligations_hold(mut watched: Watched) {
    let stage = Stage::on(&watched.database).await;
    for state in ["empty", "filled", "filled, with fresh statistics"] {
        obligations::fulfil(&stage, async |name| {
            watched.judge(&format!("{state}, {name}"), &KNOWN, DEAD_BLOCKS);
            watched.database.run(RESET.to_owned()).await;
        })
        .await;
        match state {
            "empty" => watched.fill(stage.scene.theirs, NOWHERE, NEVER).await,
            _ => watched.analyze().await,
        }
    }
    watched.is_thrifty();
    watched.has_all(|file| !AT_A_START.contains(&file));
}

/// Statements that may read more than they return in some obligations, and why. In the full workspace they do not.
const KNOWN: [(&str, &str); 6] = [
    (
        "select id, position, type as event_type, source, subject, time, time_text, actor, tool, session, extension",
        "reads from the beginning of an ingested batch: at most its 1,000 events",
    ),
    (
        "select position, coalesce(octet_length(data), 0)",
        "reads from the beginning of an ingested batch: at most its 1,000 events",
    ),
    (
        "select u.nth, f.at as first_seen, l.to_at as last_seen",
        "looks through what followed the first subject until it finds the second",
    ),
    (
        "select p.id, p.kind, p.dimension, p.a, p.b, p.support",
        "passes over the dead versions of counts that changed since the last vacuum, which no test waits for",
    ),
    (
        "select p.parent, c.relname, p.span_days, p.leaf_unique from public.partition_plan",
        "looks through the catalog, which no tenant fills, when partitions are made",
    ),
    (
        "with heads as materialized ( select workspace_id, position from workspace_head",
        "goes round by its own limit of heads",
    ),
];

/// A database whose statements are explained.
struct Watched {
    database: TestDatabase,
    explained: Explained,
    wrong: BTreeSet<String>,
    seen: BTreeSet<String>,
    _listening: DefaultGuard,
}

impl Watched {
    /// A database whose sessions plan in this `mode`. The test decides when statistics are gathered.
    async fn new(mode: &str, statistics: Statistics) -> Self {
        let database = TestDatabase::new().await;
        let still = "execute format('alter table %s set (autovacuum_enabled = off)', leaf)";
        let tables = "select oid::regclass from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace";
        database
            .run(format!("do $$ declare leaf regclass; begin for leaf in {tables} loop {still}; end loop; end $$"))
            .await;
        if matches!(statistics, Statistics::OfNothing) {
            database.run("analyze".to_owned()).await;
        }
        let (explained, _listening) = Explained::listen(&database, mode).await;
        Self { database, explained, wrong: BTreeSet::new(), seen: BTreeSet::new(), _listening }
    }

    /// Fills `workspace`, whose runs are in `shard` and of whose triggers `due` are due, and others a little.
    async fn fill(&self, workspace: WorkspaceId, shard: ShardId, due: i64) {
        self.database.run(Fill { workspace, rows: ROWS, shard, due }.sql()).await;
        self.explained.take();
    }

    async fn analyze(&self) {
        self.database.run("analyze".to_owned()).await;
        self.explained.take();
    }

    /// Judges the plans since the last call, except those of statements that begin like one of `known`.
    fn judge(&mut self, state: &str, known: &[(&str, &str)], dead: f64) {
        for plan in self.explained.take() {
            let text = statements::spaced(plan["Query Text"].as_str().unwrap_or_default());
            if !known.iter().any(|(beginning, _)| text.starts_with(beginning)) {
                self.wrong
                    .extend(wasteful(&plan, dead).into_iter().map(|what| format!("{state}: {what}\n    {text:.300}")));
            }
            self.seen.insert(text);
        }
    }

    /// Asserts that no statement read more than it should.
    fn is_thrifty(&self) {
        let wrong: Vec<&str> = self.wrong.iter().map(String::as_str).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Asserts that every statement of the selected sources was explained.
    fn has_all(&self, is_meant: impl Fn(&str) -> bool) {
        let left_out = statements::written(is_meant)
            .into_iter()
            .filter(|statement| !self.seen.iter().any(|seen| statement.is_in(seen)))
            .map(|statement| format!("{}: {}", statement.file, statement.text));
        assert_eq!(Vec::from_iter(left_out), Vec::<String>::new(), "statements that nothing explains");
    }
}
