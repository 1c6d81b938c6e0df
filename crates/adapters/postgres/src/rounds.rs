//! Looking at every workspace in turn, a bounded number at a time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// How many workspaces one look may read, whether there is anything to do in them or not.
pub(crate) const WORKSPACES_PER_LOOK: i64 = 2_000;

/// Where each kind of look goes on: after this workspace, in the order of their ids, round and round. A process that starts begins
/// anywhere, so nothing of this is stored.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Mutex<HashMap<&'static str, Uuid>>);

impl Rounds {
    /// Where the next look of this kind begins: after this workspace.
    pub(crate) fn after(&self, kind: &'static str) -> Uuid {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(kind).copied().unwrap_or_default()
    }

    /// The last look of this kind has seen everything up to this workspace; `None` when it came to the end.
    pub(crate) fn seen(&self, kind: &'static str, last: Option<Uuid>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, last.unwrap_or_default());
    }
}
