//! Macros over the items of a list or the entries of a map.

use super::{Evaluator, Failure, Outcome, article, exhausted, fail, no_key};
use crate::expression::syntax::{Macro, Node};
use crate::expression::value::{Key, Value};

/// The intermediate result of a macro.
#[derive(Default)]
struct Gathered<'a> {
    items: Vec<Value<'a>>,
    entries: Vec<(Key<'a>, Value<'a>)>,
    hits: usize,
    /// The first failure of an `all` or `exists`, which a later item may override.
    pending: Option<Failure>,
}

impl<'a> Evaluator<'a, '_> {
    pub(super) fn expand(
        &mut self,
        at: usize,
        kind: Macro,
        range: &Value<'a>,
        two: bool,
        filter: Option<&'a Node>,
        body: &'a Node,
    ) -> Outcome<'a> {
        let mut gathered = Gathered::default();
        let mut decided = None;
        match range {
            Value::List(list) => {
                for (place, item) in (0i64..).zip(list.iter()) {
                    let first = if two { Value::Int(place) } else { item.clone() };
                    decided = self.visit(at, kind, (first, two.then_some(item)), filter, body, &mut gathered)?;
                    if decided.is_some() {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.entries() {
                    let variables = (key.to_value(), two.then_some(value));
                    decided = self.visit(at, kind, variables, filter, body, &mut gathered)?;
                    if decided.is_some() {
                        break;
                    }
                }
            }
            other => return fail(at, format!("this needs a list or a map, this is {}", article(other))),
        }
        match (decided, gathered.pending) {
            (Some(decided), _) => return Ok(Value::Bool(decided)),
            (None, Some(failure)) => return Err(failure),
            (None, None) => {}
        }
        match kind {
            Macro::All => Ok(Value::Bool(true)),
            Macro::Exists => Ok(Value::Bool(false)),
            Macro::ExistsOne => Ok(Value::Bool(gathered.hits == 1)),
            Macro::Map | Macro::Filter | Macro::TransformList => {
                // The items are copied from the vector in which they were collected.
                self.budget.allocate_items::<Value<'a>>(gathered.items.len()).map_err(|_| exhausted(at))?;
                Ok(Value::list(gathered.items))
            }
            Macro::TransformMap | Macro::TransformMapEntry => self.build(at, gathered.entries, |_| at),
        }
    }

    /// Evaluates the body for one item or entry. Returns the macro's result if this item decides it.
    fn visit(
        &mut self,
        at: usize,
        kind: Macro,
        (first, second): (Value<'a>, Option<Value<'a>>),
        filter: Option<&'a Node>,
        body: &'a Node,
        gathered: &mut Gathered<'a>,
    ) -> Outcome<'a, Option<bool>> {
        self.spend(at, 1)?;
        let outside = self.locals.len();
        self.locals.push(first.clone());
        self.locals.extend(second);
        let outcome = self.one(kind, filter, body);
        self.locals.truncate(outside);
        let value = match outcome {
            Ok(Some(value)) => value,
            Ok(None) => return Ok(None),
            Err(failure) if matches!(kind, Macro::All | Macro::Exists) => {
                self.keep(&mut gathered.pending, failure)?;
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        match (kind, &value) {
            (Macro::All, Value::Bool(false)) => return Ok(Some(false)),
            (Macro::Exists, Value::Bool(true)) => return Ok(Some(true)),
            (Macro::ExistsOne, Value::Bool(true)) => gathered.hits += 1,
            (Macro::Filter, Value::Bool(true)) => self.gather(at, &mut gathered.items, first)?,
            (Macro::Map | Macro::TransformList, _) => self.gather(at, &mut gathered.items, value)?,
            (Macro::TransformMap, _) => {
                let Some(key) = Key::of(&first) else { return no_key(at, &first) };
                self.gather(at, &mut gathered.entries, (key, value))?;
            }
            (Macro::TransformMapEntry, Value::Map(map)) => {
                for entry in map.entries() {
                    self.gather(at, &mut gathered.entries, entry)?;
                }
            }
            (Macro::TransformMapEntry, other) => {
                return fail(
                    at,
                    format!("`transformMapEntry` takes a map such as {{k: v}}, this is {}", article(other)),
                );
            }
            _ => {}
        }
        Ok(None)
    }

    /// The value of the body for one item; `None` if the filter excludes the item.
    fn one(&mut self, kind: Macro, filter: Option<&'a Node>, body: &'a Node) -> Outcome<'a, Option<Value<'a>>> {
        if let Some(filter) = filter
            && !self.truth(filter)?
        {
            return Ok(None);
        }
        if kind.asks() { self.truth(body).map(|truth| Some(Value::Bool(truth))) } else { self.value(body).map(Some) }
    }

    /// Appends one item, and charges for memory whenever the vector grows. It doubles each time.
    fn gather<T>(&mut self, at: usize, gathered: &mut Vec<T>, one: T) -> Outcome<'a, ()> {
        self.budget.allocate_items::<T>(2).map_err(|_| exhausted(at))?;
        gathered.push(one);
        Ok(())
    }
}
