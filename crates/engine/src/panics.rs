//! Panics as errors, so that a defect in one run ends neither its worker nor the worker's other runs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;
use tidegate_kernel::StoreError;

/// A panic, which is a defect of the program.
#[derive(Debug, thiserror::Error)]
#[error("the program panicked: {0}")]
pub(crate) struct Panicked(String);

impl Panicked {
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Self(
            text.or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "without a message".to_owned()),
        )
    }
}

/// Runs `work` and catches a panic. After a panic, the caller MUST NOT use anything that `work` has changed.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::new(&*payload))
}

/// Runs a call to a store and catches a panic as an error. The call's transaction is rolled back.
pub(crate) async fn catch_store<T>(question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let answer = AssertUnwindSafe(question).catch_unwind().await;
    answer.unwrap_or_else(|payload| Err(StoreError::Internal(Box::new(Panicked::new(&*payload)))))
}
