//! Hit and miss counters for caches.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the hits and misses of a cache.
#[derive(Debug, Default)]
pub struct CacheCounts {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A snapshot of a cache's counters and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheFigures {
    /// The cache's name: one word.
    pub name: &'static str,
    /// Lookups that the cache answered.
    pub hits: u64,
    /// Lookups that the cache could not answer.
    pub misses: u64,
    /// The number of cache entries.
    pub entries: u64,
    /// The maximum number of cache entries.
    pub capacity: u64,
}

impl CacheCounts {
    /// Counts one lookup and returns `found`. `Some` is a hit and `None` a miss.
    pub fn count<T>(&self, found: Option<T>) -> Option<T> {
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// The counters so far, together with the cache's name, its number of entries and its capacity.
    #[must_use]
    pub fn figures(&self, name: &'static str, entries: u64, capacity: u64) -> CacheFigures {
        let (hits, misses) = (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed));
        CacheFigures { name, hits, misses, entries, capacity }
    }
}

impl CacheFigures {
    /// Hits as a share of all lookups, from 0 to 1; `None` before the first lookup.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more digits")]
    pub fn hit_rate(&self) -> Option<f64> {
        let lookups = self.hits + self.misses;
        (lookups > 0).then(|| self.hits as f64 / lookups as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_are_counted_by_what_they_find() {
        let counts = CacheCounts::default();
        assert_eq!(counts.figures("test", 0, 9).hit_rate(), None);
        assert_eq!(counts.count(Some(1)), Some(1));
        assert_eq!(counts.count::<u8>(None), None);
        counts.count(Some(1));
        counts.count(Some(1));
        let figures = counts.figures("test", 2, 9);
        assert_eq!((figures.hits, figures.misses, figures.entries, figures.capacity), (3, 1, 2, 9));
        assert_eq!(figures.hit_rate(), Some(0.75));
    }
}
