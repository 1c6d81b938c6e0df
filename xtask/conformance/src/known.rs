//! The lists of known differences from a suite, each with its reason.

use std::collections::BTreeMap;

use crate::Failure;

/// The names of cases that may fail, with the reasons.
pub(crate) type Known = BTreeMap<String, String>;

/// Parses a list: a line is `file/case - reason`; `#` begins a comment.
pub(crate) fn read(suite: &str, text: &str) -> Result<Known, Failure> {
    let mut known = Known::new();
    for (line, number) in text.lines().zip(1..) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("known/{suite}.txt:{number}");
        match line.split_once(" - ") {
            Some((case, reason)) if !reason.trim().is_empty() => {
                if known.insert(case.trim().to_owned(), reason.trim().to_owned()).is_some() {
                    return Err(Failure::Known(format!("{place}: `{}` is listed twice", case.trim())));
                }
            }
            _ => return Err(Failure::Known(format!("{place}: a line is `file/case - reason`"))),
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_case_has_a_reason_and_one_line() {
        let known = read("cel", "# about\n\na/b/c - because - of it\n").unwrap();
        assert_eq!(known.get("a/b/c").map(String::as_str), Some("because - of it"));
        for wrong in ["a/b/c\n", "a/b/c - \n", "a/b - x\na/b - y\n"] {
            assert!(read("cel", wrong).is_err(), "{wrong:?}");
        }
    }
}
