//! Bounds for the values that a run stores.
//!
//! The recorded values of a run are read again when another worker takes it over, and the JSON reader fails at 128
//! levels. A value is stored inside others, so its own limit is well below that. The size limit keeps a chain of steps
//! from growing a value without bound.

use serde_json::Value;

/// The maximum nesting of lists and objects in a value.
pub const MAX_VALUE_DEPTH: usize = 100;
/// The maximum size of an expression's value as JSON, in bytes, not counting escapes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// Whether lists and objects are nested deeper than [`MAX_VALUE_DEPTH`].
#[must_use]
pub fn is_too_deep(value: &Value) -> bool {
    deeper_than(value, MAX_VALUE_DEPTH)
}

fn deeper_than(value: &Value, limit: usize) -> bool {
    let below = |value| limit.checked_sub(1).is_none_or(|limit| deeper_than(value, limit));
    match value {
        Value::Array(items) => limit == 0 || items.iter().any(below),
        Value::Object(members) => limit == 0 || members.values().any(below),
        _ => false,
    }
}

/// Whether a value is larger than [`MAX_VALUE_BYTES`]. The value MUST NOT be too deep.
pub(super) fn is_too_large(value: &Value) -> bool {
    let mut left = MAX_VALUE_BYTES;
    !takes(value, &mut left)
}

/// The size of a value as JSON in bytes, not counting escapes. The value MUST NOT be too deep.
#[must_use]
pub fn json_bytes(value: &Value) -> usize {
    let mut left = usize::MAX;
    takes(value, &mut left);
    usize::MAX - left
}

/// Subtracts the size of `value` from `left`. Returns false if `left` is too small.
fn takes(value: &Value, left: &mut usize) -> bool {
    let own = match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.len() + 2,
        Value::Object(members) => 2 + members.keys().map(|key| key.len() + 4).sum::<usize>(),
        Value::Number(_) | Value::Bool(_) | Value::Null => 4,
    };
    let Some(rest) = left.checked_sub(own) else { return false };
    *left = rest;
    match value {
        Value::Array(items) => items.iter().all(|item| takes(item, left)),
        Value::Object(members) => members.values().all(|member| takes(member, left)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!(1), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) })
    }

    #[test]
    fn depth_counts_lists_and_objects() {
        assert!(!is_too_deep(&json!("text")) && !is_too_deep(&nested(MAX_VALUE_DEPTH)));
        assert!(is_too_deep(&nested(MAX_VALUE_DEPTH + 1)));
        assert!(is_too_deep(&json!({ "beside": 1, "deep": [nested(MAX_VALUE_DEPTH - 1)] })));
    }

    #[test]
    fn size_is_about_that_of_the_json() {
        assert!(
            !is_too_large(&json!("x".repeat(MAX_VALUE_BYTES - 2))) && is_too_large(&json!("x".repeat(MAX_VALUE_BYTES)))
        );
        assert!(!is_too_large(&json!(vec![1; 200_000])) && is_too_large(&json!(vec![json!({ "a": 1 }); 100_000])));
    }
}
