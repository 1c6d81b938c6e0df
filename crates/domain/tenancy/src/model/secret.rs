//! Secrets that are shown once, and the digests that are kept of them.
//!
//! Both kinds carry at least 200 random bits, so a plain SHA-256 is enough: there is nothing to guess that a slow hash
//! would have to protect. The digest is also what the lookup goes by, so no comparison depends on the secret's bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tidegate_kernel::Environment;

/// The SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Lower-case Crockford base 32 of whole groups of 5 bits; a rest at the end is left out.
fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5);
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        buffer = (buffer << 8 | u32::from(*byte)) & 0xffff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let index = usize::try_from(buffer >> bits & 31).unwrap_or(0);
            text.push(char::from(*ALPHABET.get(index).unwrap_or(&b'0')));
        }
    }
    text
}

/// An API key: `tg_`, 48 characters of which the first 8 are shown in lists, and 6 of checksum, so that a scanner for
/// leaked secrets and a client with a cut key can tell without asking.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// What every key starts with.
    pub const PREFIX: &'static str = "tg_";
    const VISIBLE: usize = 3 + 8;
    const BODY: usize = 3 + 48;
    const LEN: usize = 3 + 48 + 6;

    /// A new key.
    #[must_use]
    pub fn generate(env: &Environment) -> Self {
        let body = format!("{}{}", Self::PREFIX, base32(&env.random::<30>()));
        let checksum = Self::checksum(&body);
        Self(body + &checksum)
    }

    fn checksum(body: &str) -> String {
        let mut sum = base32(Digest::of(body).as_bytes());
        sum.truncate(6);
        sum
    }

    /// Reads a key; `None` where the form or the checksum is wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.get(..Self::BODY)?;
        let fits = text.len() == Self::LEN
            && text.starts_with(Self::PREFIX)
            && body.bytes().skip(Self::PREFIX.len()).all(|b| ALPHABET.contains(&b))
            && text.get(Self::BODY..) == Some(&Self::checksum(body));
        fits.then(|| Self(text.to_owned()))
    }

    /// The part that may be shown: enough to recognise the key, useless to call with.
    #[must_use]
    pub fn visible(&self) -> &str {
        self.0.get(..Self::VISIBLE).unwrap_or(Self::PREFIX)
    }

    /// The whole secret, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeySecret({}…)", self.visible())
    }
}

/// 256 random bits that a refresh token's successor is made with.
pub type SuccessorSalt = [u8; 32];

/// A refresh token: `tgr_` and 256 bits that nobody can guess.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken(String);

impl RefreshToken {
    /// What every refresh token starts with.
    pub const PREFIX: &'static str = "tgr_";

    /// A new token, the first of its family.
    #[must_use]
    pub fn generate(env: &Environment) -> Self {
        Self(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(env.random::<32>())))
    }

    /// A token as somebody presents it: any text.
    #[must_use]
    pub fn presented(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The next token of the family: HMAC-SHA-256 (RFC 2104) over `salt`, keyed by this token.
    ///
    /// Whoever presents this token again gets the same successor as long as the salt is kept. The salt alone makes
    /// nothing, since the store does not hold this token; and this token alone makes nothing either.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    pub fn successor(&self, salt: &SuccessorSalt) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(b"tidegate refresh token successor");
        mac.update(salt);
        Self(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())))
    }

    /// The whole secret, for the answer that hands it out.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::environment;
    use proptest::prelude::*;

    #[test]
    fn a_key_reads_back_and_a_changed_one_does_not() {
        let env = environment();
        let key = ApiKeySecret::generate(&env);
        assert_eq!(key.expose().len(), ApiKeySecret::LEN);
        assert_eq!(ApiKeySecret::parse(key.expose()).as_ref(), Some(&key));
        for at in 0..key.expose().len() {
            let mut changed = key.expose().to_owned().into_bytes();
            changed[at] = if changed[at] == b'7' { b'8' } else { b'7' };
            assert_eq!(ApiKeySecret::parse(std::str::from_utf8(&changed).unwrap()), None, "at {at}");
        }
        assert_eq!(ApiKeySecret::parse(&key.expose()[..50]), None);
        assert_eq!(key.visible().len(), 11);
        assert_ne!(ApiKeySecret::generate(&env), key);
    }

    #[test]
    fn a_successor_follows_from_its_predecessor_and_the_salt_and_from_no_less() {
        let env = environment();
        let (token, other) = (RefreshToken::generate(&env), RefreshToken::generate(&env));
        let (salt, other_salt) = (env.random(), env.random());
        let next = token.successor(&salt);
        assert_eq!(RefreshToken::presented(token.expose()).successor(&salt), next);
        assert_eq!(next.expose().len(), token.expose().len());
        for another in [token.clone(), other.successor(&salt), token.successor(&other_salt), next.successor(&salt)] {
            assert_ne!(another, next);
        }
    }

    #[test]
    fn debug_output_keeps_secrets() {
        let env = environment();
        let (key, token) = (ApiKeySecret::generate(&env), RefreshToken::generate(&env));
        assert!(!format!("{key:?}").contains(&key.expose()[12..]));
        assert!(!format!("{token:?}").contains(&token.expose()[8..]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(tg_)?\\PC{0,60}") {
            let _ = ApiKeySecret::parse(&text);
        }
    }
}
