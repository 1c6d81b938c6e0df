//! Who waits in this process for a run to end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_kernel::RunId;
use tokio::sync::oneshot;

/// Tells waiters in the same process that a run has ended. Another process's runs are not heard of, so whoever waits also
/// asks the store from time to time.
#[derive(Debug, Clone, Default)]
pub struct RunEndings {
    waiting: Arc<Mutex<HashMap<RunId, Vec<oneshot::Sender<()>>>>>,
}

impl RunEndings {
    /// Resolves when `run` ends from now on; with an error where nobody will ever tell.
    #[must_use]
    pub fn ended(&self, run: RunId) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiters = waiting.entry(run).or_default();
        // Whoever gave up waiting is forgotten when the next one comes.
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        receiver
    }

    /// Forgets a run that nobody waits for any more.
    pub fn forget(&self, run: RunId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.get(&run).is_some_and(|waiters| waiters.iter().all(oneshot::Sender::is_closed)) {
            waiting.remove(&run);
        }
    }

    pub(crate) fn tell(&self, run: RunId) {
        let waiters = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        for waiter in waiters.unwrap_or_default() {
            // A waiter that is gone does not want to know.
            let _ = waiter.send(());
        }
    }
}
