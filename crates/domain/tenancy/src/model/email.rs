//! E-mail addresses.

use std::fmt;

use email_address::{EmailAddress, Error, Options};
use icu_normalizer::ComposingNormalizerBorrowed;
use tidegate_kernel::name::presentable;

use crate::model::text::InvalidText;

/// An e-mail address (RFC 5321, section 4.1.2, and RFC 6531 for letters of other scripts), as its owner wrote it.
///
/// Addresses are compared without regard to case and in Normalization Form KC: two that differ only in that are the same
/// account. A character with a compatibility mapping, such as the Kelvin sign or a full-width letter, is refused in a
/// new address and never folded in a lookup. So nobody can reach or imitate the account of `k…` with the Kelvin sign.
/// `ß` and `ss` stay different, as they are in mailboxes.
#[derive(Debug, Clone)]
pub struct Email {
    typed: String,
    key: String,
}

impl Email {
    /// The maximum length (RFC 5321, section 4.5.3.1.3, without the angle brackets).
    pub const MAX_LEN: usize = 254;

    /// Validates a new address.
    ///
    /// # Errors
    /// [`InvalidText`] with the first mistake in the address.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let typed = text.trim();
        if typed.len() > Self::MAX_LEN {
            return Err(InvalidText("must have at most 254 bytes"));
        }
        if has_variants(typed) {
            return Err(InvalidText(VARIANT));
        }
        let key = fold(typed);
        check(&key).map_err(InvalidText)?;
        Ok(Self { typed: typed.to_owned(), key })
    }

    /// An address for a lookup or from the store. It is not validated, because the rule for new addresses may have
    /// changed.
    #[must_use]
    pub fn given(text: &str) -> Self {
        // No address contains NUL, and a store cannot be queried for it.
        let typed = text.trim().replace('\0', "\u{fffd}");
        let key = if has_variants(&typed) { typed.clone() } else { fold(&typed) };
        Self { typed, key }
    }

    /// The address as it was written, to which mail is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// The form in which addresses are compared.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The part before the last `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.typed.rsplit_once('@').map_or(self.typed.as_str(), |(local, _)| local)
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Email {}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

/// Whether a character has a compatibility mapping or is a singleton: by itself it is not in Normalization Form KC.
fn has_variants(text: &str) -> bool {
    let nfkc = ComposingNormalizerBorrowed::new_nfkc();
    text.chars().any(|c| !c.is_ascii() && !nfkc.is_normalized(c.encode_utf8(&mut [0; 4])))
}

/// The text in Normalization Form KC and in lower case, with one form of the final sigma. That is the simple case folding
/// of Unicode for all characters without variants, except that `ß` is kept.
fn fold(text: &str) -> String {
    let lower: String = text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect();
    ComposingNormalizerBorrowed::new_nfkc().normalize(&lower).into_owned()
}

const VARIANT: &str = "has a character that is a variant of another, such as a full-width letter; write the usual one";
const EXPECTED_AT: &str = "must have an @ between the mailbox and the domain";
const LOCAL_CHARACTER: &str = "has a character before the @ that has to stand between quotation marks";
const DOMAIN_CHARACTER: &str = "has a character after the @ that no domain has";
const DOMAIN_DOT: &str = "must not have a dot at the beginning or the end of the domain, or two in a row";
const DOMAIN_PART: &str = "must not have more than 63 characters between two dots of the domain";

fn check(email: &str) -> Result<(), &'static str> {
    if email.len() > Email::MAX_LEN {
        return Err("must have at most 254 bytes");
    }
    let (local, domain) = email.rsplit_once('@').ok_or(EXPECTED_AT)?;
    if presentable(email) != email || local.contains(['\u{200c}', '\u{200d}']) {
        return Err("must not contain control characters or characters that cannot be seen");
    }
    // Letters of other scripts are converted to the form of the domain name system (UTS 46, nontransitional).
    let ascii = idna::domain_to_ascii(domain).map_err(|_| DOMAIN_CHARACTER)?;
    let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
    EmailAddress::parse_with_options(&format!("{local}@{ascii}"), options)
        .map_err(|error| mistake(&error, local, &ascii))?;
    idna::domain_to_ascii_strict(domain).map_err(|_| DOMAIN_CHARACTER)?;
    let (registered, _) = idna::domain_to_unicode(domain);
    if domain != ascii && domain != registered {
        return Err("has a domain that is registered with other characters; write it as it is registered");
    }
    Ok(())
}

fn mistake(error: &Error, local: &str, domain: &str) -> &'static str {
    let has_bad_dot = |text: &str| text.split('.').any(str::is_empty);
    match error {
        Error::MissingSeparator => EXPECTED_AT,
        Error::LocalPartEmpty => "must have a mailbox before the @",
        Error::LocalPartTooLong => "must have at most 64 bytes before the @",
        Error::DomainEmpty => "must have a domain after the @",
        Error::DomainTooLong => "must have at most 253 bytes after the @",
        Error::SubDomainEmpty | Error::DomainInvalidSeparator => DOMAIN_DOT,
        Error::SubDomainTooLong => DOMAIN_PART,
        Error::DomainTooFew => "must have a domain with a dot, such as example.org",
        Error::UnsupportedDomainLiteral | Error::InvalidIPAddress => {
            "must have the name of a domain after the @; an address in brackets is not taken"
        }
        Error::UnsupportedDisplayName | Error::MissingDisplayName | Error::MissingEndBracket => {
            "must be the address alone, without a name and angle brackets"
        }
        Error::UnbalancedQuotes => "must have a closing quotation mark before the @",
        Error::InvalidComment => "must not have a comment",
        Error::InvalidCharacter if has_bad_dot(local) => {
            "must not have a dot at the beginning or the end of the mailbox, or two in a row"
        }
        Error::InvalidCharacter if EmailAddress::is_valid_local_part(local) => {
            let hyphen = domain.split('.').any(|part| part.starts_with('-') || part.ends_with('-'));
            match (has_bad_dot(domain), hyphen) {
                (true, _) => DOMAIN_DOT,
                (_, true) => "must not have a hyphen at the beginning or the end of a part of the domain",
                _ => DOMAIN_CHARACTER,
            }
        }
        Error::InvalidCharacter => LOCAL_CHARACTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_address_has_one_spelling() {
        for (typed, key) in [
            (" Ada@Example.ORG ", "ada@example.org"),
            ("ZOE\u{308}@Example.org", "zoë@example.org"),
            ("ΟΔΟΣ@example.org", "οδοσ@example.org"),
            ("οδος@example.org", "οδοσ@example.org"),
            ("STRAẞE@example.org", "straße@example.org"),
            ("ada+tag@mail.example.co.uk", "ada+tag@mail.example.co.uk"),
            ("o'brien@example.org", "o'brien@example.org"),
            ("\"ada l\"@example.org", "\"ada l\"@example.org"),
            ("\"a@b\"@example.org", "\"a@b\"@example.org"),
            ("kate@bücher.example", "kate@bücher.example"),
            ("kate@xn--bcher-kva.example", "kate@xn--bcher-kva.example"),
            ("用户@例子.广告", "用户@例子.广告"),
            ("ada@भारत.भारत", "ada@भारत.भारत"),
            ("a@1.2.example", "a@1.2.example"),
        ] {
            let email = Email::new(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
            assert_eq!((email.as_str(), email.key()), (typed.trim(), key));
            assert_eq!(Email::new(key).unwrap(), email, "what is stored reads back");
            assert_eq!(Email::given(typed), email);
        }
        assert_ne!(Email::new("straße@example.org"), Email::new("strasse@example.org"));
        assert_ne!(Email::new("ı@example.org"), Email::new("i@example.org"));
        assert_eq!(Email::new("\"a@b\"@example.org").unwrap().local_part(), "\"a@b\"");
    }

    #[test]
    fn a_variant_of_a_letter_reaches_nobody() {
        let kate = Email::new("kate@example.org").unwrap();
        for variant in ["\u{212a}ate@example.org", "ｋate@example.org", "kate@ｅxample.org", "𝐤ate@example.org"] {
            assert_eq!(Email::new(variant), Err(InvalidText(VARIANT)), "{variant}");
            assert_ne!(Email::given(variant), kate, "{variant}");
        }
    }

    #[test]
    fn each_mistake_is_named() {
        let (long_mailbox, long_part) = ("a".repeat(65), "b".repeat(64));
        for (bad, part) in [
            ("", "an @"),
            ("ada", "an @"),
            ("@example.org", "a mailbox before"),
            ("\"\"@example.org", "a mailbox before"),
            ("ada@", "a domain after"),
            ("kate.@example.org", "dot at the beginning or the end of the mailbox"),
            ("kate.@x", "dot at the beginning or the end of the mailbox"),
            (".kate@example.org", "dot at the beginning or the end of the mailbox"),
            ("ka..te@example.org", "two in a row"),
            ("ada@example..org", "dot at the beginning or the end of the domain"),
            ("ada@.example.org", "dot at the beginning or the end of the domain"),
            ("ada@example.org.", "dot at the beginning or the end of the domain"),
            ("ada@-example.org", "hyphen"),
            ("ada@example-.org", "hyphen"),
            ("ada@localhost", "with a dot"),
            ("ada@[127.0.0.1]", "brackets"),
            ("ada@[IPv6:::1]", "brackets"),
            ("Ada <ada@example.org>", "angle brackets"),
            ("ada@exam\u{200b}ple.org", "cannot be seen"),
            ("a\u{200d}da@example.org", "cannot be seen"),
            ("a\0da@example.org", "control characters"),
            ("ada\u{202e}@example.org", "cannot be seen"),
            ("a da@example.org", "quotation marks"),
            ("a(comment)da@example.org", "quotation marks"),
            ("ada@bob@example.org", "quotation marks"),
            ("ada@exam ple.org", "no domain has"),
            ("ada@exa_mple.org", "no domain has"),
            ("ada@exa!mple.org", "no domain has"),
            ("ada@xn--a.example", "no domain has"),
            ("ada@bücher。example", "as it is registered"),
            (&format!("{long_mailbox}@example.org"), "64 bytes before"),
            (&format!("ada@{long_part}.org"), "63 characters"),
            (&format!("ada@{}org", "b.".repeat(130)), "254 bytes"),
        ] {
            let error = Email::new(bad).expect_err(bad);
            assert!(error.0.contains(part), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic_and_what_is_taken_reads_back(text in "\\PC{0,12}(@\\PC{0,12}(\\.[a-zé]{1,6})?)?") {
            if let Ok(email) = Email::new(&text) {
                prop_assert_eq!(Email::new(email.as_str()), Ok(email.clone()));
                prop_assert_eq!(Email::given(&text), email);
            }
        }
    }
}
