//! Names of files. A name is kept as it was sent, for people to see, and is never a part of a path or of a key.

use std::fmt;

/// The name of a file: 1 to 512 characters, at least one of which is not white space, and no control characters.
///
/// Every script, every direction of text, slashes and `..` are allowed, because nothing looks at them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

/// Why a text cannot be the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// It has no character besides white space.
    #[error("the name must have at least one character that can be seen")]
    Blank,
    /// It is too long.
    #[error("the name may have at most 512 characters")]
    TooLong,
    /// It has a control character such as NUL or a line break. PostgreSQL cannot store NUL, and headers no line break.
    #[error("the name must not contain control characters such as NUL or line breaks")]
    Control,
}

impl FileName {
    /// The most characters of a name.
    pub const MAX_CHARS: usize = 512;

    /// The name with this text.
    ///
    /// # Errors
    /// [`FileNameError`] for the first rule that the text breaks.
    pub fn new(text: &str) -> Result<Self, FileNameError> {
        if text.trim().is_empty() {
            return Err(FileNameError::Blank);
        }
        if text.chars().count() > Self::MAX_CHARS {
            return Err(FileNameError::TooLong);
        }
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(FileNameError::Control);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The extension in lower case, without its dot. Dots and spaces at the end are skipped, as Windows does when it
    /// opens the file.
    #[must_use]
    pub fn extension(&self) -> Option<String> {
        let base = self.0.rsplit(['/', '\\']).next().unwrap_or_default();
        let base = base.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
        let (_, extension) = base.rsplit_once('.')?;
        (!extension.is_empty()).then(|| extension.to_lowercase())
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_name_that_people_use_is_kept() {
        let long = "ä".repeat(512);
        for good in ["a", "../../etc/passwd", "دعوة.pdf", "\u{202e}fdp.exe", "日本語.txt", "a b", "C:\\x", "..", &long]
        {
            assert_eq!(FileName::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_cannot_be_stored_or_seen_is_refused() {
        for (bad, error) in [
            ("", FileNameError::Blank),
            ("  \u{3000}", FileNameError::Blank),
            ("a\0b", FileNameError::Control),
            ("a\r\nb", FileNameError::Control),
            ("a\u{2028}", FileNameError::Control),
            (&*"x".repeat(513), FileNameError::TooLong),
        ] {
            assert_eq!(FileName::new(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn an_extension_is_what_windows_takes_for_it() {
        let of = |text: &str| FileName::new(text).unwrap().extension();
        assert_eq!(of("a.tar.GZ").as_deref(), Some("gz"));
        assert_eq!(of("evil.exe . ").as_deref(), Some("exe"));
        assert_eq!(of("folder.d/name"), None);
        assert_eq!(of("a."), None);
        assert_eq!(of(".profile").as_deref(), Some("profile"));
    }

    proptest! {
        #[test]
        fn a_name_round_trips_or_is_refused(text in "\\PC{0,40}|.{0,40}") {
            if let Ok(name) = FileName::new(&text) {
                prop_assert_eq!(name.as_str(), text.as_str());
                let _ = name.extension();
            }
        }
    }
}
