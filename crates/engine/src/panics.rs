//! Panics as errors: a defect that one run meets ends neither the worker that drives it nor what else is in hand.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt;
use tidegate_kernel::StoreError;

/// A defect of the program, met on the way.
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

/// Does `work`. What it has changed when it panics MUST NOT be used any more.
pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::new(&*payload))
}

/// Asks a store. A panic is a question that the store cannot answer, and its transaction was rolled back.
pub(crate) async fn catch_store<T>(question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let answer = AssertUnwindSafe(question).catch_unwind().await;
    answer.unwrap_or_else(|payload| Err(StoreError::Internal(Box::new(Panicked::new(&*payload)))))
}
