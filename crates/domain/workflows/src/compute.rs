//! Work that keeps a processor busy for longer than others should wait: compiling documents, checking inputs.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tidegate_kernel::StoreError;

/// Where such work is done.
#[async_trait]
pub trait ComputePool: Send + Sync {
    /// Does `work` and returns when it is done. MUST NOT keep a thread meanwhile on which other requests wait.
    async fn run(&self, work: Box<dyn FnOnce() + Send>);
}

/// Does the work on the calling thread: for tests, and for programs that serve nobody else.
#[derive(Debug, Clone, Copy)]
pub struct Inline;

#[async_trait]
impl ComputePool for Inline {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

/// Does `work` on `pool`.
///
/// # Errors
/// [`StoreError::Unavailable`] where the pool did not do it.
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
