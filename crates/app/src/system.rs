//! The machine's clock and random generator. Nothing else reads either.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rand::RngCore;
use tidegate_kernel::{Clock, Entropy, Environment};

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock adapter")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the entropy adapter; the generator is seeded by the system")]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// The environment of a running program.
#[must_use]
pub fn environment() -> Environment {
    Environment::new(Arc::new(SystemClock), Arc::new(SystemEntropy))
}
