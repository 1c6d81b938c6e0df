//! Free metadata of a file: a JSON object of its owner, which Tidegate only stores.

use serde_json::{Map, Value};

/// The metadata of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata(Map<String, Value>);

/// Why an object cannot be metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct MetadataError {
    /// The JSON pointer (RFC 6901) within the metadata.
    pub pointer: String,
    /// What is wrong there.
    pub detail: &'static str,
}

impl Metadata {
    /// The largest metadata, in bytes of JSON.
    pub const MAX_BYTES: usize = 16 * 1024;
    /// The deepest nesting: an object in the object is at depth 2.
    pub const MAX_DEPTH: usize = 8;

    /// The metadata with these members.
    ///
    /// # Errors
    /// [`MetadataError`] if it is too large or too deep, or has a NUL character, which PostgreSQL cannot store.
    pub fn new(members: Map<String, Value>) -> Result<Self, MetadataError> {
        let whole = Value::Object(members);
        check(&whole, &mut String::new(), 1)?;
        let size = serde_json::to_vec(&whole).map_or(usize::MAX, |bytes| bytes.len());
        if size > Self::MAX_BYTES {
            return Err(MetadataError {
                pointer: String::new(),
                detail: "metadata may have at most 16384 bytes of JSON",
            });
        }
        match whole {
            Value::Object(members) => Ok(Self(members)),
            _ => Ok(Self::default()),
        }
    }

    /// The metadata that a store has kept.
    #[must_use]
    pub const fn from_store(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// The members.
    #[must_use]
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The metadata after a merge patch (RFC 7396).
    ///
    /// # Errors
    /// [`MetadataError`] if the result cannot be metadata.
    pub fn patched(&self, patch: &Map<String, Value>) -> Result<Self, MetadataError> {
        let mut members = self.0.clone();
        merge(&mut members, patch);
        Self::new(members)
    }
}

fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(target.remove(name)),
            Value::Object(inner) => {
                let mut merged = match target.remove(name) {
                    Some(Value::Object(members)) => members,
                    _ => Map::new(),
                };
                merge(&mut merged, inner);
                target.insert(name.clone(), Value::Object(merged));
            }
            value => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

fn check(value: &Value, pointer: &mut String, depth: usize) -> Result<(), MetadataError> {
    let wrong = |pointer: &str, detail| Err(MetadataError { pointer: pointer.to_owned(), detail });
    match value {
        Value::Object(_) | Value::Array(_) if depth > Metadata::MAX_DEPTH => {
            wrong(pointer, "metadata may be nested at most 8 deep")
        }
        Value::String(text) if text.contains('\0') => wrong(pointer, "metadata must not contain NUL characters"),
        Value::Object(members) => members.iter().try_for_each(|(name, value)| {
            let length = pointer.len();
            pointer.push('/');
            pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            if name.contains('\0') {
                return wrong(&pointer[..length], "metadata must not contain NUL characters");
            }
            check(value, pointer, depth + 1)?;
            pointer.truncate(length);
            Ok(())
        }),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, value)| {
            let length = pointer.len();
            pointer.push_str(&format!("/{index}"));
            check(value, pointer, depth + 1)?;
            pointer.truncate(length);
            Ok(())
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn new(value: Value) -> Result<Metadata, MetadataError> {
        let Value::Object(members) = value else { panic!("an object") };
        Metadata::new(members)
    }

    #[test]
    fn the_place_of_a_mistake_is_named() {
        assert_eq!(new(json!({"a": [1, "x\0"]})).unwrap_err().pointer, "/a/1");
        assert_eq!(new(json!({"a/b": {"c\0": 1}})).unwrap_err().pointer, "/a~1b");
        let deep = (0..8).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(new(json!({ "a": deep })).unwrap_err().pointer, "/a/0/0/0/0/0/0/0");
        assert_eq!(new(json!({ "a": "x".repeat(16_384) })).unwrap_err().pointer, "");
        assert!(new(json!({ "a": "x".repeat(16_376) })).is_ok());
    }

    #[test]
    fn a_patch_merges_as_the_rfc_has_it() {
        let before = new(json!({"a": "b", "c": {"d": "e", "f": "g"}, "h": [1]})).unwrap();
        let Value::Object(patch) = json!({"a": "z", "c": {"f": null}, "h": {"i": null}, "j": null}) else { panic!() };
        let after = before.patched(&patch).unwrap();
        assert_eq!(Value::Object(after.members().clone()), json!({"a": "z", "c": {"d": "e"}, "h": {}}));
    }
}
