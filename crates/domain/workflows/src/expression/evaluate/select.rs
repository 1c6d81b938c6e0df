//! Member access, indexing and optionals.

use super::{Evaluator, Outcome, article, exhausted, fail, shown};
use crate::expression::syntax::{Access, Node};
use crate::expression::value::{Key, List, Value};

impl<'a> Evaluator<'a, '_> {
    pub(super) fn select(&mut self, at: usize, operand: &Value<'a>, field: &str, access: Access) -> Outcome<'a> {
        let (operand, chained) = match operand {
            Value::Optional(None) => return Ok(absent(access)),
            Value::Optional(Some(value)) => (value.as_ref(), true),
            other => (other, false),
        };
        match operand {
            Value::Map(map) => {
                let found = map.field(field, self.budget).map_err(|_| exhausted(at))?;
                self.accessed(at, found, access, chained, || format!("there is no `{}` here", shown(field)))
            }
            // A skipped step has a null output; `has(steps.a.output.b)` tests for that.
            Value::Null if access == Access::Test => Ok(Value::Bool(false)),
            other => fail(at, format!("`.{}` needs a map, this is {}", shown(field), article(other))),
        }
    }

    pub(super) fn index(&mut self, at: usize, operand: &Value<'a>, key: &Value<'a>, access: Access) -> Outcome<'a> {
        let (operand, chained) = match operand {
            Value::Optional(None) => return Ok(absent(access)),
            Value::Optional(Some(value)) => (value.as_ref(), true),
            other => (other, false),
        };
        match (operand, key) {
            (Value::List(list), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
                let missing = || format!("the list has {} items and not this one", list.len());
                self.accessed(at, item(list, key), access, chained, missing)
            }
            (Value::Map(map), key) => {
                let found = match Key::to_find(key) {
                    Some(key) => map.get(&key, self.budget).map_err(|_| exhausted(at))?,
                    None => None,
                };
                self.accessed(at, found, access, chained, || "there is no such key here".to_owned())
            }
            (other, key) => fail(at, format!("`[ ]` does not take {} and {}", article(other), article(key))),
        }
    }

    /// Wraps the found value as requested. A value found in an optional is optional too.
    fn accessed(
        &mut self,
        at: usize,
        found: Option<Value<'a>>,
        access: Access,
        chained: bool,
        missing: impl FnOnce() -> String,
    ) -> Outcome<'a> {
        match (access, found) {
            (Access::Test, found) => Ok(Value::Bool(found.is_some())),
            (Access::Value, Some(value)) if !chained => Ok(value),
            (Access::Value, None) if !chained => fail(at, missing()),
            (Access::Value | Access::Optional, None) => Ok(Value::Optional(None)),
            (Access::Value | Access::Optional, Some(value)) => {
                self.budget.allocate_items::<Value<'a>>(1).map_err(|_| exhausted(at))?;
                Ok(Value::some(value))
            }
        }
    }

    pub(super) fn or_else(&mut self, at: usize, optional: &'a Node, other: &'a Node, unwrap: bool) -> Outcome<'a> {
        match self.value(optional)? {
            Value::Optional(Some(value)) if unwrap => Ok(value.as_ref().clone()),
            some @ Value::Optional(Some(_)) => Ok(some),
            Value::Optional(None) => match self.value(other)? {
                value if unwrap => Ok(value),
                optional @ Value::Optional(_) => Ok(optional),
                value => fail(at, format!("`or` takes an optional, this is {}", article(&value))),
            },
            value => fail(at, format!("this needs an optional, such as event.data.?path, and has {}", article(&value))),
        }
    }

    pub(super) fn with_value(&mut self, at: usize, optional: &'a Node, body: &'a Node, flat: bool) -> Outcome<'a> {
        let value = match self.value(optional)? {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(value)) => value.as_ref().clone(),
            other => {
                let has = article(&other);
                return fail(at, format!("this needs an optional, such as event.data.?path, and has {has}"));
            }
        };
        match self.with_local(value, body)? {
            optional @ Value::Optional(_) if flat => Ok(optional),
            other if flat => fail(at, format!("`optFlatMap` gives an optional, this is {}", article(&other))),
            value => {
                self.budget.allocate_items::<Value<'a>>(1).map_err(|_| exhausted(at))?;
                Ok(Value::some(value))
            }
        }
    }
}

/// The content of an absent optional.
fn absent<'a>(access: Access) -> Value<'a> {
    if access == Access::Test { Value::Bool(false) } else { Value::Optional(None) }
}

fn item<'a>(list: &List<'a>, place: &Value<'a>) -> Option<Value<'a>> {
    match Key::to_find(place)? {
        Key::Int(place) => list.get(usize::try_from(place).ok()?),
        Key::Uint(place) => list.get(usize::try_from(place).ok()?),
        Key::Bool(_) | Key::Text(_) => None,
    }
}
