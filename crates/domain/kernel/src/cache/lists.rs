//! The cache of lists, which changes invalidate by tags.
//!
//! A tag stands for the lists of one workspace that change together. It has a version, which is another one after each
//! change. A reader asks for the versions of its tags, then reads the database, then stores the result under those
//! versions. A change gives its tags new versions after its commit and before its caller hears of it. So a value that
//! is found under the current versions was read after every change that anybody has heard of.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::id::WorkspaceId;

/// The longest time that a value is kept.
pub const MAX_KEEP: Duration = Duration::from_secs(60);
/// Larger values are not kept, in bytes.
pub const MAX_VALUE: usize = 512 * 1024;

/// The lists of a workspace that change together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListTag {
    /// API keys.
    ApiKeys,
    /// The audit log.
    Audit,
    /// Members with their roles.
    Members,
    /// Patterns, with the position up to which events are counted.
    Patterns,
    /// Suggestions, with the same position.
    Suggestions,
    /// Workflows and their versions.
    Workflows,
}

impl ListTag {
    /// Every tag.
    pub const ALL: &'static [Self] =
        &[Self::ApiKeys, Self::Audit, Self::Members, Self::Patterns, Self::Suggestions, Self::Workflows];

    /// The tag's name in keys of a store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKeys => "api-keys",
            Self::Audit => "audit",
            Self::Members => "members",
            Self::Patterns => "patterns",
            Self::Suggestions => "suggestions",
            Self::Workflows => "workflows",
        }
    }

    /// The lists that a change with this audited action may change.
    ///
    /// Every list, unless the resource of the action is known to be in no other list: a new kind of change can
    /// invalidate too much, and never too little.
    #[must_use]
    pub fn changed_by(action: &str) -> &'static [Self] {
        match action.split_once('.') {
            // Lists of runs, events and jobs are not cached.
            Some(("run" | "event" | "job", _)) => &[Self::Audit],
            _ => Self::ALL,
        }
    }

    /// The lists that detection changes.
    pub const DETECTED: &'static [Self] = &[Self::Patterns, Self::Suggestions];
}

/// The key of a value: the workspace, and a digest of everything else that the value depends on, such as who reads,
/// with which permissions, and the query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The digest.
    pub digest: [u8; 32],
}

/// The versions of some tags at one moment. Two are equal only if no tag has changed in between.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Versions(Arc<str>);

impl Versions {
    /// Versions in the format of their store.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
}

/// The answer of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The current versions. What is read from the database after this moment can be stored under them.
    pub versions: Versions,
    /// The value, if it is cached under these versions.
    pub value: Option<Arc<[u8]>>,
}

/// A cache of lists.
#[async_trait]
pub trait ListCache: Send + Sync {
    /// Looks a value up, with the current versions of its tags.
    ///
    /// MUST return only a value that was stored under exactly the versions that are current during the call, and no
    /// longer after its time is over. MUST return `None` if the versions cannot be known: the caller then reads the
    /// database, and stores nothing. MUST NOT fail, nor wait for longer than a second.
    async fn look(&self, key: &CacheKey, tags: &[ListTag]) -> Option<Looked>;

    /// Stores a value that was read after `versions` were returned, for at most `keep`.
    ///
    /// MUST keep nothing for longer than [`MAX_KEEP`], and nothing that is larger than [`MAX_VALUE`].
    fn store(&self, key: CacheKey, versions: Versions, value: Arc<[u8]>, keep: Duration);

    /// Gives tags of a workspace new versions, on every server. Called after the commit of a change, also if it is
    /// unknown whether the commit took effect.
    ///
    /// When it returns, no process MUST find a value that was stored under an older version. If the store does not
    /// answer, that MUST hold for this process at once, and for all others as soon as the store answers this process
    /// again, or [`MAX_KEEP`] later. MUST NOT fail, nor wait for longer than a second.
    async fn invalidate(&self, workspace: WorkspaceId, tags: &[ListTag]);

    /// The number of values, and the most small ones that fit.
    fn size(&self) -> (u64, u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_names_of_their_own_and_an_unknown_change_touches_all() {
        let names: std::collections::BTreeSet<_> = ListTag::ALL.iter().map(|tag| tag.as_str()).collect();
        assert_eq!(names.len(), ListTag::ALL.len());
        assert_eq!(ListTag::changed_by("run.cancel_requested"), [ListTag::Audit]);
        for action in ["member.removed", "made_up.changed", "runs", ""] {
            assert_eq!(ListTag::changed_by(action), ListTag::ALL, "{action}");
        }
    }
}
