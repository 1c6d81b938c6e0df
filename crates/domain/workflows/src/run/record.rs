//! A run as it is kept and read.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_kernel::{RunId, WorkflowId};

use super::model::{RunError, RunStatus};
use super::timeline::StepView;

/// How many runs may lead to a run: two workflows that start each other end there.
pub const MAX_DEPTH: u8 = 10;

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The run.
    pub id: RunId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version that it is pinned to.
    pub version: i32,
    /// Where it is.
    pub status: RunStatus,
    /// What started it: `{kind, …}`.
    pub trigger: Value,
    /// Its input.
    pub input: Value,
    /// What it answers; null until it completed.
    pub outputs: Value,
    /// Why it did not complete.
    pub error: Option<RunError>,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The key under which it was started.
    pub dedupe_key: Option<String>,
}

/// A run with its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDetails {
    /// The run.
    pub run: Run,
    /// Its steps, in the order in which they can run.
    pub steps: Vec<StepView>,
}

/// A run to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// The run.
    pub id: RunId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version that it is pinned to.
    pub version: i32,
    /// What starts it.
    pub trigger: Value,
    /// The event that starts it; null where none does.
    pub event: Value,
    /// Its input.
    pub input: Value,
    /// The key under which it is started.
    pub dedupe_key: Option<String>,
    /// How many events of other runs led to it.
    pub depth: u8,
    /// The workflow's concurrency key for it, and the limit.
    pub concurrency: Option<(String, u32)>,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Which runs a list shows; what is empty does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of one of these workflows.
    pub workflows: Vec<WorkflowId>,
    /// In one of these statuses.
    pub statuses: Vec<RunStatus>,
    /// Started at or after.
    pub from: Option<DateTime<Utc>>,
    /// Started before.
    pub to: Option<DateTime<Utc>>,
}

/// A digest of an input that does not depend on the order of its members.
pub(super) fn digest(input: &Value) -> [u8; 32] {
    fn feed(value: &Value, into: &mut Sha256) {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(name, _)| *name);
                into.update(b"{");
                into.update(members.len().to_be_bytes());
                for (name, value) in members {
                    into.update(name.len().to_be_bytes());
                    into.update(name.as_bytes());
                    feed(value, into);
                }
            }
            Value::Array(items) => {
                into.update(b"[");
                into.update(items.len().to_be_bytes());
                for item in items {
                    feed(item, into);
                }
            }
            Value::String(text) => {
                into.update(b"\"");
                into.update(text.len().to_be_bytes());
                into.update(text.as_bytes());
            }
            scalar => {
                let text = scalar.to_string();
                into.update(text.len().to_be_bytes());
                into.update(text.as_bytes());
            }
        }
    }
    let mut hash = Sha256::new();
    feed(input, &mut hash);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_digest_tells_inputs_apart_but_not_their_order() {
        let text: Value = serde_json::from_str(r#"{"b":1,"a":[1,"2"]}"#).unwrap();
        assert_eq!(digest(&text), digest(&json!({"a": [1, "2"], "b": 1})));
        let others =
            [json!({}), json!({"a": [1, 2], "b": 1}), json!({"a": ["1", "2"], "b": 1}), json!([]), json!(null)];
        for other in others {
            assert_ne!(digest(&text), digest(&other));
        }
    }
}
