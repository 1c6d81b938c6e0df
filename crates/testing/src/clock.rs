//! Time and randomness under the control of a test.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{Clock, Entropy, Environment};

/// A clock that moves only when a test moves it, or by a fixed step at every reading.
#[derive(Debug)]
pub struct TestClock {
    now: Mutex<DateTime<Utc>>,
    step: TimeDelta,
}

impl TestClock {
    /// A clock that stands still at `now`.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(now), step: TimeDelta::zero() })
    }

    /// A clock that moves by a millisecond at every reading, so that ids sort in the order of their creation.
    #[must_use]
    pub fn ticking(now: DateTime<Utc>) -> Arc<Self> {
        Arc::new(Self { now: Mutex::new(now), step: TimeDelta::milliseconds(1) })
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, now: DateTime<Utc>) {
        self.change(|time| *time = now);
    }

    /// Moves the clock by `step`.
    pub fn advance(&self, step: TimeDelta) {
        self.change(|time| *time += step);
    }

    fn change<T>(&self, change: impl FnOnce(&mut DateTime<Utc>) -> T) -> T {
        change(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        self.change(|time| {
            *time += self.step;
            *time
        })
    }
}

/// Reproducible random bytes from a seed. Not for secrets.
#[derive(Debug)]
pub struct SeededEntropy {
    state: Mutex<u64>,
}

impl SeededEntropy {
    /// The random sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(seed) })
    }

    /// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            let word = Self::next(&mut state).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// An environment with this clock and the entropy of `seed`.
#[must_use]
pub fn environment(clock: Arc<TestClock>, seed: u64) -> Environment {
    Environment::new(clock, SeededEntropy::new(seed))
}

/// An environment for tests that depend on neither the time nor the ids. Its ticking clock begins now, since the
/// database has partitions for the present, and no other test makes the same ids, since tests share a database.
#[must_use]
pub fn test_environment() -> Environment {
    test_clock().1
}

/// The same with its clock, for tests that move the time.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "partitions of a database follow its real time")]
pub fn test_clock() -> (Arc<TestClock>, Environment) {
    let clock = TestClock::ticking(Utc::now());
    (Arc::clone(&clock), environment(clock, RandomState::new().hash_one(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_ids_and_another_has_others() {
        let ids = |seed| {
            let env = environment(TestClock::ticking(DateTime::UNIX_EPOCH), seed);
            [env.uuid_v7(), env.uuid_v7()]
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        assert!(ids(1).is_sorted());
    }

    #[test]
    fn a_clock_stands_until_it_is_moved() {
        let clock = TestClock::at(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), clock.now());
        clock.advance(TimeDelta::seconds(3));
        assert_eq!(clock.now().timestamp(), 3);
    }
}
