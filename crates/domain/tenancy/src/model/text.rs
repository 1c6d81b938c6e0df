//! Texts that people choose, each with its validation.

use std::fmt;

use any_ascii::any_ascii;
use tidegate_kernel::name::name;

/// A text that is not valid. The message says what to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub &'static str);

/// The name of a person, a workspace or an API key: at most 120 characters (code points) that follow the rule for names
/// ([`tidegate_kernel::name`]), without white space at the ends and in Normalization Form C.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// The maximum number of characters.
    pub const MAX_CHARS: usize = 120;

    /// Validates a name.
    ///
    /// # Errors
    /// [`InvalidText`] if the text violates the rule for names or is too long.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        const TOO_LONG: InvalidText = InvalidText("must have at most 120 characters");
        let text = text.trim();
        let is_long = |text: &str| text.chars().nth(Self::MAX_CHARS).is_some();
        if is_long(text) {
            return Err(TOO_LONG);
        }
        let name = name(text).map_err(|mistake| InvalidText(mistake.as_str()))?;
        // Normalization can make the text longer.
        if is_long(&name) { Err(TOO_LONG) } else { Ok(Self(name.into_owned())) }
    }

    /// A name from the store. It is not validated, because the rule may have changed since it was stored.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
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

/// A workspace's name in URLs: 1 to 48 lower-case letters, digits and single hyphens. It has no underscore, so it
/// cannot be mistaken for an id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slug(String);

impl Slug {
    /// The maximum length in bytes.
    pub const MAX_LEN: usize = 48;

    /// Validates a slug.
    ///
    /// # Errors
    /// [`InvalidText`] if the text is empty, is too long or has any other character.
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

    /// The slug derived from a name, with other scripts transliterated to Latin letters; `None` if nothing is left.
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

    /// The slug of a workspace whose name gives none: `workspace` with a suffix.
    #[must_use]
    pub fn unnamed(suffix: u32) -> Self {
        Self("workspace".to_owned()).with_suffix(suffix)
    }

    /// The slug with a suffix that makes it a different one.
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
    fn names_are_one_line_of_bounded_length() {
        assert_eq!(Name::new("  Zoë ☂ ").unwrap().as_str(), "Zoë ☂");
        assert_eq!(Name::new("Zoe\u{308}").unwrap().as_str(), "Zoë");
        // Normalization turns each of these characters into three.
        let growing = "\u{fb2c}".repeat(120);
        for bad in
            ["", "  ", "a\0b", "a\nb", "evil\u{202e}txt", "\u{200b}", &"x".repeat(121), &"☂".repeat(200), &growing]
        {
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
        for name in ["---", "_", "!?"] {
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
