//! Entity tags (RFC 9110, section 8.8.3), and lists of them in `If-Match` and `If-None-Match` (sections 13.1.1 and
//! 13.1.2).
//!
//! A response that is compressed has the tag of its resource with the name of the coding behind it: `"3"` becomes
//! `"3-gzip"`. So each coding has a strong tag of its own, as the RFC requires, and callers can send it in `If-Match`.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};

/// The content codings of responses, by preference.
pub(crate) const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

/// An entity tag that a caller sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityTag {
    /// Whether it is `W/"…"`.
    pub(crate) weak: bool,
    /// What is between the quotes.
    pub(crate) opaque: Vec<u8>,
}

impl EntityTag {
    /// The tag without the coding behind it.
    pub(crate) fn resource(&self) -> &[u8] {
        let named = |coding: &&str| self.opaque.strip_suffix(coding.as_bytes())?.strip_suffix(b"-");
        CODINGS.iter().find_map(named).unwrap_or(&self.opaque)
    }

    /// The tag as a header.
    fn header(&self) -> Option<HeaderValue> {
        let prefix: &[u8] = if self.weak { b"W/\"" } else { b"\"" };
        HeaderValue::from_bytes(&[prefix, &self.opaque, b"\""].concat()).ok()
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: any representation.
    Any,
    /// A list of tags.
    List(Vec<EntityTag>),
}

impl Tags {
    /// The value of a header, which may be sent several times. `None` if it is missing, `Some(Err)` if it is malformed.
    pub(crate) fn of(request: &HttpRequest, name: &HeaderName) -> Option<Result<Self, Malformed>> {
        let mut values = request.headers().get_all(name).peekable();
        values.peek()?;
        let whole = values.map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b","[..]);
        Some(Self::parse(&whole))
    }

    fn parse(mut rest: &[u8]) -> Result<Self, Malformed> {
        if rest.trim_ascii() == b"*" {
            return Ok(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            rest = rest.trim_ascii_start();
            if let Some(behind) = rest.strip_prefix(b",") {
                // Empty elements of a list are ignored (RFC 9110, section 5.6.1.2).
                rest = behind;
                continue;
            }
            if rest.is_empty() {
                return if tags.is_empty() { Err(Malformed) } else { Ok(Self::List(tags)) };
            }
            let (weak, quoted) = rest.strip_prefix(b"W/").map_or((false, rest), |quoted| (true, quoted));
            let opaque = quoted.strip_prefix(b"\"").ok_or(Malformed)?;
            let end = opaque.iter().position(|byte| *byte == b'"').ok_or(Malformed)?;
            let (opaque, behind) = opaque.split_at(end);
            if opaque.iter().any(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)) {
                return Err(Malformed);
            }
            tags.push(EntityTag { weak, opaque: opaque.to_vec() });
            rest = behind.strip_prefix(b"\"").ok_or(Malformed)?.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return Err(Malformed);
            }
        }
    }

    /// Whether a caller who sent this in `If-None-Match` has the representation with the tag `current`, by weak
    /// comparison. Returns the `ETag` of a 304: the tag that the caller named, which may name a coding.
    pub(crate) fn known(&self, current: &HeaderValue) -> Option<HeaderValue> {
        let tags = match self {
            Self::Any => return Some(current.clone()),
            Self::List(tags) => tags,
        };
        let current = current.as_bytes();
        let (weak, opaque) = current.strip_prefix(b"W/").map_or((false, current), |opaque| (true, opaque));
        let opaque = opaque.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let named = tags.iter().find(|tag| tag.resource() == opaque)?;
        EntityTag { weak, opaque: named.opaque.clone() }.header()
    }
}

/// The header is not a list of entity tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

#[cfg(test)]
mod tests {
    use super::*;

    fn list(tags: &[(bool, &str)]) -> Result<Tags, Malformed> {
        let tag = |(weak, opaque): &(bool, &str)| EntityTag { weak: *weak, opaque: opaque.as_bytes().to_vec() };
        Ok(Tags::List(tags.iter().map(tag).collect()))
    }

    #[test]
    fn lists_are_read_as_the_rfc_has_them() {
        let parse = |text: &str| Tags::parse(text.as_bytes());
        assert_eq!(parse(" * "), Ok(Tags::Any));
        assert_eq!(parse("\"a\""), list(&[(false, "a")]));
        assert_eq!(parse("W/\"a\" ,, \"b,c\",\"\","), list(&[(true, "a"), (false, "b,c"), (false, "")]));
        for malformed in ["", ",", "a", "\"a", "a\"", "\"a\" \"b\"", "\"a\"b", "w/\"a\"", "W/a", "*, \"a\"", "\"a b\""]
        {
            assert_eq!(parse(malformed), Err(Malformed), "{malformed}");
        }
        assert_eq!(Tags::parse(b"\"\xff\""), Ok(Tags::List(vec![EntityTag { weak: false, opaque: vec![0xff] }])));
    }

    #[test]
    fn a_tag_is_known_by_weak_comparison_and_in_any_coding() {
        let known = |sent: &str, current: &'static str| {
            let answer = Tags::parse(sent.as_bytes()).unwrap().known(&HeaderValue::from_static(current));
            answer.map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(known("\"x\", \"3\"", "\"3\"").as_deref(), Some("\"3\""));
        assert_eq!(known("W/\"3\"", "\"3\"").as_deref(), Some("\"3\""));
        assert_eq!(known("\"3\"", "W/\"3\"").as_deref(), Some("W/\"3\""));
        assert_eq!(known("\"3-br\"", "\"3\"").as_deref(), Some("\"3-br\""));
        assert_eq!(known("*", "\"3\"").as_deref(), Some("\"3\""));
        assert_eq!(known("\"4\", \"3-deflate\", \"3-\"", "\"3\""), None);
    }
}
