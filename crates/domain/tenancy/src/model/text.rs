//! Texts that people choose, each with the rule that it keeps.

use std::fmt;

use any_ascii::any_ascii;
use validator::ValidateEmail;

/// A text that breaks its rule; the message says what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub &'static str);

/// Whether a character has no place in a line of text: controls, and those that reorder what is around them.
fn is_disruptive(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// An e-mail address in lower case, without surrounding space; two spellings of one address are the same account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(String);

impl Email {
    /// The longest address (RFC 5321, section 4.5.3.1.3, without the angle brackets).
    pub const MAX_LEN: usize = 254;

    /// Reads an address.
    ///
    /// # Errors
    /// [`InvalidText`] where it is none.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let email = text.trim().to_lowercase();
        if email.len() > Self::MAX_LEN || email.chars().any(is_disruptive) || !email.validate_email() {
            return Err(InvalidText("expected an e-mail address of at most 254 bytes"));
        }
        Ok(Self(email))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a person, a workspace or a key: one line of 1 to 120 characters without surrounding space.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// The most characters.
    pub const MAX_CHARS: usize = 120;
    /// The most bytes: characters of several code points stay within reason.
    pub const MAX_LEN: usize = 480;

    /// Reads a name.
    ///
    /// # Errors
    /// [`InvalidText`] where it is empty, too long, or holds control or direction characters.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let name = text.trim();
        if name.is_empty() {
            return Err(InvalidText("must not be empty"));
        }
        if name.len() > Self::MAX_LEN || name.chars().count() > Self::MAX_CHARS {
            return Err(InvalidText("must have at most 120 characters"));
        }
        if name.chars().any(is_disruptive) {
            return Err(InvalidText("must not contain control characters"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A workspace's name in addresses: 1 to 48 lower-case letters, digits and single hyphens. It has no underscore, so it
/// is never mistaken for an id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slug(String);

impl Slug {
    /// The longest slug.
    pub const MAX_LEN: usize = 48;

    /// Reads a slug.
    ///
    /// # Errors
    /// [`InvalidText`] where it has anything else than its alphabet.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
            && !text.contains("--");
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidText("expected 1 to 48 of a-z, 0-9 and single hyphens inside"))
        }
    }

    /// The slug that a name suggests, with other scripts in Latin letters; `None` where it suggests none.
    #[must_use]
    pub fn derive(name: &Name) -> Option<Self> {
        let mut slug = String::new();
        for c in any_ascii(name.as_str()).bytes().map(|byte| char::from(byte.to_ascii_lowercase())) {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() == Self::MAX_LEN {
                break;
            }
        }
        let slug = slug.trim_end_matches('-');
        (!slug.is_empty()).then(|| Self(slug.to_owned()))
    }

    /// The slug of a workspace whose name suggests none: `workspace` with a tail.
    #[must_use]
    pub fn unnamed(suffix: u32) -> Self {
        Self("workspace".to_owned()).with_suffix(suffix)
    }

    /// The slug with a tail that makes it another one.
    #[must_use]
    pub fn with_suffix(&self, suffix: u32) -> Self {
        let suffix = format!("-{suffix:08x}");
        let keep = self.0.len().min(Self::MAX_LEN - suffix.len());
        let base = self.0.get(..keep).unwrap_or(&self.0).trim_end_matches('-');
        Self(format!("{base}{suffix}"))
    }

    /// The slug.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_address_has_one_spelling() {
        assert_eq!(Email::new(" Ada@Example.ORG ").unwrap().as_str(), "ada@example.org");
        for bad in ["", "ada", "ada@", "@example.org", "a\0da@example.org", "ada@exam ple.org"] {
            assert!(Email::new(bad).is_err(), "{bad:?}");
        }
        assert!(Email::new(&format!("{}@example.org", "a".repeat(300))).is_err());
    }

    #[test]
    fn names_are_one_line_of_bounded_length() {
        assert_eq!(Name::new("  Zoë ☂ ").unwrap().as_str(), "Zoë ☂");
        for bad in ["", "  ", "a\0b", "a\nb", "evil\u{202e}txt", &"x".repeat(121), &"☂".repeat(200)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        assert!(Name::new(&"☂".repeat(120)).is_ok());
    }

    #[test]
    fn slugs_come_from_names() {
        let derive = |name| Slug::derive(&Name::new(name).unwrap()).map(|slug| slug.as_str().to_owned());
        for (name, slug) in [
            ("Acme & Söhne, Ltd.", "acme-sohne-ltd"),
            ("W", "w"),
            ("7", "7"),
            ("2026", "2026"),
            ("Straße 12", "strasse-12"),
            ("Ärzte ohne Grenzen", "arzte-ohne-grenzen"),
            ("Москва", "moskva"),
            ("Αθήνα", "athina"),
            ("北京", "beijing"),
            ("٢٠٢٦", "2026"),
        ] {
            assert_eq!(derive(name).as_deref(), Some(slug), "{name}");
        }
        for name in ["---", "_", "\u{e000}", "!?"] {
            assert_eq!(derive(name), None, "{name}");
        }
        assert_eq!(Slug::unnamed(10).as_str(), "workspace-0000000a");
    }

    proptest! {
        #[test]
        fn what_is_derived_is_a_slug(name in "\\PC{1,120}", suffix: u32) {
            if let Ok(name) = Name::new(&name) {
                let slug = Slug::derive(&name).unwrap_or_else(|| Slug::unnamed(suffix));
                prop_assert_eq!(Slug::new(slug.as_str()), Ok(slug.clone()));
                let other = slug.with_suffix(suffix);
                prop_assert_eq!(Slug::new(other.as_str()), Ok(other.clone()));
            }
        }
    }
}
