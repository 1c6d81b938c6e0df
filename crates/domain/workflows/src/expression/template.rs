//! JSON values whose texts may hold `${{ }}`.

use serde_json::{Map, Value};

use super::{Bindings, EvaluationError, Expression, ExpressionError};

/// A JSON value with holes. A text that is one `${{ … }}` keeps the type of the value; inside other text the value is
/// rendered: text as it is, null as nothing, everything else as JSON.
#[derive(Debug, Clone)]
pub enum ValueTemplate {
    /// A value without holes.
    Literal(Value),
    /// One `${{ }}` and nothing beside it.
    Whole(Expression),
    /// Text around `${{ }}`.
    Text(Vec<TextPart>),
    /// A list of which at least one item has a hole.
    List(Vec<Self>),
    /// An object of which at least one member has a hole.
    Object(Vec<(String, Self)>),
}

/// One part of a text with holes.
#[derive(Debug, Clone)]
pub enum TextPart {
    /// Text as it stands.
    Literal(String),
    /// A value to render.
    Hole(Expression),
}

impl Default for ValueTemplate {
    fn default() -> Self {
        Self::Literal(Value::Null)
    }
}

impl ValueTemplate {
    /// Compiles every text in `value`.
    ///
    /// # Errors
    /// The first problem.
    pub fn compile(value: &Value) -> Result<Self, ExpressionError> {
        Ok(match value {
            Value::String(text) => Self::compile_text(text)?,
            Value::Array(items) => {
                let items = items.iter().map(Self::compile).collect::<Result<Vec<_>, _>>()?;
                if items.iter().all(|item| matches!(item, Self::Literal(_))) {
                    Self::Literal(value.clone())
                } else {
                    Self::List(items)
                }
            }
            Value::Object(map) => {
                let members = map
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), Self::compile(value)?)))
                    .collect::<Result<Vec<_>, _>>()?;
                if members.iter().all(|(_, member)| matches!(member, Self::Literal(_))) {
                    Self::Literal(value.clone())
                } else {
                    Self::Object(members)
                }
            }
            other => Self::Literal(other.clone()),
        })
    }

    /// Compiles one text.
    ///
    /// # Errors
    /// The first problem, with its place in `text`.
    pub fn compile_text(text: &str) -> Result<Self, ExpressionError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${{") {
            if start > 0 {
                parts.push(TextPart::Literal(rest[..start].to_owned()));
            }
            let offset = text.len() - rest.len() + start + 3;
            let inner = &text[offset..];
            let end = inner.find("}}").ok_or_else(|| ExpressionError {
                offset: offset - 3,
                detail: "`${{` without its `}}`".to_owned(),
                suggestion: None,
            })?;
            parts.push(TextPart::Hole(Expression::compile(inner[..end].trim())?));
            rest = &inner[end + 2..];
        }
        if !rest.is_empty() {
            parts.push(TextPart::Literal(rest.to_owned()));
        }
        Ok(match parts.as_slice() {
            [TextPart::Hole(one)] => Self::Whole(one.clone()),
            parts if parts.iter().all(|part| matches!(part, TextPart::Literal(_))) => Self::Literal(text.into()),
            _ => Self::Text(parts),
        })
    }

    /// The value with these bindings.
    ///
    /// # Errors
    /// When one of its expressions has no value, or when the budget is used up.
    pub fn evaluate(&self, bindings: &Bindings<'_>) -> Result<Value, EvaluationError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Whole(expression) => expression.evaluate(bindings)?,
            Self::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        TextPart::Literal(literal) => text.push_str(literal),
                        TextPart::Hole(expression) => match expression.evaluate(bindings)? {
                            Value::Null => {}
                            Value::String(value) => text.push_str(&value),
                            value => text.push_str(&value.to_string()),
                        },
                    }
                }
                Value::String(text)
            }
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.evaluate(bindings)).collect::<Result<_, _>>()?)
            }
            Self::Object(members) => {
                let mut map = Map::new();
                for (key, member) in members {
                    map.insert(key.clone(), member.evaluate(bindings)?);
                }
                Value::Object(map)
            }
        })
    }
}
