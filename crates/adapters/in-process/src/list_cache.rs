//! The cache of lists in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;
use tidegate_kernel::cache::{MAX_KEEP, MAX_VALUE};
use tidegate_kernel::{CacheKey, ListCache, ListTag, Looked, Versions, WorkspaceId};
use tokio::time::Instant;

/// Memory is counted in pieces of this many bytes, and a value takes at least one.
const PIECE: usize = 4096;
/// The most pieces: 64 MiB.
const PIECES: u64 = 16 * 1024;
/// The most tags whose versions are remembered. A tag that is forgotten gets a version that no value has.
const TAGS: usize = 200_000;

/// The values of a cache, in the memory of this process.
#[derive(Debug, Clone)]
pub struct LocalLists(Cache<CacheKey, Value>);

#[derive(Debug, Clone)]
struct Value {
    versions: Versions,
    bytes: Arc<[u8]>,
    until: Instant,
}

impl LocalLists {
    /// No values.
    #[must_use]
    pub fn new() -> Self {
        let weigh = |_: &CacheKey, value: &Value| u32::try_from(value.bytes.len() / PIECE + 1).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(PIECES).weigher(weigh).time_to_live(MAX_KEEP).build())
    }

    /// The value, if it was stored under these versions and its time is not over.
    #[must_use]
    pub fn get(&self, key: &CacheKey, versions: &Versions) -> Option<Arc<[u8]>> {
        let value = self.0.get(key)?;
        (value.versions == *versions && Instant::now() < value.until).then_some(value.bytes)
    }

    /// Stores a value for at most `keep`.
    pub fn put(&self, key: CacheKey, versions: Versions, bytes: Arc<[u8]>, keep: Duration) {
        if bytes.len() <= MAX_VALUE {
            let until = Instant::now() + keep.min(MAX_KEEP);
            self.0.insert(key, Value { versions, bytes, until });
        }
    }

    /// The number of values, and the most that fit if each takes one piece of memory.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        (self.0.entry_count(), PIECES)
    }
}

impl Default for LocalLists {
    fn default() -> Self {
        Self::new()
    }
}

/// A cache of lists for an installation with one process.
#[derive(Debug, Default)]
pub struct InProcessListCache {
    lists: LocalLists,
    versions: Mutex<HashMap<(WorkspaceId, ListTag), u64>>,
    /// The last version that was given to a tag. No version is given twice.
    last: AtomicU64,
}

impl InProcessListCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[async_trait]
impl ListCache for InProcessListCache {
    async fn look(&self, key: &CacheKey, tags: &[ListTag]) -> Option<Looked> {
        let current: Vec<String> = {
            let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            if versions.len() >= TAGS {
                versions.clear();
            }
            let current =
                |tag: &ListTag| versions.entry((key.workspace, *tag)).or_insert_with(|| self.next()).to_string();
            tags.iter().map(current).collect()
        };
        let versions = Versions::new(&current.join(" "));
        let value = self.lists.get(key, &versions);
        Some(Looked { versions, value })
    }

    fn store(&self, key: CacheKey, versions: Versions, value: Arc<[u8]>, keep: Duration) {
        self.lists.put(key, versions, value, keep);
    }

    async fn invalidate(&self, workspace: WorkspaceId, tags: &[ListTag]) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        for tag in tags {
            // A tag that nobody has asked for gets its version when somebody does.
            if let Some(version) = versions.get_mut(&(workspace, *tag)) {
                *version = self.next();
            }
        }
    }

    fn size(&self) -> (u64, u64) {
        self.lists.size()
    }
}
