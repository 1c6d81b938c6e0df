//! Problems of runs that cannot be started, read or cancelled.

use tidegate_workflows::run::{CancelError, ReadError, StartError};

use crate::http::support::problem::{CONFLICT, FieldError, Problem};

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Forbidden(error) => error.into(),
            StartError::NotFound => Self::not_found(),
            StartError::Unpublished => {
                Self::new(&CONFLICT, "No version of the workflow is published; publish one, then start it.")
            }
            StartError::InvalidInput(problems) => Self::invalid(
                problems
                    .into_iter()
                    .map(|problem| FieldError::new(format!("/input{}", problem.pointer), problem.detail))
                    .collect(),
            ),
            StartError::InvalidKey => Self::invalid(vec![FieldError::new("/dedupe_key", error.to_string())]),
            StartError::KeyReused(run) => Self::new(
                &CONFLICT,
                format!("This dedupe key started {run} with another input; use another key for another input."),
            ),
            StartError::ConcurrencyKey(_) => Self::invalid(vec![FieldError::new("/input", error.to_string())]),
            StartError::Superseded { .. } => {
                Self::new(&CONFLICT, "Other versions of the workflow were published meanwhile; start it again.")
            }
            StartError::TooDeep => Self::new(&CONFLICT, error.to_string()),
            StartError::QuotaExceeded(exceeded) => exceeded.into(),
            StartError::Store(error) => error.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Forbidden(error) => error.into(),
            ReadError::NotFound => Self::not_found(),
            ReadError::Store(error) => error.into(),
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Forbidden(error) => error.into(),
            CancelError::NotFound => Self::not_found(),
            CancelError::Ended => Self::new(&CONFLICT, "The run has ended; there is nothing left to cancel."),
            CancelError::Store(error) => error.into(),
        }
    }
}
