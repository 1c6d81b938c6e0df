//! Media types: what a file is, by its declaration, its extension and its first bytes.

mod judge;
mod lists;

use std::fmt;
use std::str::FromStr;

pub use judge::{FIRST_BYTES, TypeError, judge};

/// A media type without parameters, such as `image/png`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaType(String);

/// A text that is not a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a media type such as image/png")]
pub struct MediaTypeError;

impl MediaType {
    /// The longest media type, in bytes (RFC 6838, section 4.2: twice 127 and the slash).
    pub const MAX_LEN: usize = 255;

    /// The type of bytes of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self("application/octet-stream".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.0 == "application/octet-stream"
    }

    /// The value of `Content-Type` with which the bytes are served. No browser runs a script of a type that is served:
    /// texts of all kinds, XML and SVG included, become plain text, and what is on no list becomes unknown bytes.
    #[must_use]
    pub fn served_as(&self) -> &'static str {
        lists::served_as(&self.0)
    }
}

impl FromStr for MediaType {
    type Err = MediaTypeError;

    /// Reads a media type. Parameters are dropped.
    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        // RFC 6838, section 4.2.
        let is_name = |part: &str| {
            (1..=127).contains(&part.len())
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        match essence.split_once('/') {
            Some((kind, name)) if is_name(kind) && is_name(name) => Ok(Self(essence.to_ascii_lowercase())),
            _ => Err(MediaTypeError),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_read_without_its_parameters() {
        assert_eq!("Text/HTML; charset=utf-8".parse::<MediaType>().unwrap().as_str(), "text/html");
        for bad in [
            "",
            "text",
            "text/",
            "/html",
            "text/ht ml",
            "text/html/x",
            "-a/b",
            "ä/b",
            &format!("a/{}", "b".repeat(128)),
        ] {
            assert!(bad.parse::<MediaType>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_that_a_browser_runs_is_served_as_it_is() {
        let served = |text: &str| text.parse::<MediaType>().unwrap().served_as();
        for active in [
            "text/html",
            "application/xhtml+xml",
            "image/svg+xml",
            "text/xml",
            "application/xml",
            "text/javascript",
            "application/javascript",
            "application/rss+xml",
            "text/css",
            "text/x-unknown",
            "application/ecmascript",
        ] {
            assert!(["text/plain; charset=utf-8", "application/octet-stream"].contains(&served(active)), "{active}");
        }
        assert_eq!(served("application/x-shockwave-flash"), "application/octet-stream");
        assert_eq!(served("multipart/related"), "application/octet-stream");
        assert_eq!(served("image/png"), "image/png");
        assert_eq!(served("application/pdf"), "application/pdf");
    }
}
