//! Strict query strings: an unknown parameter is refused, a repeated one is a list.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use tidegate_kernel::PageSize;

use super::problem::{FieldError, INVALID_QUERY, Problem};

/// Query parameters. `T` denies unknown fields, and its `Vec` fields take repeated parameters.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let deserializer = serde_html_form::Deserializer::from_bytes(request.query_string().as_bytes());
        ready(serde_path_to_error::deserialize(deserializer).map(Self).map_err(|error| {
            let parameter = error.path().to_string();
            invalid(if parameter == "." { "" } else { &parameter }, error.into_inner().to_string())
        }))
    }
}

/// A problem with one query parameter.
pub fn invalid(parameter: &str, detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    Problem::new(&INVALID_QUERY, detail.clone()).with_errors(vec![FieldError::new(parameter, detail)])
}

/// The page size that `?limit=` asks for.
///
/// # Errors
/// 400 for 0 and above 200.
pub fn page_size(limit: Option<u32>) -> Result<PageSize, Problem> {
    match limit {
        None => Ok(PageSize::default()),
        Some(limit) => {
            PageSize::new(limit).ok_or_else(|| invalid("limit", format!("`limit` may be 1 to {}.", PageSize::MAX)))
        }
    }
}
