//! Evaluates syntax nodes within a budget.

mod macros;
mod operators;
mod select;

use super::budget::Budget;
use super::functions::{CallError, Called};
use super::syntax::{Kind, Node};
use super::value::{Bytes, Key, Map, Text, Value};
use super::{Bindings, Root};

/// The cost of describing a failure, which `||` and similar operators may request many times.
const FAILURE: u64 = 8;
/// How many characters of a name a message shows.
const SHOWN: usize = 64;

/// Why a node has no value.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) at: usize,
    pub(super) detail: String,
    /// Whether the budget is used up. No operator may swallow such a failure.
    pub(super) exhausted: bool,
}

type Outcome<'a, T = Value<'a>> = Result<T, Failure>;

pub(super) struct Evaluator<'a, 'b> {
    bindings: &'a Bindings<'a>,
    budget: &'b mut Budget,
    locals: Vec<Value<'a>>,
}

impl<'a, 'b> Evaluator<'a, 'b> {
    pub(super) fn new(bindings: &'a Bindings<'a>, budget: &'b mut Budget) -> Self {
        Self { bindings, budget, locals: Vec::new() }
    }

    pub(super) fn value(&mut self, node: &'a Node) -> Outcome<'a> {
        let at = node.at;
        self.spend(at, 1)?;
        Ok(match &node.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value) => Value::Int(*value),
            Kind::Uint(value) => Value::Uint(*value),
            Kind::Double(value) => Value::Double(*value),
            Kind::Text(text) => Value::Text(Text::Borrowed(text)),
            Kind::Bytes(bytes) => Value::Bytes(Bytes::Borrowed(bytes)),
            Kind::Type(name) => Value::Type(name),
            Kind::Root(root) => self.root(*root),
            Kind::Local(index) => self.locals.get(*index).cloned().unwrap_or(Value::Null),
            Kind::Select { operand, field, access } => {
                let operand = self.value(operand)?;
                return self.select(at, &operand, field, *access);
            }
            Kind::Index { operand, key, access } => {
                let operand = self.value(operand)?;
                let key = self.value(key)?;
                return self.index(at, &operand, &key, *access);
            }
            Kind::List(items) => return self.list(at, items),
            Kind::Map(entries) => return self.map(at, entries),
            // The parser creates this only for items and keys, which are expanded elsewhere.
            Kind::Spread(optional) => return self.value(optional),
            Kind::Not(operand) => match self.value(operand)? {
                Value::Bool(value) => Value::Bool(!value),
                other => return fail(at, format!("`!` takes a bool, this is {}", article(&other))),
            },
            Kind::Negate(operand) => return operators::negate(at, &self.value(operand)?),
            Kind::And(terms) => return self.logic(terms, false),
            Kind::Or(terms) => return self.logic(terms, true),
            Kind::If(three) => {
                let [condition, then, otherwise] = three.as_ref();
                return match self.value(condition)? {
                    Value::Bool(true) => self.value(then),
                    Value::Bool(false) => self.value(otherwise),
                    other => fail(at, format!("`? :` takes a bool, this is {}", article(&other))),
                };
            }
            Kind::Binary(operator, left, right) => {
                let left = self.value(left)?;
                let right = self.value(right)?;
                return self.binary(at, *operator, &left, &right);
            }
            Kind::Call(function, arguments) => {
                let arguments = arguments.iter().map(|one| self.value(one)).collect::<Result<Vec<_>, _>>()?;
                let called = (function.run)(&arguments, self.budget);
                return self.called(at, called, &arguments);
            }
            Kind::Matches(text, pattern) => {
                let text = self.value(text)?;
                let called = pattern.matches(&text, self.budget);
                return self.called(at, called, &[text]);
            }
            Kind::Macro { kind, range, two, filter, body } => {
                let range = self.value(range)?;
                return self.expand(at, *kind, &range, *two, filter.as_deref(), body);
            }
            Kind::Bind(two) => {
                let [value, body] = two.as_ref();
                let value = self.value(value)?;
                return self.with_local(value, body);
            }
            Kind::OrElse { optional, other, unwrap } => return self.or_else(at, optional, other, *unwrap),
            Kind::WithValue { optional, body, flat } => return self.with_value(at, optional, body, *flat),
        })
    }

    fn spend(&mut self, at: usize, units: u64) -> Outcome<'a, ()> {
        self.budget.spend(units).map_err(|_| exhausted(at))
    }

    fn with_local(&mut self, value: Value<'a>, body: &'a Node) -> Outcome<'a> {
        self.locals.push(value);
        let outcome = self.value(body);
        self.locals.pop();
        outcome
    }

    fn root(&self, root: Root) -> Value<'a> {
        let bound = match root {
            Root::Steps => return Value::Map(Map::Steps(&self.bindings.steps)),
            Root::Inputs => self.bindings.inputs,
            Root::Event => self.bindings.event,
            Root::Run => self.bindings.run,
            Root::Workflow => self.bindings.workflow,
            Root::Trigger => self.bindings.trigger,
        };
        bound.map_or(Value::Null, Value::from_json)
    }

    fn called(&self, at: usize, called: Called<'a>, arguments: &[Value<'a>]) -> Outcome<'a> {
        called.map_err(|error| call_failure(at, error, arguments))
    }

    fn list(&mut self, at: usize, items: &'a [Node]) -> Outcome<'a> {
        self.budget.allocate_items::<Value<'a>>(items.len()).map_err(|_| exhausted(at))?;
        let mut made = Vec::with_capacity(items.len());
        for item in items {
            let value = self.value(item)?;
            match &item.kind {
                Kind::Spread(_) => made.extend(spread(item.at, value)?),
                _ => made.push(value),
            }
        }
        Ok(Value::list(made))
    }

    fn map(&mut self, at: usize, entries: &'a [(Node, Node)]) -> Outcome<'a> {
        let mut made = Vec::with_capacity(entries.len());
        let mut places = Vec::with_capacity(entries.len());
        for (key_node, value) in entries {
            let key = self.value(key_node)?;
            let Some(key) = Key::of(&key) else { return no_key(key_node.at, &key) };
            let value = self.value(value)?;
            let value = match &key_node.kind {
                Kind::Spread(_) => spread(key_node.at, value)?,
                _ => Some(value),
            };
            if let Some(value) = value {
                made.push((key, value));
                places.push(key_node.at);
            }
        }
        self.build(at, made, |entry| places.get(entry).copied().unwrap_or(at))
    }

    /// A map of these entries. `place` gives the offset of an entry.
    fn build(&mut self, at: usize, entries: Vec<(Key<'a>, Value<'a>)>, place: impl Fn(usize) -> usize) -> Outcome<'a> {
        match Map::build(entries, self.budget).map_err(|_| exhausted(at))? {
            Ok(map) => Ok(Value::Map(map)),
            Err(twice) => fail(place(twice), "this key is there twice"),
        }
    }

    /// `&&` and `||`: a deciding value overrides an error in another term.
    fn logic(&mut self, terms: &'a [Node], deciding: bool) -> Outcome<'a> {
        let mut pending = None;
        for term in terms {
            match self.truth(term) {
                Ok(value) if value == deciding => return Ok(Value::Bool(deciding)),
                Ok(_) => {}
                Err(failure) => self.keep(&mut pending, failure)?,
            }
        }
        pending.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    /// Keeps the first failure in case that no other term decides.
    fn keep(&mut self, pending: &mut Option<Failure>, failure: Failure) -> Outcome<'a, ()> {
        if failure.exhausted {
            return Err(failure);
        }
        self.spend(failure.at, FAILURE)?;
        pending.get_or_insert(failure);
        Ok(())
    }

    fn truth(&mut self, node: &'a Node) -> Outcome<'a, bool> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => fail(node.at, format!("this has to be a bool and is {}", article(&other))),
        }
    }
}

/// The value of an optional item or entry, or `None` if its optional is absent.
fn spread<'a>(at: usize, value: Value<'a>) -> Outcome<'a, Option<Value<'a>>> {
    match value {
        Value::Optional(value) => Ok(value.map(|value| value.as_ref().clone())),
        other => fail(at, format!("`?` takes an optional, this is {}", article(&other))),
    }
}

fn fail<T>(at: usize, detail: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { at, detail: detail.into(), exhausted: false })
}

fn no_key<T>(at: usize, value: &Value<'_>) -> Result<T, Failure> {
    fail(at, format!("a key is a text, a whole number or a bool, this is {}", article(value)))
}

pub(super) fn exhausted(at: usize) -> Failure {
    Failure { at, detail: "the expression does more work than one evaluation may".to_owned(), exhausted: true }
}

fn call_failure(at: usize, error: CallError, arguments: &[Value<'_>]) -> Failure {
    let detail = match error {
        CallError::Exhausted => return exhausted(at),
        CallError::Failed(detail) => detail,
        CallError::Types => {
            let types: Vec<_> = arguments.iter().take(8).map(Value::type_name).collect();
            format!("this function does not take ({})", types.join(", "))
        }
    };
    Failure { at, detail, exhausted: false }
}

fn article(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(_) => "an int".to_owned(),
        Value::Optional(_) => "an optional".to_owned(),
        other => format!("a {}", other.type_name()),
    }
}

/// The start of a name, so that a message is cheap.
fn shown(name: &str) -> &str {
    name.char_indices().nth(SHOWN).map_or(name, |(end, _)| &name[..end])
}
