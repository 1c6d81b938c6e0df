//! Trace contexts as plain text, so that work that is caused later can join the trace of its cause.

use std::fmt;

/// The target of spans that are meant for traces, not for the log. They have the level `TRACE` and cost nothing if
/// nobody records them.
pub const SPANS: &str = "tidegate_trace";

/// A position in a trace: the header `traceparent` of W3C Trace Context, version 00.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceContext(Box<str>);

impl TraceContext {
    /// Parses `00-<32 digits>-<16 digits>-<2 digits>`. The digits are lower-case hexadecimal, and neither id is all
    /// zeros. Returns `None` for any other text.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let &[version, trace, span, flags] = parts.as_slice() else { return None };
        let hex = |part: &str, length: usize| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let id = |part: &str, length: usize| hex(part, length) && part.bytes().any(|byte| byte != b'0');
        (version == "00" && id(trace, 32) && id(span, 16) && hex(flags, 2)).then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_a_place_in_a_trace() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(TraceContext::new(good).map(|trace| trace.to_string()).as_deref(), Some(good));
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(TraceContext::new(bad), None, "{bad}");
        }
    }
}
