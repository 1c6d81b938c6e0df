//! Secrets that are shown once, and their stored digests.
//!
//! All of them have at least 200 random bits, so SHA-256 is enough: a slow hash protects only secrets that
//! can be guessed. Lookups use the digest, so no comparison depends on the bytes of the secret.

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

    /// A digest that was computed elsewhere.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
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

/// Lower-case Crockford base 32 of whole groups of 5 bits. Remaining bits at the end are dropped.
pub(super) fn base32(bytes: &[u8]) -> String {
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

/// An API key: `tg_`, 48 characters of which lists show the first 8, and a checksum of 6. With the checksum, scanners
/// for leaked secrets and clients with a truncated key can validate it offline.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// The prefix of every key.
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

    /// Parses a key; `None` if the format or the checksum is wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let body = text.get(..Self::BODY)?;
        let fits = text.len() == Self::LEN
            && text.starts_with(Self::PREFIX)
            && body.bytes().skip(Self::PREFIX.len()).all(|b| ALPHABET.contains(&b))
            && text.get(Self::BODY..) == Some(&Self::checksum(body));
        fits.then(|| Self(text.to_owned()))
    }

    /// The part that lists show: enough to recognise the key, too short to use it.
    #[must_use]
    pub fn visible(&self) -> &str {
        self.0.get(..Self::VISIBLE).unwrap_or(Self::PREFIX)
    }

    /// The whole secret, for the answer that shows it once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest that is stored.
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

/// The 256 random bits from which the successor of a refresh token is derived.
pub type SuccessorSalt = [u8; 32];

/// Secrets of a prefix and 256 unpredictable bits, which are stored as their digest.
macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The prefix of every such secret.
            pub const PREFIX: &'static str = $prefix;

            /// A new one.
            #[must_use]
            pub fn generate(env: &Environment) -> Self {
                Self::of_bits(&env.random())
            }

            fn of_bits(bits: &[u8; 32]) -> Self {
                Self(format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(bits)))
            }

            /// A presented one: any text.
            #[must_use]
            pub fn presented(text: &str) -> Self {
                Self(text.to_owned())
            }

            /// The whole secret, for the answer or the mail that contains it.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// The digest that is stored.
            #[must_use]
            pub fn digest(&self) -> Digest {
                Digest::of(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

tokens! {
    /// A refresh token. A new one is the first of its family.
    RefreshToken = "tgr_";
    /// The secret of a link in a mail.
    LinkToken = "tgl_";
    /// The secret of a log-in that waits for its second factor.
    ChallengeToken = "tgc_";
}

impl RefreshToken {
    /// The next token of the family: HMAC-SHA-256 (RFC 2104) over `salt` with this token as the key.
    ///
    /// As long as the salt is stored, presenting this token again gives the same successor. The store has the salt but
    /// not the token, and a client has the token but not the salt, so neither alone is enough to derive the successor.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    pub fn successor(&self, salt: &SuccessorSalt) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(b"tidegate refresh token successor");
        mac.update(salt);
        Self::of_bits(&mac.finalize().into_bytes().into())
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
