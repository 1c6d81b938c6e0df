//! A run as stored and read.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate_kernel::{RunId, WorkflowId};

use super::model::{RunError, RunStatus};
use super::timeline::StepView;

/// The maximum length of a chain of runs that start each other. It ends loops between workflows.
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
    /// Its status.
    pub status: RunStatus,
    /// What started it: `{kind, …}`.
    pub trigger: Value,
    /// Its input.
    pub input: Value,
    /// Its outputs; null unless it was completed.
    pub outputs: Value,
    /// The error, if it was not completed.
    pub error: Option<RunError>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The dedupe key of its start.
    pub dedupe_key: Option<String>,
}

/// A run with its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDetails {
    /// The run.
    pub run: Run,
    /// Its steps, in topological order.
    pub steps: Vec<StepView>,
}

/// A run to store.
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
    /// The event that starts it, or null.
    pub event: Value,
    /// Its input.
    pub input: Value,
    /// The dedupe key of its start.
    pub dedupe_key: Option<String>,
    /// The length of the chain of events, emitted by other runs, that led to it.
    pub depth: u8,
    /// Its concurrency key, and the limit for it.
    pub concurrency: Option<(String, u32)>,
    /// When it is created.
    pub created_at: DateTime<Utc>,
}

/// A filter for runs. An empty or absent field does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only runs of these workflows.
    pub workflows: Vec<WorkflowId>,
    /// Only runs with one of these statuses.
    pub statuses: Vec<RunStatus>,
    /// Only runs created at or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Only runs created before this time.
    pub to: Option<DateTime<Utc>>,
}

/// A digest of an input. It does not depend on the order of members.
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
