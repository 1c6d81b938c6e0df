//! Why a benchmark stopped.

use std::fmt;

/// A message; nobody handles these, they are read.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    /// With this message.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
