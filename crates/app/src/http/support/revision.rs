//! Revisions as entity tags, for optimistic concurrency and conditional requests (RFC 9110, sections 8.8.3 and 13.1).

use actix_web::HttpRequest;
use actix_web::http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use tidegate_workflows::model::Expected;

use super::problem::{PRECONDITION_FAILED, PRECONDITION_REQUIRED, Problem};

/// The `ETag` header of a revision.
pub fn etag(revision: i32) -> (HeaderName, HeaderValue) {
    // Digits in quotes are always a valid header value.
    (ETAG, HeaderValue::from_str(&format!("\"{revision}\"")).unwrap_or(HeaderValue::from_static("\"\"")))
}

/// The revision that `If-Match` expects.
///
/// # Errors
/// 428 if the header is missing: the change could overwrite one that the caller has not seen.
pub fn required(request: &HttpRequest) -> Result<Expected, Problem> {
    expected(request).ok_or_else(|| {
        Problem::new(&PRECONDITION_REQUIRED, "Send If-Match with the ETag that you read, so that no change is lost.")
    })
}

/// The revision that `If-Match` expects; any if the header is missing.
pub fn optional(request: &HttpRequest) -> Expected {
    expected(request).unwrap_or(Expected::Any)
}

fn expected(request: &HttpRequest) -> Option<Expected> {
    let tags = tags(request, &IF_MATCH)?;
    // A weak tag never matches here, nor does a tag that this server did not make.
    let revisions = tags.iter().filter_map(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()).collect();
    Some(if tags.iter().any(|tag| tag == "*") { Expected::Any } else { Expected::OneOf(revisions) })
}

/// Whether `If-None-Match` says that the caller already has this revision.
pub fn is_known(request: &HttpRequest, revision: i32) -> bool {
    let own = format!("\"{revision}\"");
    tags(request, &IF_NONE_MATCH)
        .is_some_and(|tags| tags.iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own))
}

fn tags(request: &HttpRequest, name: &HeaderName) -> Option<Vec<String>> {
    let mut values = request.headers().get_all(name).peekable();
    values.peek()?;
    let lists = values.map(|value| value.to_str().unwrap_or_default());
    Some(lists.flat_map(|list| list.split(',')).map(|tag| tag.trim().to_owned()).collect())
}

/// The problem of a resource that has another revision than the caller expects.
pub fn stale(revision: i32) -> Problem {
    let (name, value) = etag(revision);
    Problem::new(&PRECONDITION_FAILED, format!("It is at revision {revision} now; read it again before you change it."))
        .with_header(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn tags_are_read_as_the_rfc_has_them() {
        let of = |value: &str| expected(&TestRequest::default().insert_header((IF_MATCH, value)).to_http_request());
        assert_eq!(of("\"3\""), Some(Expected::OneOf(vec![3])));
        assert_eq!(of("\"3\", \"4\""), Some(Expected::OneOf(vec![3, 4])));
        assert_eq!(of("*"), Some(Expected::Any));
        for never in ["W/\"3\"", "3", "\"x\"", "", "\"99999999999\""] {
            assert_eq!(of(never), Some(Expected::OneOf(Vec::new())), "{never}");
        }
        assert_eq!(expected(&TestRequest::default().to_http_request()), None);
        let known =
            |value: &str| is_known(&TestRequest::default().insert_header((IF_NONE_MATCH, value)).to_http_request(), 3);
        assert!(known("W/\"3\"") && known("\"1\", \"3\"") && known("*") && !known("\"4\""));
    }
}
