//! Caches: counters of their hits, and the cache of lists as a port.

mod counts;
mod lists;

pub use counts::{CacheCounts, CacheFigures};
pub use lists::{CacheKey, ListCache, ListTag, Looked, MAX_KEEP, MAX_VALUE, Versions};
