//! What a document writes in `${{ }}`: expressions in CEL, compiled once and evaluated within a budget.

mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub use template::ValueTemplate;

/// Why a text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ExpressionError {
    /// The byte in the text where the problem is.
    pub offset: usize,
    /// What is wrong, in words.
    pub detail: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

/// Why an expression has no value with these bindings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail} in `{expression}`")]
pub struct EvaluationError {
    /// The text of the expression that failed.
    pub expression: String,
    /// The byte in that text where it failed.
    pub offset: usize,
    /// What happened, in words; never a value from the bindings.
    pub detail: String,
}

/// What an expression can see.
#[derive(Debug, Clone, Default)]
pub struct Bindings<'a> {
    /// `inputs`: the run's input.
    pub inputs: Option<&'a Value>,
    /// `event`: the event that started the run; null for other triggers.
    pub event: Option<&'a Value>,
    /// `run`: `{id, started_at, …}`.
    pub run: Option<&'a Value>,
    /// `workflow`: `{id, name, version}`.
    pub workflow: Option<&'a Value>,
    /// `trigger`: `{kind, …}`.
    pub trigger: Option<&'a Value>,
    /// `steps`: the steps that have ended, by id.
    pub steps: BTreeMap<&'a str, StepBinding<'a>>,
}

/// What an expression can see of one step: `steps.<id>.status`, `.output` and `.error`.
#[derive(Debug, Clone, Copy)]
pub struct StepBinding<'a> {
    /// `completed`, `failed`, `skipped`, …
    pub status: &'a str,
    /// Null for a step that was skipped or failed.
    pub output: &'a Value,
    /// Null for a step that did not fail.
    pub error: &'a Value,
}

/// One compiled expression. A copy is cheap.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    program: cel::Program,
}

impl Expression {
    /// Compiles the CEL text of one `${{ }}`, without the braces.
    ///
    /// # Errors
    /// The first problem, with its place.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        let program = cel::Program::compile(source).map_err(|errors| ExpressionError {
            offset: 0,
            detail: errors.to_string(),
            suggestion: None,
        })?;
        Ok(Self(Arc::new(Compiled { source: source.to_owned(), program })))
    }

    /// The text that it was compiled from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The value with these bindings.
    ///
    /// # Errors
    /// When a name or a type does not fit, or when the budget is used up.
    pub fn evaluate(&self, bindings: &Bindings<'_>) -> Result<Value, EvaluationError> {
        let fail = |detail: String| EvaluationError { expression: self.0.source.clone(), offset: 0, detail };
        let mut context = cel::Context::default();
        let null = Value::Null;
        let steps: serde_json::Map<String, Value> = bindings
            .steps
            .iter()
            .map(|(id, step)| {
                let seen = serde_json::json!({"status": step.status, "output": step.output, "error": step.error});
                ((*id).to_owned(), seen)
            })
            .collect();
        context.add_variable_from_value("steps", from_json(&Value::Object(steps)));
        for (name, value) in [
            ("inputs", bindings.inputs),
            ("event", bindings.event),
            ("run", bindings.run),
            ("workflow", bindings.workflow),
            ("trigger", bindings.trigger),
        ] {
            context.add_variable_from_value(name, from_json(value.unwrap_or(&null)));
        }
        let value = self.0.program.execute(&context).map_err(|error| fail(error.to_string()))?;
        value.json().map_err(|error| fail(error.to_string()))
    }

    /// The value as a condition.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], and when the value is not a boolean.
    pub fn evaluate_bool(&self, bindings: &Bindings<'_>) -> Result<bool, EvaluationError> {
        self.evaluate(bindings)?.as_bool().ok_or_else(|| EvaluationError {
            expression: self.0.source.clone(),
            offset: 0,
            detail: "a condition has to be true or false".to_owned(),
        })
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${{{{ {} }}}}", self.0.source)
    }
}

fn from_json(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(int), _, _) => cel::Value::Int(int),
            (_, Some(uint), _) => cel::Value::UInt(uint),
            (_, _, float) => cel::Value::Float(float.unwrap_or(f64::NAN)),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(from_json).collect::<Vec<_>>().into(),
        Value::Object(map) => {
            let map: std::collections::HashMap<_, _> = map.iter().map(|(k, v)| (k.clone(), from_json(v))).collect();
            map.into()
        }
    }
}
