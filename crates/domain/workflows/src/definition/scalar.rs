//! YAML 1.2 scalars by the core schema (YAML 1.2.2, section 10.3.2), as far as JSON has a value for them.

use saphyr_parser::Tag;
use serde_json::Value;

use super::document::Content;

/// Why a whole number is rejected.
pub(super) const WHOLE: &str = "this whole number has more than 64 bits; put it into quotes to keep it as a text";
/// Why a number is rejected.
pub(super) const RANGE: &str =
    "this number is beyond the range of a double (IEEE 754); put it into quotes to keep it as a text";
const NOT_FINITE: &str = "JSON has no infinity and no NaN; put it into quotes to keep it as a text";

/// The value of a scalar.
///
/// # Errors
/// A message that says why the tag cannot be used.
pub(super) fn resolve(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Content, String> {
    let Some(tag) = tag else {
        return Ok(if is_plain { plain(text) } else { Content::Scalar(Value::from(text)) });
    };
    if !tag.is_yaml_core_schema() {
        return Err(not_used(tag));
    }
    let content = plain(text);
    let fits = match (tag.suffix.as_str(), &content) {
        ("str", _) => return Ok(Content::Scalar(Value::from(text))),
        (_, Content::Unfit(_)) => true,
        ("null", Content::Scalar(Value::Null)) | ("bool", Content::Scalar(Value::Bool(_))) => true,
        ("int", Content::Scalar(Value::Number(number))) => !number.is_f64(),
        ("float", Content::Scalar(Value::Number(number))) => {
            return Ok(Content::Scalar(number.as_f64().map_or(Value::Null, Value::from)));
        }
        ("null" | "bool" | "int" | "float", _) => false,
        _ => return Err(not_used(tag)),
    };
    if fits {
        return Ok(content);
    }
    let shown: String = text.chars().take(60).collect();
    Ok(Content::Unfit(format!("`{shown}` is tagged `!!{}` and is none", tag.suffix)))
}

/// Why a tag cannot be used at its place.
pub(super) fn not_used(tag: &Tag) -> String {
    if tag.is_yaml_core_schema() && ["str", "int", "float", "bool", "null", "map", "seq"].contains(&tag.suffix.as_str())
    {
        return format!("the tag `!!{}` does not fit what it stands before", tag.suffix);
    }
    "tags are not used in workflows, but for those of the core schema".to_owned()
}

fn plain(text: &str) -> Content {
    Content::Scalar(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => return number(text).unwrap_or_else(|| Content::Scalar(Value::from(text))),
    })
}

/// A number, if the text is written as one.
fn number(text: &str) -> Option<Content> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
            return is_number.then(|| whole(u64::from_str_radix(digits, radix).ok().map(Value::from)));
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(Content::Unfit(NOT_FINITE.to_owned()));
    }
    if is_whole(text) {
        let signed = text.parse::<i64>().map(Value::from).ok();
        return Some(whole(signed.or_else(|| text.parse::<u64>().map(Value::from).ok())));
    }
    // The remaining floats of the schema are parsed by Rust, except for words such as `inf`.
    let begins = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !begins || !unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    Some(if number.is_finite() { Content::Scalar(Value::from(number)) } else { Content::Unfit(RANGE.to_owned()) })
}

fn whole(value: Option<Value>) -> Content {
    value.map_or_else(|| Content::Unfit(WHOLE.to_owned()), Content::Scalar)
}

/// Whether the text is a whole number in base 10.
pub(super) fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
