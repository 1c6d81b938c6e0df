//! Maps and their keys. A key borrows or shares its text and never copies it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map as JsonMap, Value as Json};

use super::{Text, Value};
use crate::expression::StepBinding;
use crate::expression::budget::{Budget, Exhausted};

#[derive(Debug, Clone)]
pub(in crate::expression) enum Map<'a> {
    Json(&'a JsonMap<String, Json>),
    /// Sorted by their keys.
    Made(Rc<[(Key<'a>, Value<'a>)]>),
    Steps(&'a BTreeMap<&'a str, StepBinding<'a>>),
    Step(&'a StepBinding<'a>),
}

/// A key of a map. Numbers with the same value are the same key, whatever their type.
#[derive(Debug, Clone)]
pub(in crate::expression) enum Key<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(Text<'a>),
}

impl<'a> Key<'a> {
    /// The value as the key of an entry.
    pub(in crate::expression) fn of(value: &Value<'a>) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Uint(value) => Self::Uint(*value),
            Value::Text(text) => Self::Text(text.clone()),
            _ => return None,
        })
    }

    /// The value as a lookup key. A double without decimals finds the whole number with the same value.
    pub(in crate::expression) fn to_find(value: &Value<'a>) -> Option<Self> {
        match value {
            Value::Double(double) => {
                // 2^63 and 2^64 are doubles, but the largest whole numbers below them are not, so the bounds are
                // strict.
                let whole = double.fract() == 0.0;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the ranges are checked")]
                if whole && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(double) {
                    Some(Self::Int(*double as i64))
                } else if whole && (0.0..18_446_744_073_709_551_616.0).contains(double) {
                    Some(Self::Uint(*double as u64))
                } else {
                    None
                }
            }
            other => Self::of(other),
        }
    }

    pub(in crate::expression) fn to_value(&self) -> Value<'a> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::Text(text) => Value::Text(text.clone()),
        }
    }

    /// The maximum number of bytes that a comparison reads.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.as_str().len(),
            _ => 0,
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |key: &Self| match key {
            Self::Bool(_) => 0,
            Self::Int(_) | Self::Uint(_) => 1,
            Self::Text(_) => 2,
        };
        let number = |key: &Self| match key {
            Self::Int(value) => i128::from(*value),
            Self::Uint(value) => i128::from(*value),
            _ => 0,
        };
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => a.as_str().cmp(b.as_str()),
            (a, b) => rank(a).cmp(&rank(b)).then_with(|| number(a).cmp(&number(b))),
        }
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}

impl<'a> Map<'a> {
    /// A map of these entries. If a key occurs twice, returns the index of the second entry instead.
    pub(in crate::expression) fn build(
        entries: Vec<(Key<'a>, Value<'a>)>,
        budget: &mut Budget,
    ) -> Result<Result<Self, usize>, Exhausted> {
        budget.allocate_items::<(Key<'a>, Value<'a>)>(entries.len())?;
        // A merge sort compares each key once per level. In addition, each pair of neighbours is compared once.
        if entries.len() > 1 {
            let steps = u64::from(entries.len().ilog2()) + 1;
            for (key, _) in &entries {
                budget.spend(steps / 8)?;
                budget.search(key.bytes(), entries.len().saturating_mul(2))?;
            }
        }
        let mut order: Vec<_> = entries.into_iter().enumerate().collect();
        budget.allocate_items::<(usize, (Key<'a>, Value<'a>))>(order.len())?;
        order.sort_by(|(_, (a, _)), (_, (b, _))| a.cmp(b));
        if let Some(pair) = order.windows(2).find(|pair| pair[0].1.0 == pair[1].1.0) {
            return Ok(Err(pair[1].0));
        }
        Ok(Ok(Self::Made(order.into_iter().map(|(_, entry)| entry).collect())))
    }

    pub(in crate::expression) fn len(&self) -> usize {
        match self {
            Self::Json(map) => map.len(),
            Self::Made(map) => map.len(),
            Self::Steps(map) => map.len(),
            Self::Step(_) => 3,
        }
    }

    pub(in crate::expression) fn get(
        &self,
        key: &Key<'a>,
        budget: &mut Budget,
    ) -> Result<Option<Value<'a>>, Exhausted> {
        match (self, key) {
            (Self::Made(_), Key::Text(name)) => self.field(name.as_str(), budget),
            (Self::Made(map), key) => {
                Ok(map.binary_search_by(|(known, _)| known.cmp(key)).ok().map(|at| map[at].1.clone()))
            }
            (map, Key::Text(name)) => map.field(name.as_str(), budget),
            _ => Ok(None),
        }
    }

    pub(in crate::expression) fn field(&self, name: &str, budget: &mut Budget) -> Result<Option<Value<'a>>, Exhausted> {
        budget.search(name.len(), self.len())?;
        Ok(match self {
            Self::Json(map) => map.get(name).map(Value::from_json),
            Self::Made(map) => {
                let found = map.binary_search_by(|(known, _)| match known {
                    Key::Text(known) => known.as_str().cmp(name),
                    _ => Ordering::Less,
                });
                found.ok().map(|at| map[at].1.clone())
            }
            Self::Steps(steps) => steps.get(name).map(|step| Value::Map(Map::Step(step))),
            Self::Step(step) => match name {
                "status" => Some(Value::Text(Text::Borrowed(step.status))),
                "output" => Some(Value::from_json(step.output)),
                "error" => Some(Value::from_json(step.error)),
                _ => None,
            },
        })
    }

    /// The entries, sorted by their keys.
    pub(in crate::expression) fn entries(&self) -> Box<dyn Iterator<Item = (Key<'a>, Value<'a>)> + '_> {
        let text = |name: &'a str| Key::Text(Text::Borrowed(name));
        match self {
            Self::Json(map) => Box::new(map.iter().map(move |(key, value)| (text(key), Value::from_json(value)))),
            Self::Made(map) => Box::new(map.iter().cloned()),
            Self::Steps(steps) => Box::new(steps.iter().map(move |(id, step)| (text(id), Value::Map(Map::Step(step))))),
            Self::Step(step) => Box::new(
                [
                    (text("error"), Value::from_json(step.error)),
                    (text("output"), Value::from_json(step.output)),
                    (text("status"), Value::Text(Text::Borrowed(step.status))),
                ]
                .into_iter(),
            ),
        }
    }
}
