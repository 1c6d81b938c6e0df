//! What checking a value against a schema costs, counted before it is done.
//!
//! The count follows the validator's way, so that no schema and no value can make it work for longer than was counted:
//! it takes every branch, and it knows that `unevaluatedProperties` and `unevaluatedItems` check what is below them
//! again to find what was evaluated. One inside the other, that multiplies.

use std::collections::BTreeMap;

use serde_json::Value;

use super::MAX_STEPS;

/// The most steps that checking a value without members may take.
pub(super) const MAX_AT_ONE_VALUE: u64 = 100_000;

/// A schema as far as its cost goes, references written out.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    /// Steps at each value.
    pub(super) own: u64,
    /// Steps at each byte of a text.
    pub(super) each_byte: u64,
    /// Whether the items of a list are compared with one another.
    pub(super) unique: bool,
    /// Whether each branch's problems are kept where no branch is met.
    pub(super) keeps_alternatives: bool,
    /// Schemas of the same value that it has to meet.
    pub(super) all: Vec<Part>,
    /// Schemas of the same value that are tried first, and then asked for their problems.
    pub(super) tried: Vec<Part>,
    pub(super) properties: BTreeMap<String, Part>,
    /// Schemas of members whose name matches, with the steps for each byte of a name.
    pub(super) patterns: Vec<(u64, Part)>,
    pub(super) additional: Option<Box<Part>>,
    pub(super) names: Option<Box<Part>>,
    pub(super) prefix: Vec<Part>,
    pub(super) items: Option<Box<Part>>,
    pub(super) contains: Option<Box<Part>>,
    pub(super) unevaluated_properties: Option<Box<Part>>,
    pub(super) unevaluated_items: Option<Box<Part>>,
}

/// Steps; more than the numbers can hold is the largest number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// To find whether the value is valid.
    pub(super) check: u64,
    /// To find which of its members or items were evaluated.
    pub(super) mark: u64,
    /// To find every problem.
    pub(super) list: u64,
}

impl Part {
    /// What checking `value` costs at the most.
    pub(super) fn cost(&self, value: &Value) -> Cost {
        self.cost_within(MAX_STEPS, value)
    }

    /// As [`Part::cost`], where what costs more than `limit` may cost anything.
    pub(super) fn cost_within(&self, limit: u64, value: &Value) -> Cost {
        self.at(value, &mut Left(limit))
    }

    /// Whether problems of branches are kept anywhere.
    pub(super) fn keeps_alternatives(&self) -> bool {
        self.keeps_alternatives || self.below().any(Self::keeps_alternatives)
    }

    fn below(&self) -> impl Iterator<Item = &Self> {
        let boxes = [
            &self.additional,
            &self.names,
            &self.items,
            &self.contains,
            &self.unevaluated_properties,
            &self.unevaluated_items,
        ];
        let lists = self.all.iter().chain(&self.tried).chain(&self.prefix);
        let named = self.properties.values().chain(self.patterns.iter().map(|(_, part)| part));
        lists.chain(named).chain(boxes.into_iter().filter_map(Option::as_deref))
    }

    /// What is counted is never more than the steps are, so counting ends where they are too many.
    fn at(&self, value: &Value, left: &mut Left) -> Cost {
        let Some(rest) = left.0.checked_sub(1) else {
            return Cost { check: u64::MAX, mark: u64::MAX, list: u64::MAX };
        };
        left.0 = rest;
        let mut own = Total(1 + self.own);
        if let Value::String(text) = value {
            // Lengths are counted in characters, so that even a text that nothing else reads is read once.
            let bytes = length(text);
            own.add(self.each_byte.saturating_mul(bytes)).add(bytes / 64);
        }
        let mut checked = Total(0);
        let mut listed = Total(0);
        let mut evaluated = Total(1);
        let mut unevaluated = Total(0);
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    own.add(1);
                    evaluated.add(2);
                    let mut child = |part: &Self, value: &Value| {
                        let cost = part.at(value, left);
                        checked.add(cost.check);
                        listed.add(cost.list);
                    };
                    for (weight, part) in &self.patterns {
                        let matching = 1 + weight.saturating_mul(length(name));
                        own.add(matching);
                        evaluated.add(matching);
                        child(part, value);
                    }
                    if let Some(part) = self.properties.get(name).or(self.additional.as_deref()) {
                        child(part, value);
                    }
                    if let Some(part) = &self.names {
                        child(part, &Value::String(name.clone()));
                    }
                    if let Some(part) = &self.unevaluated_properties {
                        unevaluated.add(part.at(value, left).check);
                    }
                }
            }
            Value::Array(items) => {
                if self.unique {
                    own.add(values(value).saturating_mul(2));
                }
                for (index, value) in items.iter().enumerate() {
                    own.add(1);
                    evaluated.add(2);
                    if let Some(part) = self.prefix.get(index).or(self.items.as_deref()) {
                        let cost = part.at(value, left);
                        checked.add(cost.check);
                        listed.add(cost.list);
                    }
                    if let Some(part) = &self.contains {
                        let cost = part.at(value, left);
                        checked.add(cost.check);
                        listed.add(cost.check);
                        evaluated.add(cost.check);
                    }
                    if let Some(part) = &self.unevaluated_items {
                        unevaluated.add(part.at(value, left).check);
                    }
                }
            }
            _ => {}
        }
        let (mut check, mut mark, mut list) = (own, evaluated, own);
        check.add(checked.0);
        list.add(listed.0);
        mark.add(unevaluated.0);
        for part in &self.all {
            let cost = part.at(value, left);
            check.add(cost.check);
            list.add(cost.list);
            mark.add(cost.check).add(cost.mark);
        }
        for part in &self.tried {
            let cost = part.at(value, left);
            check.add(cost.check);
            list.add(cost.check.saturating_mul(2)).add(cost.list);
            mark.add(cost.check).add(cost.mark);
        }
        for _ in self.unevaluated_properties.iter().chain(&self.unevaluated_items) {
            check.add(mark.0).add(unevaluated.0);
            list.add(mark.0).add(unevaluated.0);
        }
        Cost { check: check.0, mark: mark.0, list: list.0 }
    }
}

/// How many values there are in `value`, itself and the names of members included; a long text is several.
pub(super) fn values(value: &Value) -> u64 {
    match value {
        Value::String(text) => 1 + length(text) / 64,
        Value::Array(items) => items.iter().map(values).fold(1, u64::saturating_add),
        Value::Object(members) => {
            members.iter().map(|(name, value)| 1 + length(name) / 64 + values(value)).fold(1, u64::saturating_add)
        }
        _ => 1,
    }
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

/// How much may still be counted.
struct Left(u64);

/// A sum that stays at the largest number.
#[derive(Debug, Clone, Copy)]
struct Total(u64);

impl Total {
    fn add(&mut self, steps: u64) -> &mut Self {
        self.0 = self.0.saturating_add(steps);
        self
    }
}
