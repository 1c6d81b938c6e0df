//! Equality and order of values.

use std::cmp::Ordering;

use super::Value;
use crate::expression::budget::{Budget, Exhausted};

impl Value<'_> {
    /// CEL's equality: numbers by value across types, everything else by type first.
    pub(in crate::expression) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Exhausted> {
        budget.spend(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) | (Self::Optional(None), Self::Optional(None)) => true,
            (Self::Optional(Some(a)), Self::Optional(Some(b))) => return a.equals(b, budget),
            (Self::Type(a), Self::Type(b)) => a == b,
            // Texts and bytes of different lengths are unequal without being read.
            (Self::Text(a), Self::Text(b)) if a.as_str().len() != b.as_str().len() => false,
            (Self::Bytes(a), Self::Bytes(b)) if a.as_slice().len() != b.as_slice().len() => false,
            (Self::List(a), Self::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(&b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, left) in a.entries() {
                    let Some(right) = b.get(&key, budget)? else { return Ok(false) };
                    if !left.equals(&right, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (a, b) => a.compare(b, budget)? == Some(Ordering::Equal),
        })
    }

    /// The order of two values of one kind; `None` if they have no order.
    pub(in crate::expression) fn compare(
        &self,
        other: &Self,
        budget: &mut Budget,
    ) -> Result<Option<Ordering>, Exhausted> {
        Ok(match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => {
                budget.copy(a.as_str().len().min(b.as_str().len()))?;
                Some(a.as_str().cmp(b.as_str()))
            }
            (Self::Bytes(a), Self::Bytes(b)) => {
                budget.copy(a.as_slice().len().min(b.as_slice().len()))?;
                Some(a.as_slice().cmp(b.as_slice()))
            }
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Self::Duration(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Uint(a), Self::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(b)),
            // A whole number is rounded to a double for comparison with a double, as in the specification's tests.
            (a, b) => match (a.as_double(), b.as_double()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => None,
            },
        })
    }
}
