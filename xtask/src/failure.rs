//! The error of a task: a message that says what to do, and an exit code.

use std::fmt;
use std::process::ExitCode;

/// The reason why a task stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The task ran and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The task was called wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// The task did not start, because this machine lacks something.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 3 }
    }

    /// Another program failed and has already printed why.
    pub(crate) fn passed_on(code: Option<i32>) -> Self {
        Self { message: String::new(), code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1) }
    }

    /// Whether the reason has already been printed.
    pub(crate) fn is_said(&self) -> bool {
        self.message.is_empty()
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Adds to an I/O error what was being done.
pub(crate) trait Context<T> {
    /// The same result, with its error as a [`Failure`] that begins with `doing`.
    fn context(self, doing: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::failed(format!("{doing}: {error}")))
    }
}
