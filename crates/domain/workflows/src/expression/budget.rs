//! The budget of one evaluation.
//!
//! One unit is about one node visited, 16 bytes scanned, or 64 bytes copied, compared or allocated. Whatever the
//! expression does, a budget of [`UNITS`] ends within some tens of milliseconds in a release build, and within 64 MiB
//! of allocations. Code MUST spend before it visits, reads, compares or creates something.

/// The budget for one evaluation of a template, in units.
pub(super) const UNITS: u64 = 1_000_000;
/// The maximum length of a text that an expression creates, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;
/// The maximum length of a text that a regular expression is matched against, in bytes.
pub(super) const MAX_MATCHED: usize = 1 << 16;

/// The budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted;

#[derive(Debug)]
pub(super) struct Budget {
    units: u64,
    left: u64,
}

impl Budget {
    pub(super) const fn new(units: u64) -> Self {
        Self { units, left: units }
    }

    /// The units that were spent; all units once the budget is used up.
    pub(super) const fn spent(&self) -> u64 {
        self.units - self.left
    }

    pub(super) fn spend(&mut self, units: u64) -> Result<(), Exhausted> {
        match self.left.checked_sub(units) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Exhausted)
            }
        }
    }

    /// Charges for bytes that are scanned one by one.
    pub(super) fn scan(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(bytes as u64 / 16)
    }

    /// Charges for bytes that are compared or copied in blocks.
    pub(super) fn copy(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(bytes as u64 / 64)
    }

    /// Charges for one block of memory.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(1 + bytes as u64 / 64)
    }

    /// Charges for the memory of `count` items of type `T`.
    pub(super) fn allocate_items<T>(&mut self, count: usize) -> Result<(), Exhausted> {
        self.allocate(count.saturating_mul(size_of::<T>()))
    }

    /// Charges for a binary search: a key of `bytes` is compared with keys among `count` sorted ones.
    pub(super) fn search(&mut self, bytes: usize, count: usize) -> Result<(), Exhausted> {
        let steps = u64::from(count.checked_ilog2().unwrap_or(0)) + 1;
        self.spend((bytes as u64 / 64).saturating_mul(steps))
    }
}
