//! A thread pool for CPU-bound work. It runs as many tasks at once as there are processors.

use std::sync::Arc;
use std::thread::available_parallelism;

use async_trait::async_trait;
use tidegate_workflows::compute::ComputePool;
use tokio::sync::Semaphore;

/// Runs work on the runtime's blocking threads, not on those that serve requests.
#[derive(Debug)]
pub(super) struct BlockingPool {
    turns: Arc<Semaphore>,
}

impl BlockingPool {
    /// A pool that runs as many tasks at once as there are processors.
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))) }
    }
}

#[async_trait]
impl ComputePool for BlockingPool {
    async fn run(&self, work: Box<dyn FnOnce() + Send>) {
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return };
        // The permit is held until the work ends, even if the caller gives up.
        let done = tokio::task::spawn_blocking(move || {
            work();
            drop(turn);
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "work on a thread of its own has failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread::{self, ThreadId};

    use super::*;

    #[tokio::test]
    async fn work_is_done_on_another_thread() {
        let seen: Arc<Mutex<Option<ThreadId>>> = Arc::default();
        let slot = Arc::clone(&seen);
        BlockingPool::new().run(Box::new(move || *slot.lock().unwrap() = Some(thread::current().id()))).await;
        let thread = seen.lock().unwrap().expect("the work is done when the call returns");
        assert_ne!(thread, thread::current().id());
    }

    #[tokio::test]
    async fn work_that_fails_gives_its_turn_back() {
        let pool = BlockingPool { turns: Arc::new(Semaphore::new(1)) };
        pool.run(Box::new(|| panic!("a defect"))).await;
        let done = Arc::new(Mutex::new(false));
        let slot = Arc::clone(&done);
        pool.run(Box::new(move || *slot.lock().unwrap() = true)).await;
        assert!(*done.lock().unwrap());
    }
}
