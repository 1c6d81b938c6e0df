//! Keyset pagination.

use std::num::NonZeroU32;

/// The maximum number of items in a page: 1 to 200, by default 50.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(NonZeroU32);

impl PageSize {
    /// The largest page size.
    pub const MAX: u32 = 200;

    /// A page size of `items`, or `None` if that is 0 or above [`PageSize::MAX`].
    #[must_use]
    pub fn new(items: u32) -> Option<Self> {
        NonZeroU32::new(items).filter(|n| n.get() <= Self::MAX).map(Self)
    }

    /// The number of items.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(NonZeroU32::MIN.saturating_add(49))
    }
}

/// One page of a list, and the key of the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The key after which the next page starts; `None` on the last page.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// Makes a page from rows that were read with a limit of `size` + 1. The extra row shows whether a next page
    /// exists, so a full last page is not followed by an empty one.
    #[must_use]
    pub fn from_overfetch(mut rows: Vec<T>, size: PageSize, key: impl FnOnce(&T) -> K) -> Self {
        let size = usize::try_from(size.get()).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let next = if more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }

    /// The same page with every item mapped.
    #[must_use]
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U, K> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_last_page_has_no_follower() {
        let two = PageSize::new(2).unwrap();
        assert_eq!(Page::from_overfetch(vec![1, 2], two, |n| *n).next, None);
        let page = Page::from_overfetch(vec![1, 2, 3], two, |n| *n);
        assert_eq!((page.items, page.next), (vec![1, 2], Some(2)));
    }

    #[test]
    fn sizes_have_bounds() {
        assert_eq!(PageSize::new(0), None);
        assert_eq!(PageSize::new(201), None);
        assert_eq!(PageSize::default().get(), 50);
    }
}
