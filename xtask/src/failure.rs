//! How a chore fails: a message that says what to do, and an exit code that means something.

use std::fmt;
use std::process::ExitCode;

/// Why a chore stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The chore ran and failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The chore was called wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// The chore did not start, because this machine lacks something.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 3 }
    }

    /// A program that we only passed the word to failed, and has said why.
    pub(crate) fn passed_on(code: Option<i32>) -> Self {
        Self { message: String::new(), code: code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1) }
    }

    /// Whether everything has been said.
    pub(crate) fn is_said(&self) -> bool {
        self.message.is_empty()
    }

    /// The code for the shell.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Says what was being done when an operation of the system failed.
pub(crate) trait Context<T> {
    /// The same result, its error as a [`Failure`] that begins with `doing`.
    fn context(self, doing: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, doing: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::failed(format!("{doing}: {error}")))
    }
}
