//! Whether Redis is away, so that not every request waits for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The pause after a failure.
const REST: Duration = Duration::from_secs(1);

/// What one user of Redis knows of it.
#[derive(Debug, Default)]
pub(crate) struct Away(Mutex<Option<Instant>>);

impl Away {
    /// Whether the last exchange failed a moment ago.
    pub(crate) fn is_resting(&self) -> bool {
        let away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_some_and(|until| Instant::now() < until)
    }

    /// Records the outcome of an exchange, and logs when it changes. `effect` says what does not work, and `again` what
    /// works again.
    pub(crate) fn note(&self, failure: Option<&dyn std::fmt::Display>, effect: &str, again: &str) {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some(error) => {
                if away.is_none() {
                    tracing::warn!(%error, "Redis is away; {effect} until it is back");
                }
                *away = Some(Instant::now() + REST);
            }
            None => {
                if away.take().is_some() {
                    tracing::info!("Redis is back; {again}");
                }
            }
        }
    }
}
