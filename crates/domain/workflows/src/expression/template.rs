//! JSON values whose texts may contain `${{ }}`.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::bounds::{MAX_VALUE_BYTES, MAX_VALUE_DEPTH, is_too_deep, is_too_large};
use super::budget::{self, Budget, MAX_TEXT};
use super::{Bindings, EvaluationError, Expression, ExpressionError, evaluate};

/// A JSON value with holes, which are `${{ }}`. A text that is exactly one `${{ … }}` keeps the type of the
/// expression's value. Inside other text the value is rendered: a text unchanged, null as nothing, everything else as
/// JSON. `$${{` is an escape for the text `${{`.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueTemplate {
    /// A value without holes.
    Literal(Value),
    /// Exactly one `${{ }}`.
    Whole(Expression),
    /// Text with `${{ }}` inside.
    Text(Vec<TextPart>),
    /// A list with a hole in at least one item.
    List(Vec<Self>),
    /// An object with a hole in at least one member.
    Object(Vec<(String, Self)>),
}

/// One part of a text with holes.
#[derive(Debug, Clone, PartialEq)]
pub enum TextPart {
    /// Literal text.
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
    /// [`ExpressionError`]: the first problem. Its offset counts from the start of the text that contains it.
    pub fn compile(value: &Value) -> Result<Self, ExpressionError> {
        Ok(match value {
            Value::String(text) => Self::compile_text(text)?,
            Value::Array(items) => {
                let items = items.iter().map(Self::compile).collect::<Result<Vec<_>, _>>()?;
                if items.iter().all(Self::is_same) { Self::Literal(value.clone()) } else { Self::List(items) }
            }
            Value::Object(map) => {
                let members = map
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), Self::compile(value)?)))
                    .collect::<Result<Vec<_>, _>>()?;
                if members.iter().all(|(_, member)| member.is_same()) {
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
    /// [`ExpressionError`]: the first problem. Its offset counts from the start of `text`.
    pub fn compile_text(text: &str) -> Result<Self, ExpressionError> {
        Self::check_text(text).map_err(|mut problems| problems.swap_remove(0))
    }

    /// Like [`ValueTemplate::compile_text`], but reports every problem.
    ///
    /// # Errors
    /// All problems, at least one.
    pub fn check_text(text: &str) -> Result<Self, Vec<ExpressionError>> {
        let mut parts = Vec::new();
        let mut problems = Vec::new();
        for piece in pieces(text) {
            match piece {
                Piece::Literal(literal) => parts.push(TextPart::Literal(literal)),
                Piece::Hole(_, Ok(expression)) => parts.push(TextPart::Hole(expression)),
                Piece::Hole(_, Err(errors)) => problems.extend(errors),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(match parts.as_slice() {
            [] => Self::Literal(Value::from("")),
            [TextPart::Literal(literal)] => Self::Literal(Value::from(literal.as_str())),
            [TextPart::Hole(one)] => Self::Whole(one.clone()),
            _ => Self::Text(parts),
        })
    }

    /// Whether the value equals its source, so that it need not be built again.
    fn is_same(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    /// The value, if it has no holes.
    #[must_use]
    pub fn as_literal(&self) -> Option<&Value> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Every expression in the value.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Whole(one) => vec![one],
            Self::Text(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    TextPart::Hole(expression) => Some(expression),
                    TextPart::Literal(_) => None,
                })
                .collect(),
            Self::List(items) => items.iter().flat_map(Self::expressions).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, member)| member.expressions()).collect(),
        }
    }

    /// Evaluates the template. All of its expressions share one budget.
    ///
    /// # Errors
    /// [`EvaluationError`] if an expression has no value, the budget is used up, or the value exceeds the depth or size
    /// that a run may store.
    pub fn evaluate(&self, bindings: &Bindings<'_>) -> Result<Value, EvaluationError> {
        let value = self.evaluate_within(bindings, &mut Budget::new(budget::UNITS))?;
        let told = if is_too_deep(&value) {
            format!("the value nests more than {MAX_VALUE_DEPTH} deep")
        } else if is_too_large(&value) {
            format!("the value has more than {MAX_VALUE_BYTES} bytes")
        } else {
            return Ok(value);
        };
        // A value without expressions is bounded by the limits of documents.
        self.expressions().first().map_or(Ok(value), |first| Err(first.error(0, &told)))
    }

    pub(super) fn evaluate_within(
        &self,
        bindings: &Bindings<'_>,
        budget: &mut Budget,
    ) -> Result<Value, EvaluationError> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::Whole(expression) => expression.evaluate_within(bindings, budget)?,
            Self::Text(parts) => Value::String(render(parts, bindings, budget)?),
            Self::List(items) => {
                let items: Result<_, _> = items.iter().map(|item| item.evaluate_within(bindings, budget)).collect();
                Value::Array(items?)
            }
            Self::Object(members) => {
                let mut map = Map::new();
                for (key, member) in members {
                    map.insert(key.clone(), member.evaluate_within(bindings, budget)?);
                }
                Value::Object(map)
            }
        })
    }
}

/// A text that is being rendered. Writing fails if it would exceed the maximum length.
struct Rendered(Vec<u8>);

impl Write for Rendered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn render(parts: &[TextPart], bindings: &Bindings<'_>, budget: &mut Budget) -> Result<String, EvaluationError> {
    let mut text = Rendered(Vec::new());
    for part in parts {
        match part {
            TextPart::Literal(literal) => text.0.extend_from_slice(literal.as_bytes()),
            TextPart::Hole(expression) => {
                let before = text.0.len();
                let written = match expression.evaluate_within(bindings, budget)? {
                    Value::Null => Ok(()),
                    Value::String(value) => text.write_all(value.as_bytes()),
                    value => serde_json::to_writer(&mut text, &value).map_err(io::Error::from),
                };
                written.map_err(|_| expression.error(0, &format!("a text has at most {MAX_TEXT} bytes")))?;
                let made = text.0.len() - before;
                let charged = budget.allocate(made).and_then(|()| budget.scan(made));
                charged.map_err(|_| expression.failure(&evaluate::exhausted(0)))?;
            }
        }
    }
    // Only valid text was written, so a lossy conversion changes nothing.
    Ok(String::from_utf8(text.0).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// One part of a text, possibly with compile errors.
pub(crate) enum Piece {
    /// Literal text.
    Literal(String),
    /// A hole: the byte offset of its expression, and the expression or its problems with their offsets in the text.
    Hole(usize, Result<Expression, Vec<ExpressionError>>),
}

/// The parts of `text`. Adjacent literals are joined.
pub(crate) fn pieces(text: &str) -> Vec<Piece> {
    let compiled = |span| match span {
        Span::Literal(literal) => Piece::Literal(literal),
        Span::Hole(start, inner) => {
            let place = start + inner.len() - inner.trim_start().len();
            let moved = |error: ExpressionError| ExpressionError { offset: place + error.offset, ..error };
            let expression = Expression::check(inner.trim());
            Piece::Hole(place, expression.map_err(|errors| errors.into_iter().map(moved).collect()))
        }
        Span::Open(at) => Piece::Hole(at, Err(vec![ExpressionError::new(at, "`${{` without its `}}`")])),
    };
    spans(text).into_iter().map(compiled).collect()
}

/// What a text with `${{` inside evaluates to, as far as this is known before compilation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// This literal text, with `$${{` replaced by `${{`.
    Literal(String),
    /// Any value.
    Whole,
    /// A text.
    Text,
}

/// The shape of `text`. A malformed text is [`Shape::Whole`], because nothing is known about it.
pub(crate) fn shape(text: &str) -> Shape {
    let mut spans = spans(text);
    match (spans.pop(), spans.is_empty()) {
        (None, _) => Shape::Literal(String::new()),
        (Some(Span::Literal(literal)), true) => Shape::Literal(literal),
        (Some(Span::Hole(..)), true) | (Some(Span::Open(_)), _) => Shape::Whole,
        (Some(_), false) => Shape::Text,
    }
}

/// One part of a text, with its byte offset.
enum Span<'t> {
    /// Literal text.
    Literal(String),
    /// The text between `${{` and `}}`.
    Hole(usize, &'t str),
    /// A `${{` without its `}}`.
    Open(usize),
}

fn spans(text: &str) -> Vec<Span<'_>> {
    let mut spans = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${{") {
        let open = at + found;
        if found > 0 && text[..open].ends_with('$') {
            literal.push_str(&text[at..open - 1]);
            literal.push_str("${{");
            at = open + 3;
            continue;
        }
        literal.push_str(&text[at..open]);
        if !literal.is_empty() {
            spans.push(Span::Literal(std::mem::take(&mut literal)));
        }
        let start = open + 3;
        let Some(length) = hole_length(&text[start..]) else {
            spans.push(Span::Open(open));
            return spans;
        };
        spans.push(Span::Hole(start, &text[start..start + length]));
        at = start + length + 2;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        spans.push(Span::Literal(literal));
    }
    spans
}

/// The number of bytes before the `}}` that ends the hole. Braces in quotes and in maps are skipped.
fn hole_length(text: &str) -> Option<usize> {
    let mut quote: Option<u8> = None;
    let mut escaped = false;
    let mut depth = 0usize;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        if let Some(open) = quote {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                byte if *byte == open => quote = None,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' | b'\'' => quote = Some(*byte),
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
    }
    // With an unclosed quote or brace, the expression is malformed. It ends at the first `}}`, and CEL rejects it.
    text.find("}}")
}
