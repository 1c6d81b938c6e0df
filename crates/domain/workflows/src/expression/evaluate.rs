//! Evaluates nodes within a budget.

use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::TimeDelta;

use super::budget::{Budget, Exhausted};
use super::functions::{self, CallError, as_double, check_length};
use super::syntax::{Kind, Macro, Node, Operator};
use super::value::{Key, List, Map, Value};
use super::{Bindings, Root};

/// Why a node has no value.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) at: usize,
    pub(super) detail: String,
    /// The budget is used up: nothing may swallow this.
    pub(super) exhausted: bool,
}

type Outcome<'a> = Result<Value<'a>, Failure>;

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
        self.budget.spend(1).map_err(|_| exhausted(at))?;
        Ok(match &node.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value) => Value::Int(*value),
            Kind::Uint(value) => Value::Uint(*value),
            Kind::Double(value) => Value::Double(*value),
            Kind::Text(text) => Value::Text(super::value::Text::Borrowed(text)),
            Kind::Bytes(bytes) => Value::Bytes(Rc::from(bytes.as_slice())),
            Kind::Type(name) => Value::Type(name),
            Kind::Root(root) => self.root(*root),
            Kind::Local(index) => self.locals.get(*index).cloned().unwrap_or(Value::Null),
            Kind::Select { operand, field, test } => {
                let operand = self.value(operand)?;
                return select(at, &operand, field, *test);
            }
            Kind::Index(operand, key) => {
                let operand = self.value(operand)?;
                let key = self.value(key)?;
                return index(at, &operand, &key);
            }
            Kind::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Result<Vec<_>, _>>()?;
                Value::List(List::Made(items.into()))
            }
            Kind::Map(entries) => return self.map(entries),
            Kind::Not(operand) => match self.value(operand)? {
                Value::Bool(value) => Value::Bool(!value),
                other => return fail(at, format!("`!` takes a bool, this is {}", article(&other))),
            },
            Kind::Negate(operand) => return negate(at, &self.value(operand)?),
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
                return functions::call(*function, &arguments, self.budget)
                    .map_err(|error| call_failure(at, error, &arguments));
            }
            Kind::Matches(text, regex) => {
                let text = self.value(text)?;
                return functions::matches(&text, regex, self.budget).map_err(|error| call_failure(at, error, &[text]));
            }
            Kind::Macro { kind, range, filter, body } => {
                let range = self.value(range)?;
                return self.expand(at, *kind, &range, filter.as_deref(), body);
            }
        })
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

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Outcome<'a> {
        let mut made = BTreeMap::new();
        for (key, value) in entries {
            let at = key.at;
            let key = self.value(key)?;
            let Some(key) = Key::of(&key) else {
                return fail(at, format!("a key is a text, a whole number or a bool, this is {}", article(&key)));
            };
            let value = self.value(value)?;
            if made.insert(key, value).is_some() {
                return fail(at, "this key is there twice");
            }
        }
        Ok(Value::Map(Map::Made(Rc::new(made))))
    }

    /// `&&` and `||`: the deciding value wins over an error in another term.
    fn logic(&mut self, terms: &'a [Node], deciding: bool) -> Outcome<'a> {
        let mut pending = None;
        for term in terms {
            match self.truth(term) {
                Ok(value) if value == deciding => return Ok(Value::Bool(deciding)),
                Ok(_) => {}
                Err(failure) if failure.exhausted => return Err(failure),
                Err(failure) => pending = pending.or(Some(failure)),
            }
        }
        pending.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    fn truth(&mut self, node: &'a Node) -> Result<bool, Failure> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => fail(node.at, format!("this has to be a bool and is {}", article(&other))),
        }
    }

    fn expand(
        &mut self,
        at: usize,
        kind: Macro,
        range: &Value<'a>,
        filter: Option<&'a Node>,
        body: &'a Node,
    ) -> Outcome<'a> {
        let items: List<'a> = match range {
            Value::List(list) => list.clone(),
            Value::Map(map) => {
                self.budget.spend(map.len() as u64).map_err(|_| exhausted(at))?;
                List::Made(map.keys().into())
            }
            other => return fail(at, format!("this needs a list or a map, this is {}", article(other))),
        };
        let mut kept = Vec::new();
        let mut hits = 0;
        let mut pending: Option<Failure> = None;
        for item in items.iter() {
            self.budget.spend(1).map_err(|_| exhausted(at))?;
            self.locals.push(item.clone());
            let outcome = self.one(kind, filter, body);
            self.locals.pop();
            match (kind, outcome) {
                (_, Err(failure)) if failure.exhausted => return Err(failure),
                (Macro::All, Ok(Some(Value::Bool(false)))) => return Ok(Value::Bool(false)),
                (Macro::Exists, Ok(Some(Value::Bool(true)))) => return Ok(Value::Bool(true)),
                (Macro::All | Macro::Exists, Err(failure)) => pending = pending.or(Some(failure)),
                (_, Err(failure)) => return Err(failure),
                (Macro::ExistsOne, Ok(Some(Value::Bool(true)))) => hits += 1,
                (Macro::Filter, Ok(Some(Value::Bool(true)))) => kept.push(item),
                (Macro::Map, Ok(Some(value))) => kept.push(value),
                _ => {}
            }
        }
        match (kind, pending) {
            (_, Some(failure)) => Err(failure),
            (Macro::All, None) => Ok(Value::Bool(true)),
            (Macro::Exists, None) => Ok(Value::Bool(false)),
            (Macro::ExistsOne, None) => Ok(Value::Bool(hits == 1)),
            (Macro::Map | Macro::Filter, None) => Ok(Value::List(List::Made(kept.into()))),
        }
    }

    /// The body for one item; `None` where the filter of a `map` leaves the item out.
    fn one(&mut self, kind: Macro, filter: Option<&'a Node>, body: &'a Node) -> Result<Option<Value<'a>>, Failure> {
        if let Some(filter) = filter
            && !self.truth(filter)?
        {
            return Ok(None);
        }
        if kind == Macro::Map { self.value(body).map(Some) } else { self.truth(body).map(|b| Some(Value::Bool(b))) }
    }

    fn binary(&mut self, at: usize, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
        let spent = |_: Exhausted| exhausted(at);
        let value = match operator {
            Operator::Equal => Some(Value::Bool(left.equals(right, self.budget).map_err(spent)?)),
            Operator::NotEqual => Some(Value::Bool(!left.equals(right, self.budget).map_err(spent)?)),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                left.compare(right, self.budget).map_err(spent)?.map(|order| {
                    Value::Bool(match operator {
                        Operator::Less => order.is_lt(),
                        Operator::LessOrEqual => order.is_le(),
                        Operator::Greater => order.is_gt(),
                        _ => order.is_ge(),
                    })
                })
            }
            Operator::In => self.contains(right, left).map_err(spent)?,
            Operator::Add => match (left, right) {
                (Value::Text(a), Value::Text(b)) => {
                    let length = a.as_str().len() + b.as_str().len();
                    check_length(length).map_err(|error| call_failure(at, error, &[]))?;
                    self.budget.scan(length).map_err(spent)?;
                    Some(Value::made([a.as_str(), b.as_str()].concat()))
                }
                (Value::List(a), Value::List(b)) => {
                    self.budget.spend((a.len() + b.len()) as u64).map_err(spent)?;
                    Some(Value::List(List::Made(a.iter().chain(b.iter()).collect::<Vec<_>>().into())))
                }
                _ => return arithmetic(at, operator, left, right),
            },
            _ => return arithmetic(at, operator, left, right),
        };
        value.map_or_else(|| mismatch(at, operator, left, right), Ok)
    }

    fn contains(&mut self, container: &Value<'a>, item: &Value<'a>) -> Result<Option<Value<'a>>, Exhausted> {
        Ok(Some(Value::Bool(match container {
            Value::List(list) => {
                let mut found = false;
                for candidate in list.iter() {
                    if candidate.equals(item, self.budget)? {
                        found = true;
                        break;
                    }
                }
                found
            }
            Value::Map(map) => Key::of(item).is_some_and(|key| map.get(&key).is_some()),
            _ => return Ok(None),
        })))
    }
}

fn fail<T>(at: usize, detail: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { at, detail: detail.into(), exhausted: false })
}

pub(super) fn exhausted(at: usize) -> Failure {
    Failure { at, detail: "the expression does more work than one evaluation may".to_owned(), exhausted: true }
}

fn call_failure(at: usize, error: CallError, arguments: &[Value<'_>]) -> Failure {
    let detail = match error {
        CallError::Exhausted => return exhausted(at),
        CallError::Failed(detail) => detail,
        CallError::Types => {
            let types: Vec<_> = arguments.iter().map(Value::type_name).collect();
            format!("this function does not take ({})", types.join(", "))
        }
    };
    Failure { at, detail, exhausted: false }
}

fn article(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(_) => "an int".to_owned(),
        other => format!("a {}", other.type_name()),
    }
}

fn mismatch<T>(at: usize, operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Result<T, Failure> {
    fail(at, format!("`{}` does not take {} and {}", operator.symbol(), article(left), article(right)))
}

fn select<'a>(at: usize, operand: &Value<'a>, field: &str, test: bool) -> Outcome<'a> {
    match operand {
        Value::Map(map) => match map.field(field) {
            found if test => Ok(Value::Bool(found.is_some())),
            Some(value) => Ok(value),
            None => fail(at, format!("there is no `{field}` here")),
        },
        // A step that was skipped has a null output; `has(steps.a.output.b)` is how to ask.
        Value::Null if test => Ok(Value::Bool(false)),
        other => fail(at, format!("`.{field}` needs a map, this is {}", article(other))),
    }
}

fn index<'a>(at: usize, operand: &Value<'a>, key: &Value<'a>) -> Outcome<'a> {
    match (operand, key) {
        (Value::List(list), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
            let place = match key {
                Value::Int(place) => usize::try_from(*place).ok(),
                Value::Uint(place) => usize::try_from(*place).ok(),
                _ => as_double(key).and_then(whole_index),
            };
            match place.and_then(|place| list.get(place)) {
                Some(value) => Ok(value),
                None => fail(at, format!("the list has {} items and not this one", list.len())),
            }
        }
        (Value::Map(map), key) => match Key::of(key).and_then(|key| map.get(&key)) {
            Some(value) => Ok(value),
            None => fail(at, "there is no such key here"),
        },
        (other, key) => fail(at, format!("`[ ]` does not take {} and {}", article(other), article(key))),
    }
}

fn whole_index(double: f64) -> Option<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
    (double.fract() == 0.0 && (0.0..4_294_967_296.0).contains(&double)).then_some(double as usize)
}

fn negate<'a>(at: usize, value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(value) => value.checked_neg().map_or_else(|| overflow(at), |value| Ok(Value::Int(value))),
        Value::Double(value) => Ok(Value::Double(-value)),
        other => fail(at, format!("`-` takes a number, this is {}", article(other))),
    }
}

/// Whole numbers: of one type they keep it, of two they become an int where that holds the result.
fn whole<'a>(at: usize, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    let wide = |value: &Value<'_>| match value {
        Value::Int(value) => i128::from(*value),
        Value::Uint(value) => i128::from(*value),
        _ => 0,
    };
    let (a, b) = (wide(left), wide(right));
    // Two numbers of 64 bits cannot overflow 128, so `None` is a division by zero.
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    let Some(result) = result else { return fail(at, "this divides by zero") };
    let int = i64::try_from(result).map(Value::Int).ok();
    let uint = u64::try_from(result).map(Value::Uint).ok();
    let result = match (left, right) {
        (Value::Int(_), Value::Int(_)) => int,
        (Value::Uint(_), Value::Uint(_)) => uint,
        _ => int.or(uint),
    };
    result.map_or_else(|| overflow(at), Ok)
}

fn overflow<T>(at: usize) -> Result<T, Failure> {
    fail(at, "the result is outside the range of its type")
}

fn arithmetic<'a>(at: usize, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    use Operator as O;
    use Value as V;
    let result = match (left, right) {
        (V::Int(_) | V::Uint(_), V::Int(_) | V::Uint(_)) => return whole(at, operator, left, right),
        (V::Timestamp(a), V::Timestamp(b)) if operator == O::Subtract => Some(V::Duration(*a - *b)),
        (V::Timestamp(a), V::Duration(b)) if operator == O::Subtract => a.checked_sub_signed(*b).map(V::Timestamp),
        (V::Timestamp(a), V::Duration(b)) | (V::Duration(b), V::Timestamp(a)) if operator == O::Add => {
            a.checked_add_signed(*b).map(V::Timestamp)
        }
        (V::Duration(a), V::Duration(b)) if operator == O::Add => a.checked_add(b).map(V::Duration),
        (V::Duration(a), V::Duration(b)) if operator == O::Subtract => TimeDelta::checked_sub(a, b).map(V::Duration),
        // JSON does not tell 2 from 2.0, so numbers mix here although CEL's own arithmetic does not.
        (a, b) => match (as_double(a), as_double(b)) {
            (Some(a), Some(b)) => Some(V::Double(match operator {
                O::Add => a + b,
                O::Subtract => a - b,
                O::Multiply => a * b,
                O::Divide => a / b,
                _ => return mismatch(at, operator, left, right),
            })),
            _ => return mismatch(at, operator, left, right),
        },
    };
    result.map_or_else(|| overflow(at), Ok)
}
