//! How much work one evaluation may do.
//!
//! One unit is about one node visited, sixteen bytes scanned or sixty-four bytes copied; a budget of
//! [`UNITS`] ends within some tens of milliseconds in a release build, whatever the expression does.

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
    left: u64,
}

impl Budget {
    pub(super) const fn new(units: u64) -> Self {
        Self { left: units }
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

    pub(super) fn scan(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(bytes as u64 / 16)
    }

    pub(super) fn copy(&mut self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(bytes as u64 / 64)
    }
}
