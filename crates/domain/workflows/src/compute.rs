//! CPU-bound work that would block other requests for too long: compiling documents, checking inputs.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tidegate_kernel::StoreError;

/// Runs CPU-bound work.
#[async_trait]
pub trait ComputePool: Send + Sync {
    /// Runs `work` and returns when it is done. MUST NOT block a thread that other requests need.
    async fn run(&self, work: Box<dyn FnOnce() + Send>);
}

/// Runs the work on the calling thread: for tests, and for programs that serve no other requests.
#[derive(Debug, Clone, Copy)]
pub struct Inline;

#[async_trait]
impl ComputePool for Inline {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// Runs `work` on `pool`.
///
/// # Errors
/// [`StoreError::Unavailable`] if the pool did not run the work.
pub(crate) async fn compute<T: Send + 'static>(
    pool: &dyn ComputePool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    let slot = Arc::new(Mutex::new(None));
    let filled = Arc::clone(&slot);
    let work = move || {
        let done = work();
        *filled.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    };
    pool.run(Box::new(work)).await;
    let done = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    done.ok_or_else(|| StoreError::Unavailable("the work was given up before it was done".into()))
}
