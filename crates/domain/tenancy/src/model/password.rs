//! Passwords.

use std::fmt;

use zxcvbn::Score;
use zxcvbn::feedback::{Feedback, Warning};

use crate::model::email::Email;
use crate::model::text::{InvalidText, Name};

/// A plain-text password.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// The minimum number of characters of a new password.
    pub const MIN_CHARS: usize = 10;
    /// The maximum number of bytes that are hashed.
    pub const MAX_LEN: usize = 1024;
    /// The minimum score of a new password: 10^8 guesses or more are needed, which a slow hash protects.
    const MIN_SCORE: Score = Score::Three;

    /// A password as typed. It is not validated, because an old password has to work even if the rules have changed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text. Only the hasher may use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Checks whether this person may set the password: its length, and how many guesses it takes (NIST SP 800-63B,
    /// section 3.1.1.2; the guesses are estimated by zxcvbn, Wheeler 2016, which knows common passwords, words, names,
    /// patterns of the keyboard and dates). There are no rules about kinds of characters.
    ///
    /// # Errors
    /// [`InvalidText`] if the password is too weak; it says why.
    pub fn check(&self, email: &Email, name: &Name) -> Result<(), InvalidText> {
        if self.0.chars().count() < Self::MIN_CHARS {
            return Err(InvalidText("must have at least 10 characters"));
        }
        if self.0.len() > Self::MAX_LEN {
            return Err(InvalidText("must have at most 1024 bytes"));
        }
        let own = [email.as_str(), email.local_part(), name.as_str(), "tidegate"];
        if own.iter().any(|own| own.eq_ignore_ascii_case(self.0.trim())) {
            return Err(InvalidText("must not be your e-mail address or name"));
        }
        let words = own.iter().copied().chain(name.as_str().split_whitespace()).collect::<Vec<_>>();
        let estimate = zxcvbn::zxcvbn(&self.0, &words);
        if estimate.score() >= Self::MIN_SCORE {
            return Ok(());
        }
        Err(InvalidText(reason(estimate.feedback().and_then(Feedback::warning))))
    }
}

/// What makes a password easy to guess, and what to do about it.
const fn reason(warning: Option<Warning>) -> &'static str {
    match warning {
        Some(Warning::StraightRowsOfKeysAreEasyToGuess | Warning::ShortKeyboardPatternsAreEasyToGuess) => {
            "is too easy to guess, because it follows the keyboard; use several unrelated words"
        }
        Some(Warning::RepeatsLikeAaaAreEasyToGuess | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess) => {
            "is too easy to guess, because it repeats itself; use several unrelated words"
        }
        Some(Warning::SequencesLikeAbcAreEasyToGuess) => {
            "is too easy to guess, because it is a sequence; use several unrelated words"
        }
        Some(Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess) => {
            "is too easy to guess, because it is a date; use several unrelated words"
        }
        Some(
            Warning::ThisIsATop10Password
            | Warning::ThisIsATop100Password
            | Warning::ThisIsACommonPassword
            | Warning::ThisIsSimilarToACommonlyUsedPassword,
        ) => "is too easy to guess, because many people use it or one like it; use several unrelated words",
        Some(Warning::AWordByItselfIsEasyToGuess) => {
            "is too easy to guess, because it is one word; use several unrelated words"
        }
        Some(Warning::NamesAndSurnamesByThemselvesAreEasyToGuess | Warning::CommonNamesAndSurnamesAreEasyToGuess) => {
            "is too easy to guess, because it is a name; use several unrelated words"
        }
        None => "is too easy to guess; use several unrelated words",
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A password's hash with its algorithm, parameters and salt: a PHC string, or for bcrypt its own format.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash from the hasher or the store.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_are_guessed_first_are_refused() {
        let email = Email::new("ada.lovelace@example.org").unwrap();
        let name = Name::new("Ada Lovelace").unwrap();
        let check = |text: &str| Password::new(text.to_owned()).check(&email, &name);
        for (bad, reason) in [
            ("short", "at least 10"),
            ("ninechars", "at least 10"),
            ("aaaaaaaaaaaa", "repeats"),
            ("abababababab", "repeats"),
            ("1234567890", "many people"),
            ("0987654321", "many people"),
            ("Password123!", "many people"),
            ("qwertyuiop1", "many people"),
            ("abcdefghijkl", "sequence"),
            ("qawsedrftg", "easy to guess"),
            ("23.11.2019", "easy to guess"),
            ("ada lovelace", "your e-mail address or name"),
            ("Ada.Lovelace@example.org", "your e-mail address or name"),
            ("ada.lovelace", "your e-mail address or name"),
            ("Lovelace1815", "easy to guess"),
            (&"x1y2z".repeat(300), "1024 bytes"),
        ] {
            let error = check(bad).expect_err(bad);
            assert!(error.0.contains(reason), "{bad:?}: {error}");
        }
        for good in ["an umbrella in march", "tr0ub4dor&3x", "password of the third kind", "四つの季節と雨の歌と傘"]
        {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn a_long_password_is_checked_quickly() {
        let email = Email::new("ada@example.org").unwrap();
        let long = "correct horse battery staple ".repeat(35);
        assert_eq!(Password::new(long).check(&email, &Name::new("Ada").unwrap()), Ok(()));
    }
}
