//! Visits every workspace in turn, a bounded number at a time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// The most workspaces that one look may read, whether they have work or not.
pub(crate) const WORKSPACES_PER_LOOK: i64 = 2_000;

/// Where the next look of each kind begins: after this workspace, in the order of their ids, in a circle. Nothing is
/// stored: a new process may begin anywhere.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Mutex<HashMap<&'static str, Uuid>>);

impl Rounds {
    /// The workspace after which the next look of this kind begins.
    pub(crate) fn after(&self, kind: &'static str) -> Uuid {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(kind).copied().unwrap_or_default()
    }

    /// Records the last workspace that a look of this kind has visited; `None` if it reached the end.
    pub(crate) fn seen(&self, kind: &'static str, last: Option<Uuid>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, last.unwrap_or_default());
    }
}
