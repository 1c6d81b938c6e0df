//! Computes an upper bound for the cost of validating a value against a schema, before the validation.
//!
//! The count follows the validator's algorithm, so that no schema and no value can make it work longer than was
//! counted. The count assumes that every branch is taken. `unevaluatedProperties` and `unevaluatedItems` validate what
//! is below them again to find what was evaluated; nested inside each other, this multiplies the cost.

use std::collections::BTreeMap;

use serde_json::Value;

use super::MAX_STEPS;

/// The maximum number of steps for validating a value without members.
pub(super) const MAX_AT_ONE_VALUE: u64 = 100_000;

/// The costs of a schema, with its references resolved.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    /// Steps for each value.
    pub(super) own: u64,
    /// Steps for each byte of a text.
    pub(super) each_byte: u64,
    /// Whether the items of a list are compared with one another.
    pub(super) unique: bool,
    /// Whether the problems of each branch are kept if no branch matches.
    pub(super) keeps_alternatives: bool,
    /// Schemas that the same value has to match.
    pub(super) all: Vec<Part>,
    /// Schemas that are tried on the same value, and then asked for their problems.
    pub(super) tried: Vec<Part>,
    pub(super) properties: BTreeMap<String, Part>,
    /// Schemas of members with a matching name, with the steps for each byte of a name.
    pub(super) patterns: Vec<(u64, Part)>,
    pub(super) additional: Option<Box<Part>>,
    pub(super) names: Option<Box<Part>>,
    pub(super) prefix: Vec<Part>,
    pub(super) items: Option<Box<Part>>,
    pub(super) contains: Option<Box<Part>>,
    pub(super) unevaluated_properties: Option<Box<Part>>,
    pub(super) unevaluated_items: Option<Box<Part>>,
}

/// Numbers of steps. They saturate at the maximum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// To decide whether the value is valid.
    pub(super) check: u64,
    /// To find which of its members or items were evaluated.
    pub(super) mark: u64,
    /// To find every problem.
    pub(super) list: u64,
}

impl Part {
    /// The maximum cost of validating `value`.
    pub(super) fn cost(&self, value: &Value) -> Cost {
        self.cost_within(MAX_STEPS, value)
    }

    /// Like [`Part::cost`], but the result is arbitrary once it exceeds `limit`.
    pub(super) fn cost_within(&self, limit: u64, value: &Value) -> Cost {
        self.at(value, &mut Left(limit))
    }

    /// Whether the problems of branches are kept anywhere.
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

    /// The count is a lower bound of the steps so far, so it stops once it exceeds the limit.
    fn at(&self, value: &Value, left: &mut Left) -> Cost {
        let Some(rest) = left.0.checked_sub(1) else {
            return Cost { check: u64::MAX, mark: u64::MAX, list: u64::MAX };
        };
        left.0 = rest;
        let mut own = Total(1 + self.own);
        if let Value::String(text) = value {
            // Lengths are counted in characters, so every text is read once, even without a keyword that reads it.
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

/// The number of values in `value`, including itself and the names of members. A long text counts as several.
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

/// A sum that saturates at the maximum.
#[derive(Debug, Clone, Copy)]
struct Total(u64);

impl Total {
    fn add(&mut self, steps: u64) -> &mut Self {
        self.0 = self.0.saturating_add(steps);
        self
    }
}
