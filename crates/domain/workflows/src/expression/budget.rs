//! How much work one evaluation may do.
//!
//! One unit is about one node visited, sixteen bytes scanned, or sixty-four bytes copied, compared or allocated. A budget
//! of [`UNITS`] ends within some tens of milliseconds in a release build and within 64 MiB that it allocated, whatever
//! the expression does: whoever visits, reads, compares or makes something spends first.

/// What one evaluation of a template may spend.
pub(super) const UNITS: u64 = 1_000_000;
/// The longest text that an expression may make, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;
/// The longest text that a regular expression may be matched against, in bytes.
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

    /// How many units were spent; all of them once it is used up.
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

    /// For bytes that are looked at one by one.
    pub(super) fn scan(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(bytes as u64 / 16)
    }

    /// For bytes that are compared or copied in blocks.
    pub(super) fn copy(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(bytes as u64 / 64)
    }

    /// For one block of memory.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(1 + bytes as u64 / 64)
    }

    /// For the memory of `count` items of type `T`.
    pub(super) fn allocate_items<T>(&mut self, count: usize) -> Result<(), Exhausted> {
        self.allocate(count.saturating_mul(size_of::<T>()))
    }

    /// For a key of `bytes` that is compared with the keys on the way through `count` sorted ones.
    pub(super) fn search(&mut self, bytes: usize, count: usize) -> Result<(), Exhausted> {
        let steps = u64::from(count.checked_ilog2().unwrap_or(0)) + 1;
        self.spend((bytes as u64 / 64).saturating_mul(steps))
    }
}
