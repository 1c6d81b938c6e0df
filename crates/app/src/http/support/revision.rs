//! Revisions as entity tags, for optimistic concurrency (RFC 9110, section 13.1.1).

use actix_web::HttpRequest;
use actix_web::http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH};
use tidegate_workflows::model::Expected;

use super::entity_tag::Tags;
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
    let revision = |tag: &[u8]| std::str::from_utf8(tag).ok()?.parse().ok();
    Some(match Tags::of(request, &IF_MATCH)? {
        Ok(Tags::Any) => Expected::Any,
        // A weak tag never matches here, nor does a tag that this server did not make.
        Ok(Tags::List(tags)) => {
            Expected::OneOf(tags.iter().filter(|tag| !tag.weak).filter_map(|tag| revision(tag.resource())).collect())
        }
        // A condition that cannot be read is not met: nothing changes.
        Err(_) => Expected::OneOf(Vec::new()),
    })
}

/// The revisions that the caller has seen; `None` is any.
pub fn seen(expected: Expected) -> Option<Vec<i32>> {
    match expected {
        Expected::Any => None,
        Expected::OneOf(revisions) => Some(revisions),
    }
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
    fn revisions_are_read_as_the_rfc_has_them() {
        let of = |value: &str| expected(&TestRequest::default().insert_header((IF_MATCH, value)).to_http_request());
        assert_eq!(of("\"3\""), Some(Expected::OneOf(vec![3])));
        assert_eq!(of("\"3\", \"4\""), Some(Expected::OneOf(vec![3, 4])));
        assert_eq!(of("\"3-gzip\""), Some(Expected::OneOf(vec![3])), "the tag of a compressed response");
        assert_eq!(of("*"), Some(Expected::Any));
        for never in ["W/\"3\"", "3", "\"x\"", "", "\"99999999999\"", "\"3\" \"4\""] {
            assert_eq!(of(never), Some(Expected::OneOf(Vec::new())), "{never}");
        }
        assert_eq!(expected(&TestRequest::default().to_http_request()), None);
    }
}
