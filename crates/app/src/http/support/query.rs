//! Strict query strings: an unknown parameter is refused, and a repeated one is a list.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidegate_kernel::PageSize;
use utoipa::IntoParams;

use super::problem::{FieldError, INVALID_QUERY, Problem};

/// The most values of one filter.
pub const MOST_VALUES: usize = 50;

/// The longest value of a filter, in bytes. No stored text that can be filtered is longer.
pub const LONGEST_VALUE: usize = 2048;

/// An extractor of query parameters. `T` denies unknown fields, and its `Vec` fields take repeated parameters.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let deserializer = serde_html_form::Deserializer::from_bytes(request.query_string().as_bytes());
        let read = serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let parameter = error.path().to_string();
            invalid(if parameter == "." { "" } else { &parameter }, error.into_inner().to_string())
        });
        ready(read.and_then(|query| has_values(request.query_string()).map(|()| Self(query))))
    }
}

/// A page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// How many items, 1 to 200; default: 50.
    pub limit: Option<u32>,
    /// `next_cursor` of the previous page.
    pub cursor: Option<String>,
}

/// Checks that every parameter has a value and none has too many. An empty value would be read as a missing one. An
/// empty cursor passes: opening it fails, because it is not a cursor of the list.
fn has_values(query: &str) -> Result<(), Problem> {
    let mut names = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if value.is_empty() && name != "cursor" {
            return Err(invalid(name, format!("`{name}` is empty; give it a value, or leave it out.")));
        }
        names.push(name);
    }
    names.sort_unstable();
    match names.chunk_by(|one, next| one == next).find(|same| same.len() > MOST_VALUES) {
        Some(same) => {
            let name = same.first().copied().unwrap_or_default();
            Err(invalid(name, format!("`{name}` may be repeated up to {MOST_VALUES} times.")))
        }
        None => Ok(()),
    }
}

/// A problem with one query parameter.
pub fn invalid(parameter: &str, detail: impl Into<String>) -> Problem {
    let detail = detail.into();
    Problem::new(&INVALID_QUERY, detail.clone()).with_errors(vec![FieldError::new(parameter, detail)])
}

/// The values of a filter on texts.
///
/// # Errors
/// 400 if a value cannot equal any stored text: it is too long or has control characters.
pub fn texts(parameter: &str, values: &[String]) -> Result<Vec<String>, Problem> {
    if values.iter().any(|value| value.len() > LONGEST_VALUE || value.chars().any(char::is_control)) {
        let detail = format!("`{parameter}` has up to {LONGEST_VALUE} bytes and no control characters.");
        return Err(invalid(parameter, detail));
    }
    Ok(values.to_vec())
}

/// The bounds `from` and `to` of a filter on times: `from` ≤ t < `to`.
///
/// # Errors
/// 400 if a time is outside the years that RFC 3339 can write, or if `from` is after `to`.
pub fn period(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Result<Bounds, Problem> {
    let bounds = (instant("from", from)?, instant("to", to)?);
    match bounds {
        (Some(from), Some(to)) if from > to => {
            Err(invalid("from", "`from` is after `to`, so nothing lies between them."))
        }
        bounds => Ok(bounds),
    }
}

/// `from` and `to`, if they are given.
type Bounds = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

fn instant(parameter: &str, time: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, Problem> {
    match time {
        Some(time) if !(1..=9999).contains(&time.year()) => {
            Err(invalid(parameter, format!("`{parameter}` lies between the years 1 and 9999.")))
        }
        time => Ok(time),
    }
}

/// The page size from `?limit=`.
///
/// # Errors
/// 400 if it is 0 or above 200.
pub fn page_size(limit: Option<u32>) -> Result<PageSize, Problem> {
    match limit {
        None => Ok(PageSize::default()),
        Some(limit) => {
            PageSize::new(limit).ok_or_else(|| invalid("limit", format!("`limit` may be 1 to {}.", PageSize::MAX)))
        }
    }
}
