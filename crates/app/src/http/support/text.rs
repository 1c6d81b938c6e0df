//! The rules of the domain's texts, as validators of body fields.

use tidegate_tenancy::{Email, InvalidText, Name, Slug};
use validator::ValidationError;

use super::problem::{FieldError, Problem};

fn result<T>(result: Result<T, InvalidText>) -> Result<(), ValidationError> {
    result.map(drop).map_err(|error| ValidationError::new("text").with_message(error.0.into()))
}

/// Whether a field is an e-mail address.
pub(crate) fn valid_email(text: &str) -> Result<(), ValidationError> {
    result(Email::new(text))
}

/// Whether a field is a name.
pub(crate) fn valid_name(text: &str) -> Result<(), ValidationError> {
    result(Name::new(text))
}

/// Whether a field is a slug.
pub(crate) fn valid_slug(text: &str) -> Result<(), ValidationError> {
    result(Slug::new(text))
}

/// The problem of a field whose text breaks its rule.
pub(crate) fn invalid_text(pointer: &str, error: InvalidText) -> Problem {
    Problem::invalid(vec![FieldError::new(pointer, error.0)])
}
