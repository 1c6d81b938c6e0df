//! Failed log-ins, which are recorded after the answer: the answer takes the same time for known and unknown addresses.

use std::sync::{Mutex, PoisonError};

use tidegate_kernel::StoreError;

use super::Accounts;
use crate::ports::FailedLogIn;

/// Failed log-ins that are not recorded yet. A crash loses those of the last second.
#[derive(Debug, Default)]
pub(super) struct FailedLogIns(Mutex<Vec<FailedLogIn>>);

/// How many wait to be recorded. Limits on log-ins keep a server far below; beyond it, further ones are lost.
const MOST: usize = 10_000;

impl FailedLogIns {
    /// Notes a failed log-in, to be recorded soon.
    pub(super) fn note(&self, failure: FailedLogIn) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MOST {
            waiting.push(failure);
        }
    }

    fn take(&self) -> Vec<FailedLogIn> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what could not be recorded.
    fn put_back(&self, failures: Vec<FailedLogIn>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST.saturating_sub(waiting.len());
        waiting.splice(0..0, failures.into_iter().take(room));
    }
}

impl Accounts {
    /// Records the log-ins that have failed since the last call in the logs of their accounts. Makes no query if there are
    /// none.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be recorded; they are kept for the next call.
    pub async fn record_failures(&self) -> Result<(), StoreError> {
        let failures = self.failures.take();
        if failures.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut tx = self.begin().await?;
            tx.account_log().record_failures(&failures).await?;
            tx.commit().await
        };
        let written = written.await;
        if written.is_err() {
            self.failures.put_back(failures);
        }
        written
    }
}
