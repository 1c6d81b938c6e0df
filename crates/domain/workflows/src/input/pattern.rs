//! Regular expressions in schemas: whether they are allowed, and what matching them costs.

use std::collections::HashMap;

use regex::RegexBuilder;

/// The maximum size of one compiled pattern, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 16;
/// The maximum size of all compiled patterns of a schema, in bytes. It bounds the compile time.
const MAX_TOTAL: usize = 1 << 20;
/// The minimum size with which a pattern is counted.
const MIN_BYTES: usize = 1 << 10;

/// The patterns of one schema.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    known: HashMap<String, Result<u64, String>>,
    total: usize,
}

impl Patterns {
    /// The cost of matching: steps for each byte of the text. Matching is linear in the text. In the worst case each
    /// byte visits the whole compiled pattern.
    ///
    /// # Errors
    /// The reason if the pattern is not allowed.
    pub(super) fn weight(&mut self, pattern: &str) -> Result<u64, String> {
        if let Some(known) = self.known.get(pattern) {
            return known.clone();
        }
        let weight = self.compile(pattern);
        self.known.insert(pattern.to_owned(), weight.clone());
        weight
    }

    fn compile(&mut self, pattern: &str) -> Result<u64, String> {
        if self.total > MAX_TOTAL {
            return Err(format!("the patterns of the schema have over {MAX_TOTAL} bytes once they are compiled"));
        }
        // Like the validator: an ECMA-262 pattern, translated for an engine that is linear in the text.
        let Ok(translated) = jsonschema_regex::to_rust_regex(pattern) else {
            let reason = regex::Regex::new(pattern).err().map(|error| reason(&error));
            return Err(refused(&reason.unwrap_or_else(|| "it holds an escape that is not supported".to_owned())));
        };
        let mut bytes = MIN_BYTES;
        loop {
            match RegexBuilder::new(&translated).size_limit(bytes).build() {
                Ok(_) => break,
                Err(regex::Error::CompiledTooBig(_)) if bytes < MAX_BYTES => bytes *= 2,
                Err(error) => return Err(refused(&reason(&error))),
            }
        }
        self.total += bytes;
        Ok(u64::try_from(bytes / MIN_BYTES).unwrap_or(u64::MAX))
    }
}

fn refused(reason: &str) -> String {
    format!("this pattern cannot be used: {reason}")
}

/// The reason alone, without the engine's drawing of the place in the pattern.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().rev().find_map(|line| line.trim().strip_prefix("error: "));
    line.unwrap_or(text.as_str()).chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_costs_what_it_compiles_to() {
        let mut patterns = Patterns::default();
        let small = patterns.weight("^[a-z]+$").unwrap();
        let large = patterns.weight("^[a-z]{200}x$").unwrap();
        assert!(small < large, "{small} {large}");
        assert_eq!(patterns.weight("^[a-z]+$"), Ok(small));
    }

    #[test]
    fn all_patterns_together_are_bounded() {
        let mut patterns = Patterns::default();
        let refused = (0..1_000).find_map(|n| patterns.weight(&format!("^[a-z]{{200}}x{n}$")).err());
        assert!(refused.unwrap().contains("the patterns of the schema"));
    }
}
