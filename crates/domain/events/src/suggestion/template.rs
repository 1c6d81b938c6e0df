//! Fills a template in.
//!
//! Names come from senders of events (a path may contain quotes, braces, anything), so they are never inserted
//! unescaped:
//! - `{name}` in a title, a reason or a workflow's name and description is shortened text that is never evaluated;
//! - `$name$` anywhere else in a document is inside `${{ … }}` and becomes a CEL literal with special characters
//!   escaped;
//! - a trigger with `$event_type$` is repeated for each event type.

use std::fmt::Write;

use serde_json::{Map, Value};
use tidegate_kernel::name::presentable;

use super::model::Suggestion;
use crate::pattern::PatternFacts;

/// The maximum length of a name in a suggestion, in bytes. Longer ones would not fit into an expression.
const MAX_NAME: usize = 512;

/// The maximum length of a name in a title, in characters.
const SHORT_NAME: usize = 60;

/// The maximum length of a name inside the name of a workflow, which has at most 100 characters in all.
const SHORTER_NAME: usize = 33;

/// Whether the names in `facts` can be put into a workflow.
pub(super) fn fits(facts: &PatternFacts) -> bool {
    let names: [&str; 2] = match facts {
        PatternFacts::Frequency { value, .. } => [value, ""],
        PatternFacts::Sequence { from, to, .. } => [from, to],
        PatternFacts::CoOccurrence { antecedent, consequent, .. } => [antecedent, consequent],
    };
    names.iter().all(|name| name.len() <= MAX_NAME && !name.contains('\0'))
}

/// The parameters of a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    values: Vec<(&'static str, Value)>,
    /// The end of the suggestion's id. It distinguishes workflows whose names had to be shortened.
    mark: String,
}

impl Parameters {
    /// The parameters of a suggestion.
    #[must_use]
    pub fn of(suggestion: &Suggestion) -> Self {
        let (hits, of) = suggestion.facts.trials(suggestion.support);
        let mut all: Vec<(&'static str, Value)> = match &suggestion.facts {
            PatternFacts::Frequency { value, .. } => vec![("value", value.as_str().into())],
            PatternFacts::Sequence { from, to, mean_gap_ms, .. } => vec![
                ("from", from.as_str().into()),
                ("to", to.as_str().into()),
                ("gap_s", (mean_gap_ms / 1000).max(1).into()),
            ],
            PatternFacts::CoOccurrence { antecedent, consequent, .. } => {
                vec![("antecedent", antecedent.as_str().into()), ("consequent", consequent.as_str().into())]
            }
        };
        all.extend([("support", suggestion.support.into()), ("hits", hits.into()), ("of", of.into())]);
        all.push(("percent", ((hits * 100 + of / 2) / of.max(1)).into()));
        all.push(("bound", (suggestion.confidence / 10_000).into()));
        let id = suggestion.id.to_string();
        Self { values: all, mark: id.get(id.len().saturating_sub(4)..).unwrap_or_default().to_owned() }
    }

    /// The names only, as an object.
    #[must_use]
    pub fn names(&self) -> Value {
        let counts = ["support", "hits", "of", "percent", "bound"];
        self.values
            .iter()
            .filter(|(name, _)| !counts.contains(name))
            .map(|(name, value)| (*name, value.clone()))
            .collect()
    }

    /// `text` with every `{name}` replaced.
    #[must_use]
    pub fn write(&self, text: &str) -> String {
        self.write_within(text, SHORT_NAME)
    }

    /// The name of a workflow: short enough, and different from every other one.
    fn write_name(&self, text: &str) -> String {
        let written = self.write_within(text, SHORTER_NAME);
        let whole = self.write_within(text, usize::MAX) == written;
        if whole { written } else { format!("{written} ({})", self.mark) }
    }

    fn write_within(&self, text: &str, longest: usize) -> String {
        // A single pass, so that inserted text is not replaced again.
        let mut written = String::with_capacity(text.len() + 64);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            written.push_str(before);
            match after.split_once('}').and_then(|(name, after)| Some((self.get(name)?, after))) {
                Some((value, after)) => {
                    written.push_str(&shown(value, longest));
                    rest = after;
                }
                None => {
                    written.push('{');
                    rest = after;
                }
            }
        }
        written + rest
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The workflow document, made from `template`.
    #[must_use]
    pub fn fill(&self, template: &Value, event_types: &[String]) -> Value {
        let Value::Object(members) = template else { return template.clone() };
        let filled = members.iter().map(|(key, value)| {
            let value = match (key.as_str(), value) {
                ("name", Value::String(text)) => self.write_name(text).into(),
                ("description", Value::String(text)) => self.write(text).into(),
                ("triggers", Value::Array(triggers)) => self.triggers(triggers, event_types),
                _ => self.literals(value, ""),
            };
            (key.clone(), value)
        });
        Value::Object(filled.collect::<Map<_, _>>())
    }

    fn triggers(&self, triggers: &[Value], event_types: &[String]) -> Value {
        let listens = |trigger: &Value| trigger.pointer("/event/type").is_some_and(|of| of == "$event_type$");
        let filled = triggers.iter().flat_map(|trigger| {
            let types: Vec<&str> =
                if listens(trigger) { event_types.iter().map(String::as_str).collect() } else { vec![""] };
            types.into_iter().map(move |event_type| self.literals(trigger, event_type))
        });
        Value::Array(filled.collect())
    }

    fn literals(&self, value: &Value, event_type: &str) -> Value {
        match value {
            Value::String(text) if text == "$event_type$" => event_type.into(),
            Value::String(text) => self.literal_text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.literals(item, event_type)).collect(),
            Value::Object(members) => Value::Object(
                members.iter().map(|(key, value)| (key.clone(), self.literals(value, event_type))).collect(),
            ),
            other => other.clone(),
        }
    }

    fn literal_text(&self, text: &str) -> String {
        let mut parts = text.split('$');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        let mut open = true;
        // Between two `$` is either a name or plain text. A name consumes its closing `$`.
        for part in parts {
            match self.get(part).filter(|_| open) {
                Some(value) => {
                    filled.push_str(&cel_literal(value));
                    open = false;
                }
                None => {
                    if open {
                        filled.push('$');
                    }
                    filled.push_str(part);
                    open = true;
                }
            }
        }
        filled
    }
}

fn shown(value: &Value, longest: usize) -> String {
    match value {
        Value::String(text) => shortened(text, longest),
        other => other.to_string(),
    }
}

/// `text` in one line and without invisible characters. The end is kept, because it tells more about a long path.
fn shortened(text: &str, longest: usize) -> String {
    let clean = presentable(text.trim());
    let clean = if clean.is_empty() { "?".to_owned() } else { clean };
    let length = clean.chars().count();
    if length <= longest {
        return clean;
    }
    let tail: String = clean.chars().skip(length - longest + 1).collect();
    // A joiner whose neighbour was cut off is not allowed any more.
    presentable(&format!("…{}", tail.trim_start()))
}

fn cel_literal(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for c in text.chars() {
        let escaped = match c {
            c if c.is_ascii_alphanumeric() || " /._-+,:@()[]".contains(c) => write!(literal, "{c}"),
            c if u32::from(c) <= 0xffff => write!(literal, "\\u{:04x}", u32::from(c)),
            c => write!(literal, "\\U{:08x}", u32::from(c)),
        };
        // Writing to a String cannot fail.
        let _: Result<(), std::fmt::Error> = escaped;
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidegate_kernel::{PatternId, SuggestionId};
    use uuid::Uuid;

    use super::super::catalogue::Catalogue;
    use super::super::model::SuggestionStatus;
    use super::*;

    fn suggestion(rule: &str, facts: PatternFacts) -> Suggestion {
        Suggestion {
            id: SuggestionId::from_uuid(Uuid::nil()),
            rule: rule.to_owned(),
            pattern: PatternId::from_uuid(Uuid::nil()),
            support: 41,
            facts,
            confidence: 690_000,
            status: SuggestionStatus::Open,
            workflow: None,
            evidence: Vec::new(),
        }
    }

    fn pair(antecedent: &str, consequent: &str) -> Suggestion {
        let facts = PatternFacts::CoOccurrence {
            antecedent: antecedent.to_owned(),
            consequent: consequent.to_owned(),
            antecedent_sessions: 50,
            consequent_sessions: 90,
            all_sessions: 1000,
        };
        suggestion("co_change_reminder", facts)
    }

    #[test]
    fn reasons_name_the_files_and_the_counts() {
        let catalogue = Catalogue::built_in().unwrap();
        let rule = catalogue.rule("co_change_reminder").unwrap();
        let suggestion = pair("src/a.rs", "CHANGES.md");
        assert_eq!(rule.title(&suggestion), "Remind about CHANGES.md when src/a.rs changes");
        assert_eq!(
            rule.reasoning(&suggestion),
            "CHANGES.md changed in 41 of the 50 sessions in which src/a.rs changed (82 %). \
             With that many sessions, at least 69 % can be relied on."
        );
    }

    #[test]
    fn a_name_cannot_break_out_of_its_expression() {
        let catalogue = Catalogue::built_in().unwrap();
        let rule = catalogue.rule("co_change_reminder").unwrap();
        let evil = "x\" || true || \"}} ${{ inputs }} $hits$ {of} \\ \u{1F980}\n";
        let document = rule.document(&pair(evil, "b"), &["file.modified".to_owned(), "file.created".to_owned()]);
        assert_eq!(document.pointer("/triggers").and_then(Value::as_array).map(Vec::len), Some(2));
        assert_eq!(document.pointer("/triggers/1/event/type"), Some(&json!("file.created")));
        let filter = document.pointer("/triggers/0/event/filter").and_then(Value::as_str).unwrap();
        assert_eq!(
            filter,
            "${{ event.subject == \"x\\u0022 \\u007c\\u007c true \\u007c\\u007c \\u0022\\u007d\\u007d \
             \\u0024\\u007b\\u007b inputs \\u007d\\u007d \\u0024hits\\u0024 \\u007bof\\u007d \\u005c \\U0001f980\\u000a\" }}"
        );
        let name = document.pointer("/name").and_then(Value::as_str).unwrap();
        assert!(!name.contains('\n') && name.contains("{of}"), "{name}");
    }

    #[test]
    fn every_hole_of_every_template_is_filled() {
        let catalogue = Catalogue::built_in().unwrap();
        let all = [
            pair("a", "b"),
            suggestion(
                "follow_up",
                PatternFacts::Sequence { from: "a".into(), to: "b".into(), from_touches: 50, mean_gap_ms: 61_000 },
            ),
            suggestion(
                "hot_file_review",
                PatternFacts::Frequency {
                    dimension: crate::pattern::Dimension::Subject,
                    value: "a".into(),
                    days: 41,
                    active_days: 50,
                    all_events: 100,
                },
            ),
        ];
        assert_eq!(all.len(), catalogue.rules().len(), "each rule has its case");
        for suggestion in all {
            let rule = catalogue.rule(&suggestion.rule).unwrap();
            let document = rule.document(&suggestion, &["t".to_owned()]);
            let text = format!("{document} {} {}", rule.title(&suggestion), rule.reasoning(&suggestion));
            assert!(!text.replace("${{", "").contains('$'), "{text}");
            for name in ["{antecedent}", "{consequent}", "{from}", "{to}", "{value}", "{hits}", "{of}", "{bound}"] {
                assert!(!text.contains(name), "{name} in {text}");
            }
        }
    }

    #[test]
    fn a_long_path_keeps_its_end() {
        let long = format!("{}/deep.rs", "a".repeat(100));
        let short = shortened(&long, SHORT_NAME);
        assert!(short.starts_with('…') && short.ends_with("/deep.rs") && short.chars().count() == 60, "{short}");
    }
}
