//! Where a change came from: the request and the program that sent it.

use std::fmt;
use std::net::IpAddr;

/// The id of the request that caused a change: 1 to 64 of the characters `A` to `Z`, `a` to `z`, `0` to `9`, `-`, `_`,
/// `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// The id, or `None` if the text is empty, is longer than 64 characters or has any other character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The program that sent a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The IP address of the request.
    pub address: Option<IpAddr>,
    /// The `User-Agent`, cut to 200 characters.
    pub user_agent: Option<String>,
}

/// The request that caused a change, and the program that sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The id of the request.
    pub request_id: RequestId,
    /// The program that sent it; empty for work that no request asked for.
    pub client: Client,
}

impl From<RequestId> for Origin {
    fn from(request_id: RequestId) -> Self {
        Self { request_id, client: Client::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_cannot_carry_a_line_break_into_a_log() {
        assert!(RequestId::new("a-B_9.z").is_some());
        for bad in ["", "a\nb", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(RequestId::new(bad), None, "{bad:?}");
        }
    }
}
