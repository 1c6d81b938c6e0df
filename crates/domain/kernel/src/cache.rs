//! How well a cache answers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the lookups of a cache.
#[derive(Debug, Default)]
pub struct CacheCounts {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How a cache is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheFigures {
    /// Its name, a word.
    pub name: &'static str,
    /// Lookups that it answered.
    pub hits: u64,
    /// Lookups that it did not answer.
    pub misses: u64,
    /// What it holds.
    pub entries: u64,
    /// The most that it holds.
    pub capacity: u64,
}

impl CacheCounts {
    /// Counts a lookup, and hands on what was found.
    pub fn count<T>(&self, found: Option<T>) -> Option<T> {
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// The lookups so far of the cache `name`, which holds so many entries.
    #[must_use]
    pub fn figures(&self, name: &'static str, entries: u64, capacity: u64) -> CacheFigures {
        let (hits, misses) = (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed));
        CacheFigures { name, hits, misses, entries, capacity }
    }
}

impl CacheFigures {
    /// The share of lookups that it answered; `None` before the first.
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
