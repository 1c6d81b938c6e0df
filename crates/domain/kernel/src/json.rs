//! Strict JSON validation: accepts only texts that every reader interprets in the same way.
//!
//! RFC 8259 leaves the meaning of a repeated name, a number beyond a double and half of a surrogate pair open (sections
//! 4, 6 and 8.2); RFC 7493 forbids all three. For example, one reader takes the last of two members with the same name
//! and another reader the first. So such a text is rejected, with the place of the mistake, before any value is read
//! from it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Why a JSON text is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonProblemKind {
    /// It is not JSON.
    Syntax,
    /// It is nested too deeply.
    Depth,
    /// An object has two members with the same name.
    Repeated,
    /// A number is beyond the range of a double.
    Range,
    /// A whole number has more than 64 bits, so it would be read as a different number.
    WholeNumber,
    /// A string holds half of a surrogate pair.
    Surrogate,
}

/// What is wrong with a JSON text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonProblem {
    /// The kind of mistake.
    pub kind: JsonProblemKind,
    /// What to change, as a sentence without the full stop.
    pub detail: String,
    /// The JSON pointer (RFC 6901) to the value. For [`JsonProblemKind::Syntax`] it points to the last value that was
    /// begun.
    pub pointer: String,
    /// The line, starting at 1.
    pub line: usize,
    /// The column in bytes, starting at 1.
    pub column: usize,
}

/// How to treat whole numbers with more than 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeNumbers {
    /// Reject them, because the text will be parsed into values.
    Bounded,
    /// Accept them, because the text itself is kept.
    Any,
}

/// Checks a whole JSON text.
///
/// # Errors
/// [`JsonProblem`] describes the first mistake in the text.
pub fn check(text: &str, whole_numbers: WholeNumbers) -> Result<(), JsonProblem> {
    let mut state = State::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Check(&mut state).deserialize(&mut deserializer);
    if let Err(error) = read {
        return Err(problem(&error, state.repeated, pointer(&state.path)));
    }
    deserializer.end().map_err(|error| problem(&error, false, String::new()))?;
    match whole_numbers {
        WholeNumbers::Any => Ok(()),
        WholeNumbers::Bounded => whole(text, &state.large),
    }
}

/// The state of the check while a text is read.
#[derive(Default)]
struct State<'de> {
    /// The path to the current value. After an error it still points to the value with the error.
    path: Vec<Step<'de>>,
    repeated: bool,
    numbers: usize,
    /// Numbers large enough to be read as doubles: the index of each among all numbers, and its JSON pointer.
    large: Vec<(usize, String)>,
}

enum Step<'de> {
    Name(Cow<'de, str>),
    Index(usize),
}

fn pointer(path: &[Step<'_>]) -> String {
    path.iter()
        .map(|step| match step {
            // A name can be as long as the body, so it is shortened for the message.
            Step::Name(name) => {
                let name: String = name.chars().take(80).collect();
                format!("/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Step::Index(index) => format!("/{index}"),
        })
        .collect()
}

struct Check<'s, 'de>(&'s mut State<'de>);

impl<'de> DeserializeSeed<'de> for Check<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.0.numbers += 1;
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.0.numbers += 1;
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        // 2^63. Every whole number below it is read as an integer, not as a double.
        if number.abs() >= 9_223_372_036_854_775_808.0 {
            let place = pointer(&self.0.path);
            self.0.large.push((self.0.numbers, place));
        }
        self.0.numbers += 1;
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0.. {
            self.0.path.push(Step::Index(index));
            if items.next_element_seed(Check(self.0))?.is_none() {
                break;
            }
            self.0.path.pop();
        }
        self.0.path.pop();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        while let Some(Name(name)) = members.next_key()? {
            let is_new = seen.add(name.clone());
            self.0.path.push(Step::Name(name));
            if !is_new {
                self.0.repeated = true;
                return Err(A::Error::custom("this name is there twice"));
            }
            members.next_value_seed(Check(self.0))?;
            self.0.path.pop();
        }
        Ok(())
    }
}

/// The member names of one object. For a few names a linear search is faster than a hash table.
#[derive(Default)]
struct Seen<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Seen<'de> {
    const FEW: usize = 16;

    /// Adds the name; returns whether it is new.
    fn add(&mut self, name: Cow<'de, str>) -> bool {
        if self.few.len() < Self::FEW {
            let is_new = !self.few.contains(&name);
            self.few.push(name);
            return is_new;
        }
        if self.many.is_empty() {
            self.many.extend(self.few.iter().cloned());
        }
        self.many.insert(name)
    }
}

/// A member's name. It is borrowed from the text unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn problem(error: &serde_json::Error, repeated: bool, pointer: String) -> JsonProblem {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let (kind, detail) = if repeated {
        (JsonProblemKind::Repeated, "this name is there twice in one object".to_owned())
    } else if reason == "number out of range" {
        (JsonProblemKind::Range, "this number is beyond the range of a double (IEEE 754)".to_owned())
    } else if reason.contains("surrogate") || reason == "unexpected end of hex escape" {
        (JsonProblemKind::Surrogate, "a text holds half of a surrogate pair (\\ud800 to \\udfff)".to_owned())
    } else if reason == "recursion limit exceeded" {
        (JsonProblemKind::Depth, "objects and arrays nest too deep".to_owned())
    } else {
        (JsonProblemKind::Syntax, reason.to_owned())
    };
    JsonProblem { kind, detail, pointer, line: error.line(), column: error.column() }
}

/// Rejects the first number in `large` that is written as a whole number.
fn whole(text: &str, large: &[(usize, String)]) -> Result<(), JsonProblem> {
    let Some((last, _)) = large.last() else { return Ok(()) };
    for (count, (at, number)) in numbers(text).take(last + 1).enumerate() {
        let Some((_, place)) = large.iter().find(|(large, _)| *large == count) else { continue };
        if number.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) {
            let before = text.get(..at).unwrap_or_default();
            return Err(JsonProblem {
                kind: JsonProblemKind::WholeNumber,
                detail: "this whole number has more than 64 bits; send it as a text".to_owned(),
                pointer: place.clone(),
                line: 1 + before.matches('\n').count(),
                column: 1 + before.len() - before.rfind('\n').map_or(0, |line| line + 1),
            });
        }
    }
    Ok(())
}

/// The numbers in a valid JSON text, in order, with the byte offset of each.
fn numbers(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let bytes = text.as_bytes();
        loop {
            match bytes.get(at)? {
                b'"' => {
                    at += 1;
                    while *bytes.get(at)? != b'"' {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                b'-' | b'0'..=b'9' => {
                    let start = at;
                    while bytes.get(at).is_some_and(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)) {
                        at += 1;
                    }
                    return Some((start, &text[start..at]));
                }
                _ => at += 1,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (JsonProblemKind, String) {
        let problem = check(text, WholeNumbers::Bounded).unwrap_err();
        (problem.kind, problem.pointer)
    }

    #[test]
    fn what_readers_differ_in_is_refused_with_its_place() {
        use JsonProblemKind::{Range, Repeated, Surrogate, WholeNumber};
        for (text, kind, pointer) in [
            (r#"{"a":1,"a":2}"#, Repeated, "/a"),
            (r#"{"a":1,"\u0061":2}"#, Repeated, "/a"),
            (r#"[0,{"x/y~":{"b":1,"c":2,"b":3}}]"#, Repeated, "/1/x~1y~0/b"),
            (r#"{"a":[1,2,1e400]}"#, Range, "/a/2"),
            (r#"{"a":-1e400}"#, Range, "/a"),
            (r#""\ud800""#, Surrogate, ""),
            (r#"{"a":["x","\ud800x"]}"#, Surrogate, "/a/1"),
            (r#"{"a":"\ud800\ud800"}"#, Surrogate, "/a"),
            (r#"{"a":"\udc00\ud800"}"#, Surrogate, "/a"),
            (r#"{"a":{"\ud800":1}}"#, Surrogate, "/a"),
            ("[1, \"2\", 18446744073709551616]", WholeNumber, "/2"),
            (r#"{"a":{"\"9":-9223372036854775809}}"#, WholeNumber, "/a/\"9"),
        ] {
            assert_eq!(refused(text), (kind, pointer.to_owned()), "{text}");
        }
        let many: String = (0..100).map(|n| format!("\"n{n}\":{n},")).collect();
        assert_eq!(refused(&format!("{{{many}\"n7\":1}}")), (Repeated, "/n7".to_owned()));
    }

    #[test]
    fn what_all_readers_agree_on_is_taken() {
        for text in [
            r#"{"a":{"a":1},"b":[{"a":1},{"a":2}],"A":3}"#,
            r#"["\ud83d\ude00","\u0000","\\ud800"]"#,
            "[1e308, 1e-400, -0.0, 1e30, 18446744073709551615, -9223372036854775808, 1.8446744073709551616e19]",
            " null\n",
        ] {
            assert_eq!(check(text, WholeNumbers::Bounded), Ok(()), "{text}");
        }
        assert_eq!(check("[123456789012345678901234567890]", WholeNumbers::Any), Ok(()));
    }

    #[test]
    fn the_place_has_a_line_and_a_column() {
        let problem = check("{\n  \"a\": 1,\n  \"b\": 99999999999999999999\n}", WholeNumbers::Bounded).unwrap_err();
        assert_eq!((problem.line, problem.column), (3, 8));
        let problem = check("{\n  \"a\": 1,\n  \"a\": 2\n}", WholeNumbers::Bounded).unwrap_err();
        assert_eq!(problem.line, 3);
    }

    #[test]
    fn what_is_no_json_is_that() {
        for text in ["", "{", "[1,]", "nul", "1 2", "{\"a\" 1}", "\"\n\"", "01"] {
            assert_eq!(refused(text).0, JsonProblemKind::Syntax, "{text}");
        }
        assert_eq!(refused(&"[".repeat(1_000)).0, JsonProblemKind::Depth);
    }
}
