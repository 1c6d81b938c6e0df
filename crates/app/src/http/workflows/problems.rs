//! Problems of workflows: invalid documents, and workflows that cannot be read or changed.

use tidegate_workflows::definition::{self, DefinitionError};
use tidegate_workflows::error::{CheckError, CreateError, DraftError, PublishError, ReadError, WithdrawError};

use crate::http::support::problem::{FieldError, MALFORMED_BODY, NAME_TAKEN, Problem};
use crate::http::support::revision;

impl From<DefinitionError> for Problem {
    fn from(error: DefinitionError) -> Self {
        let field = |problem: definition::Problem| FieldError {
            line: Some(problem.line),
            column: Some(problem.column),
            suggestion: problem.suggestion,
            ..FieldError::new(problem.pointer, problem.detail)
        };
        match error {
            DefinitionError::Unreadable(problem) => {
                Self::new(&MALFORMED_BODY, format!("Line {}: {}.", problem.line, problem.detail))
                    .with_errors(vec![field(problem)])
            }
            DefinitionError::Invalid(problems) => Self::invalid(problems.into_iter().map(field).collect()),
        }
    }
}

fn name_taken() -> Problem {
    let detail = "The workspace has another workflow of this name; choose another one.";
    Problem::new(&NAME_TAKEN, detail).with_errors(vec![FieldError::new("/name", detail)])
}

impl From<CheckError> for Problem {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Forbidden(error) => error.into(),
            CheckError::Definition(error) => error.into(),
            CheckError::Store(error) => error.into(),
        }
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Forbidden(error) => error.into(),
            CreateError::Definition(error) => error.into(),
            CreateError::NameTaken => name_taken(),
            CreateError::QuotaExceeded(exceeded) => exceeded.into(),
            CreateError::Store(error) => error.into(),
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

impl From<DraftError> for Problem {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Forbidden(error) => error.into(),
            DraftError::NotFound => Self::not_found(),
            DraftError::Stale(revision) => revision::stale(revision),
            DraftError::Definition(error) => error.into(),
            DraftError::NameTaken => name_taken(),
            DraftError::Store(error) => error.into(),
        }
    }
}

impl From<WithdrawError> for Problem {
    fn from(error: WithdrawError) -> Self {
        match error {
            WithdrawError::Forbidden(error) => error.into(),
            WithdrawError::NotFound => Self::not_found(),
            WithdrawError::Stale(revision) => revision::stale(revision),
            WithdrawError::Store(error) => error.into(),
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Forbidden(error) => error.into(),
            PublishError::NotFound => Self::not_found(),
            PublishError::Stale(revision) => revision::stale(revision),
            PublishError::NoSuchVersion(_) => {
                Self::invalid(vec![FieldError::new("/version", "The workflow has no such version.")])
            }
            PublishError::Definition(error) => error.into(),
            PublishError::Store(error) => error.into(),
        }
    }
}
