//! A test case: an expression with variables, and its expected result.

use serde_json::Value as Json;
use tidegate_workflows::expression::{Bindings, Expression};

use super::literal::Literal;
use super::textproto::Message;

/// The expected result of a test.
enum Expected {
    Value(Literal),
    Error,
}

pub(super) struct Case {
    source: String,
    bindings: Vec<(String, String)>,
    expected: Expected,
}

impl Case {
    /// Reads a test. The error is the reason for skipping it.
    pub(super) fn of(test: &Message) -> Result<Self, &'static str> {
        let mut bindings = Vec::new();
        for binding in test.messages("bindings") {
            let value = binding.message("value").and_then(|value| value.message("value"));
            let value = value.ok_or("a binding without a value is for partial evaluation")?;
            let name = binding.text("key");
            // A name with dots is not a variable. A test that needs one fails, and is listed.
            if !name.contains('.') {
                bindings.push((name, Literal::read(value)?.source()));
            }
        }
        let result = test.message("typed_result").and_then(|typed| typed.message("result"));
        let expected = if test.message("eval_error").is_some() || test.message("any_eval_errors").is_some() {
            Expected::Error
        } else {
            match test.message("value").or(result) {
                Some(value) => Expected::Value(Literal::read(value)?),
                None => Expected::Value(Literal::Bool(true)),
            }
        };
        Ok(Self { source: test.text("expr"), bindings, expected })
    }

    /// Evaluates the case. The error says how the result differs.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.expected {
            Expected::Value(expected) => self.compare(&self.source, expected),
            // Infinity is not JSON, but that is no evaluation error: an error must occur for `type()` too.
            Expected::Error => match self.evaluate(&format!("type({})", self.source)) {
                Ok(found) => Err(format!("is a {found}, not an error")),
                Err(_) => Ok(()),
            },
        }
    }

    /// Compares the type and the value of `source`, with those of its items and members.
    fn compare(&self, source: &str, expected: &Literal) -> Result<(), String> {
        let name = self.evaluate(&format!("type({source})"))?;
        if name != expected.type_name() {
            return Err(format!("is a {name}, not {}", expected.source()));
        }
        let holds = |condition: String| match self.evaluate(&condition)? {
            Json::Bool(true) => Ok(()),
            _ => Err(format!("is not {}", expected.source())),
        };
        let sized = |size: usize| holds(format!("size({source}) == {size}"));
        match expected {
            Literal::List(items) => {
                sized(items.len())?;
                items.iter().enumerate().try_for_each(|(at, item)| self.compare(&format!("({source})[{at}]"), item))
            }
            Literal::Map(entries) => {
                sized(entries.len())?;
                entries
                    .iter()
                    .try_for_each(|(key, value)| self.compare(&format!("({source})[{}]", key.source()), value))
            }
            Literal::Double(value) if value.is_nan() => holds(format!("({source}) != ({source})")),
            other => match other.json() {
                None => holds(format!("({source}) == {}", other.source())),
                Some(json) => match self.evaluate(source)? {
                    found if found == json => Ok(()),
                    found => Err(format!("is {found}, not {json}")),
                },
            },
        }
    }

    fn evaluate(&self, source: &str) -> Result<Json, String> {
        let bind = |body, (name, value): &(String, String)| format!("cel.bind({name}, {value}, {body})");
        let source = self.bindings.iter().fold(source.to_owned(), bind);
        let expression = Expression::compile(&source).map_err(|error| format!("is refused: {error}"))?;
        expression.evaluate(&Bindings::default()).map_err(|error| format!("has no value: {}", error.detail))
    }
}
