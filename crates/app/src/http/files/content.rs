//! The bytes of a file.
//!
//! They come from people who are not trusted, and are served on the origin of the API. So they are always attachments,
//! have a type that no browser runs, and are sandboxed if one shows them nevertheless.

use std::ops::Range;
use std::str::FromStr;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, Charset,
    ContentDisposition, DispositionParam, DispositionType, ETAG, ExtendedValue, HeaderName, HeaderValue, IF_NONE_MATCH,
    IF_RANGE, RANGE, Range as RangeHeader, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, get, web};
use futures::TryStreamExt;
use tidegate_files::service::Content;
use tidegate_kernel::FileId;
use utoipa_actix_web::service_config::ServiceConfig;

use super::views::hex;
use crate::Services;
use crate::http::support::caller::Entered;
use crate::http::support::path::InPath;
use crate::http::support::problem::{Problem, RANGE_NOT_SATISFIABLE};
use crate::http::support::schema;

pub(super) fn files(config: &mut ServiceConfig<'_>) {
    config.service(download);
}

/// Download a file. One range of bytes can be asked for; of several ranges, the whole file is sent.
#[utoipa::path(tag = "files", security(("bearer" = [])),
    responses(
        (status = 200, description = "The bytes", body = schema::Bytes, content_type = "application/octet-stream"),
        (status = 206, description = "The range of the bytes", body = schema::Bytes, content_type = "application/octet-stream"),
        (status = 304, description = "The caller has these bytes"),
        (status = 409, description = "The file is not uploaded, or is deleted"),
        (status = 416, description = "The range lies beyond the end")))]
#[get("/{fil}/content")]
pub async fn download(
    services: web::Data<Services>,
    Entered(scope): Entered,
    request: HttpRequest,
    file: InPath<FileId>,
) -> Result<HttpResponse, Problem> {
    let files = super::files(&services)?;
    let content = files.content(&scope, file.or_nothing()).await?;
    let etag = format!("\"{}\"", hex(content.sha256));
    if is_known(&request, &etag) {
        return Ok(common(HttpResponse::NotModified(), &content, &etag).finish());
    }
    let (response, range) = match asked(&request, &etag, content.size) {
        Asked::Whole => (HttpResponse::Ok(), None),
        Asked::Part(range) => {
            let mut response = HttpResponse::PartialContent();
            let value = format!("bytes {}-{}/{}", range.start, range.end - 1, content.size);
            response.insert_header((CONTENT_RANGE, value));
            (response, Some(range))
        }
        Asked::Beyond => {
            let detail = format!("The file has {} bytes; ask for a range within them.", content.size);
            let value = HeaderValue::from_str(&format!("bytes */{}", content.size)).map_err(|_| Problem::internal())?;
            return Err(Problem::new(&RANGE_NOT_SATISFIABLE, detail).with_header(CONTENT_RANGE, value));
        }
    };
    let length = range.as_ref().map_or(content.size, |range| range.end - range.start);
    let bytes = files.bytes(&scope, &content, range).await?;
    let bytes = bytes.inspect_err(|error| {
        tracing::warn!(%error, "a download broke off, because the object store did");
    });
    Ok(common(response, &content, &etag).body(SizedStream::new(length, bytes)))
}

/// What a request wants of a file.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    Beyond,
}

/// What `Range` and `If-Range` ask for (RFC 9110, sections 13.1.5 and 14.2). A range that cannot be read is ignored, as
/// the RFC has it, and so are several ranges, which it allows.
fn asked(request: &HttpRequest, etag: &str, size: u64) -> Asked {
    let text = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let mut ranges = request.headers().get_all(RANGE);
    let (Some(range), None) = (ranges.next(), ranges.next()) else { return Asked::Whole };
    let Some(Ok(RangeHeader::Bytes(ranges))) = range.to_str().ok().map(RangeHeader::from_str) else {
        return Asked::Whole;
    };
    // A date never matches: two versions of a file may have the same second.
    if request.headers().contains_key(IF_RANGE) && text(IF_RANGE) != Some(etag) {
        return Asked::Whole;
    }
    match ranges.as_slice() {
        [one] => match one.to_satisfiable_range(size) {
            Some((first, last)) => Asked::Part(first..last + 1),
            None => Asked::Beyond,
        },
        _ => Asked::Whole,
    }
}

/// Whether `If-None-Match` names these bytes.
fn is_known(request: &HttpRequest, etag: &str) -> bool {
    let lists = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The headers that every response with this content has.
fn common(mut response: HttpResponseBuilder, content: &Content, etag: &str) -> HttpResponseBuilder {
    let same_origin = (HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
        .insert_header((ETAG, etag))
        .insert_header((ACCEPT_RANGES, "bytes"))
        .insert_header((CACHE_CONTROL, "private, no-cache"))
        .insert_header((CONTENT_TYPE, content.file.content_type.served_as()))
        .insert_header((CONTENT_DISPOSITION, attachment(content.file.name.as_str())))
        .insert_header((CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(same_origin);
    response
}

/// `Content-Disposition` with the name in ASCII for old programs, and as it is (RFC 6266, RFC 8187).
fn attachment(name: &str) -> ContentDisposition {
    // A path separator or a quote in the plain name would be read differently by different programs.
    let plain = |c: char| if c.is_ascii_graphic() && !"\"\\/%".contains(c) || c == ' ' { c } else { '_' };
    let extended = ExtendedValue { charset: Charset::Ext("UTF-8".to_owned()), language_tag: None, value: name.into() };
    ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters: vec![
            DispositionParam::Filename(name.chars().map(plain).collect()),
            DispositionParam::FilenameExt(extended),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_range_is_read_as_the_rfc_has_it() {
        let of = |range: &str, size| {
            asked(&TestRequest::default().insert_header((RANGE, range)).to_http_request(), "\"e\"", size)
        };
        assert_eq!(of("bytes=0-0", 10), Asked::Part(0..1));
        assert_eq!(of("bytes=2-", 10), Asked::Part(2..10));
        assert_eq!(of("bytes=-3", 10), Asked::Part(7..10));
        assert_eq!(of("bytes=-30", 10), Asked::Part(0..10));
        assert_eq!(of("bytes=5-999", 10), Asked::Part(5..10));
        for beyond in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(of(beyond, 10), Asked::Beyond, "{beyond}");
        }
        assert_eq!(of("bytes=0-", 0), Asked::Beyond, "an empty file has no range");
        for whole in ["bytes=0-1,3-4", "lines=1-2", "bytes=x", "bytes=5-2", "", "bytes"] {
            assert_eq!(of(whole, 10), Asked::Whole, "{whole}");
        }
    }

    #[test]
    fn a_range_of_other_bytes_is_ignored() {
        let of = |tag: &str| {
            let request = TestRequest::default().insert_header((RANGE, "bytes=0-0")).insert_header((IF_RANGE, tag));
            asked(&request.to_http_request(), "\"e\"", 10)
        };
        assert_eq!(of("\"e\""), Asked::Part(0..1));
        for other in ["\"f\"", "W/\"e\"", "Sat, 28 Nov 2026 00:00:00 GMT"] {
            assert_eq!(of(other), Asked::Whole, "{other}");
        }
    }

    #[test]
    fn a_name_is_sent_twice_and_breaks_no_header() {
        let of = |name: &str| attachment(name).to_string();
        assert_eq!(of("a b.txt"), "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt");
        assert_eq!(of("ä\"/\\.pdf"), "attachment; filename=\"____.pdf\"; filename*=UTF-8''%C3%A4%22%2F%5C.pdf");
        assert!(HeaderValue::from_str(&of(&"دعوة\u{202e}".repeat(50))).is_ok());
    }
}
