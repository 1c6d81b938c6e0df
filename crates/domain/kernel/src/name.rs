//! The rule for display names: of a person, a workspace, an API key, a workflow.
//!
//! A name is one line of visible text. The allowed characters follow the properties of the Unicode Character Database,
//! so every script and every emoji is allowed:
//! - at least one visible character, and no white space at the start or the end;
//! - no control characters, line breaks, unassigned characters or private-use characters;
//! - no characters that change the direction of text (Unicode Standard Annex 9), so that one name cannot imitate
//!   another;
//! - of the invisible characters (`Default_Ignorable_Code_Point`), only those that change how their neighbours look: a
//!   zero width joiner or non-joiner between emoji or letters of a joining script, or after a virama; a variation
//!   selector after the character that it varies; tag characters after their emoji.
//!
//! Names are stored in Normalization Form C, so two spellings of the same name are equal.

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    BidiControl, CanonicalCombiningClass, DefaultIgnorableCodePoint, EmojiModifier, ExtendedPictographic,
    GeneralCategory, GeneralCategoryGroup, IndicSyllabicCategory, JoinControl, JoiningType, PrependedConcatenationMark,
    RegionalIndicator, VariationSelector,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum NameMistake {
    /// It is empty.
    Empty,
    /// It has no visible character.
    Blank,
    /// It begins or ends with white space.
    Surrounded,
    /// It has a control character or a line break.
    Control,
    /// It has a character that is unassigned or for private use in Unicode.
    Unassigned,
    /// It has a character that changes the direction of text.
    Direction,
    /// It has an invisible character that has no effect on its neighbours.
    Invisible,
    /// It has a zero width joiner or non-joiner without characters to join.
    Joiner,
}

impl NameMistake {
    /// The message that follows the name of the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "must not be empty",
            Self::Blank => "must have at least one character that can be seen",
            Self::Surrounded => "must not begin or end with white space",
            Self::Control => "must not contain control characters or line breaks",
            Self::Unassigned => "must not contain characters that are unassigned or for private use",
            Self::Direction => "must not contain characters that turn the direction of text",
            Self::Invisible => "must not contain characters that cannot be seen",
            Self::Joiner => "must not contain a zero width joiner where it joins nothing",
        }
    }
}

/// The name in Normalization Form C. The caller checks the length.
///
/// # Errors
/// [`NameMistake`] describes the first mistake in `text`.
pub fn name(text: &str) -> Result<Cow<'_, str>, NameMistake> {
    if text.is_empty() {
        return Err(NameMistake::Empty);
    }
    if text.trim() != text {
        return Err(if text.trim().is_empty() { NameMistake::Blank } else { NameMistake::Surrounded });
    }
    let mut blank = true;
    for is_seen in judged(text) {
        blank &= !is_seen?;
    }
    if blank { Err(NameMistake::Blank) } else { Ok(ComposingNormalizerBorrowed::new_nfc().normalize(text)) }
}

/// `text` with `?` in place of every character that a name may not have.
#[must_use]
pub fn presentable(text: &str) -> String {
    text.chars().zip(judged(text)).map(|(c, judged)| if judged.is_ok() { c } else { '?' }).collect()
}

/// For each character: whether it is visible by itself, or why it is not allowed at its place.
fn judged(text: &str) -> impl Iterator<Item = Result<bool, NameMistake>> {
    let mut before = None;
    let mut characters = text.chars().peekable();
    std::iter::from_fn(move || {
        let c = characters.next()?;
        let judged = judge(before, c, characters.peek().copied());
        // A rejected character does not count as the neighbour of the next character.
        before = Some(if judged.is_ok() { c } else { '?' });
        Some(judged)
    })
}

fn judge(before: Option<char>, c: char, after: Option<char>) -> Result<bool, NameMistake> {
    match mistake(c) {
        None => {
            let category = CodePointMapData::<GeneralCategory>::new().get(c);
            return Ok(is_seen(c) && !GeneralCategoryGroup::Mark.contains(category));
        }
        Some(NameMistake::Invisible) => {}
        Some(mistake) => return Err(mistake),
    }
    if CodePointSetData::new::<JoinControl>().contains(c) {
        let virama = CodePointMapData::<CanonicalCombiningClass>::new();
        let joins = before.is_some_and(|c| virama.get(c) == CanonicalCombiningClass::Virama)
            || before.is_some_and(is_shaped) && after.is_some_and(|c| is_shaped(c) && is_seen(c));
        return if joins { Ok(false) } else { Err(NameMistake::Joiner) };
    }
    let belongs = if CodePointSetData::new::<VariationSelector>().contains(c) {
        before.is_some_and(is_seen)
    } else {
        is_tag(c) && before.is_some_and(|before| is_tag(before) || is_emoji(before))
    };
    if belongs { Ok(false) } else { Err(NameMistake::Invisible) }
}

/// Why a character is not allowed, regardless of its neighbours. [`NameMistake::Invisible`] may still be allowed by
/// them.
fn mistake(c: char) -> Option<NameMistake> {
    match CodePointMapData::<GeneralCategory>::new().get(c) {
        GeneralCategory::Control | GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => {
            Some(NameMistake::Control)
        }
        GeneralCategory::Unassigned | GeneralCategory::PrivateUse | GeneralCategory::Surrogate => {
            Some(NameMistake::Unassigned)
        }
        _ if CodePointSetData::new::<BidiControl>().contains(c) => Some(NameMistake::Direction),
        _ if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) => Some(NameMistake::Invisible),
        // These format characters are visible, such as signs that enclose a number.
        GeneralCategory::Format if CodePointSetData::new::<PrependedConcatenationMark>().contains(c) => None,
        GeneralCategory::Format => Some(NameMistake::Invisible),
        _ => None,
    }
}

/// Whether a character is visible: not white space, and not the empty braille pattern, which Unicode treats as a
/// symbol.
fn is_seen(c: char) -> bool {
    mistake(c).is_none() && !c.is_whitespace() && c != '\u{2800}'
}

/// Whether a joiner beside this character can change how it looks. True for emoji and their modifiers, and for letters
/// and marks of scripts whose letters join or form clusters.
fn is_shaped(c: char) -> bool {
    !c.is_ascii()
        && (is_emoji(c)
            || CodePointSetData::new::<VariationSelector>().contains(c)
            || CodePointMapData::<IndicSyllabicCategory>::new().get(c) != IndicSyllabicCategory::Other
            || CodePointMapData::<JoiningType>::new().get(c) != JoiningType::NonJoining)
}

fn is_emoji(c: char) -> bool {
    CodePointSetData::new::<ExtendedPictographic>().contains(c)
        || CodePointSetData::new::<EmojiModifier>().contains(c)
        || CodePointSetData::new::<RegionalIndicator>().contains(c)
}

/// The characters of emoji tag sequences (Unicode Technical Standard 51, ED-14a). No Unicode property covers them.
const fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_script_and_every_emoji_has_its_place() {
        for good in [
            "a",
            "Zoë ☂",
            "Acme & Söhne, Ltd.",
            "Änderungen 東京 🎉",
            "👨\u{200d}👩\u{200d}👧\u{200d}👦",
            "❤\u{fe0f}\u{200d}🔥",
            "🏳\u{fe0f}\u{200d}🌈 team",
            "🧑🏽\u{200d}💻",
            "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "1\u{fe0f}\u{20e3}",
            "🇩🇪",
            "క్\u{200c}ష",
            "రాష్ట్రం",
            "می\u{200c}خواهم",
            "ක්\u{200d}රම",
            "র\u{200d}্যাব",
            "അവന്\u{200d}",
            "שָׁלוֹם",
            "\u{600}١٢",
            "a\u{a0}b",
            "e\u{301}",
            "葛\u{e0100}",
            "☂\u{fe0e}",
        ] {
            assert!(name(good).is_ok(), "{good:?}: {:?}", name(good));
            assert_eq!(presentable(good), good);
        }
    }

    #[test]
    fn what_cannot_be_seen_or_hides_something_is_refused() {
        for (bad, mistake) in [
            ("", NameMistake::Empty),
            (" ", NameMistake::Blank),
            (" a", NameMistake::Surrounded),
            ("a\u{3000}", NameMistake::Surrounded),
            ("a\nb", NameMistake::Control),
            ("a\0b", NameMistake::Control),
            ("a\u{85}b", NameMistake::Control),
            ("a\u{2028}b", NameMistake::Control),
            ("a\u{e000}", NameMistake::Unassigned),
            ("a\u{378}", NameMistake::Unassigned),
            ("a\u{fffe}", NameMistake::Unassigned),
            ("\u{10ffff}", NameMistake::Unassigned),
            ("evil\u{202e}txt", NameMistake::Direction),
            ("a\u{2067}b", NameMistake::Direction),
            ("a\u{200f}", NameMistake::Direction),
            ("a\u{61c}b", NameMistake::Direction),
            ("\u{200b}", NameMistake::Invisible),
            ("a\u{200b}b", NameMistake::Invisible),
            ("\u{feff}a", NameMistake::Invisible),
            ("so\u{ad}ft", NameMistake::Invisible),
            ("a\u{2060}b", NameMistake::Invisible),
            ("\u{3164}", NameMistake::Invisible),
            ("a\u{180e}b", NameMistake::Invisible),
            ("a\u{fff9}b", NameMistake::Invisible),
            ("\u{fe0f}a", NameMistake::Invisible),
            ("a \u{fe0f}", NameMistake::Invisible),
            ("a\u{e0061}", NameMistake::Invisible),
            ("\u{200d}", NameMistake::Joiner),
            ("ad\u{200d}min", NameMistake::Joiner),
            ("a\u{200c}b", NameMistake::Joiner),
            ("👨\u{200d}", NameMistake::Joiner),
            ("\u{200d}👨", NameMistake::Joiner),
            ("👨\u{200d}\u{200d}👩", NameMistake::Joiner),
            ("می\u{200c} a", NameMistake::Joiner),
            ("\u{301}", NameMistake::Blank),
            ("\u{2800}", NameMistake::Blank),
        ] {
            assert_eq!(name(bad), Err(mistake), "{bad:?}");
        }
    }

    #[test]
    fn two_spellings_of_a_name_are_one() {
        assert_eq!(name("Zoe\u{308}").unwrap(), "Zoë");
    }

    proptest! {
        #[test]
        fn a_name_is_kept_as_it_is_and_presentable_text_has_no_mistake(text in "\\PC{0,20}|[\\PC\u{200d}\u{fe0f}👨క్ ]{0,20}") {
            if let Ok(kept) = name(&text) {
                let kept = kept.into_owned();
                prop_assert_eq!(name(&kept).map(Cow::into_owned), Ok(kept.clone()));
            }
            let shown = presentable(&text);
            prop_assert_eq!(shown.chars().count(), text.chars().count());
            let mistake = name(shown.trim()).err();
            prop_assert!(matches!(mistake, None | Some(NameMistake::Empty | NameMistake::Blank)), "{:?}", mistake);
        }
    }
}
