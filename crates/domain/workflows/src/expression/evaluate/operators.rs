//! Operators: arithmetic, comparison, membership.

use chrono::TimeDelta;

use super::{Evaluator, Failure, Outcome, article, call_failure, exhausted, fail};
use crate::expression::budget::Exhausted;
use crate::expression::functions::{check_length, difference, duration, timestamp};
use crate::expression::syntax::Operator;
use crate::expression::value::{Bytes, Key, List, Value};

impl<'a> Evaluator<'a, '_> {
    pub(super) fn binary(&mut self, at: usize, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
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
                    let (a, b) = (a.as_str(), b.as_str());
                    self.reserve(at, a.len() + b.len())?;
                    Some(Value::made([a, b].concat()))
                }
                (Value::Bytes(a), Value::Bytes(b)) => {
                    let (a, b) = (a.as_slice(), b.as_slice());
                    self.reserve(at, a.len() + b.len())?;
                    Some(Value::Bytes(Bytes::Made([a, b].concat().into())))
                }
                (Value::List(a), Value::List(b)) => {
                    self.budget.spend((a.len() + b.len()) as u64).map_err(spent)?;
                    self.budget.allocate_items::<Value<'a>>(a.len() + b.len()).map_err(spent)?;
                    Some(Value::List(List::Made(a.iter().chain(b.iter()).collect())))
                }
                _ => return arithmetic(at, operator, left, right),
            },
            _ => return arithmetic(at, operator, left, right),
        };
        value.map_or_else(|| mismatch(at, operator, left, right), Ok)
    }

    /// Charges for a text or bytes value that will be created.
    fn reserve(&mut self, at: usize, bytes: usize) -> Outcome<'a, ()> {
        check_length(bytes).map_err(|error| call_failure(at, error, &[]))?;
        self.budget.allocate(bytes).and_then(|()| self.budget.scan(bytes)).map_err(|_| exhausted(at))
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
            Value::Map(map) => match Key::to_find(item) {
                Some(key) => map.get(&key, self.budget)?.is_some(),
                None => false,
            },
            _ => return Ok(None),
        })))
    }
}

fn mismatch<T>(at: usize, operator: Operator, left: &Value<'_>, right: &Value<'_>) -> Result<T, Failure> {
    fail(at, format!("`{}` does not take {} and {}", operator.symbol(), article(left), article(right)))
}

pub(super) fn negate<'a>(at: usize, value: &Value<'a>) -> Outcome<'a> {
    match value {
        Value::Int(value) => value.checked_neg().map_or_else(|| overflow(at), |value| Ok(Value::Int(value))),
        Value::Double(value) => Ok(Value::Double(-value)),
        other => fail(at, format!("`-` takes a number, this is {}", article(other))),
    }
}

/// Whole numbers. The result keeps the common type. For two types it becomes an int if that can hold it.
fn whole<'a>(at: usize, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    let wide = |value: &Value<'_>| match value {
        Value::Int(value) => i128::from(*value),
        Value::Uint(value) => i128::from(*value),
        _ => 0,
    };
    let (a, b) = (wide(left), wide(right));
    // Two 64-bit numbers cannot overflow 128 bits, so `None` means a division by zero.
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
        (V::Timestamp(a), V::Timestamp(b)) if operator == O::Subtract => difference(*a, *b),
        (V::Timestamp(a), V::Duration(b)) if operator == O::Subtract => a.checked_sub_signed(*b).and_then(timestamp),
        (V::Timestamp(a), V::Duration(b)) | (V::Duration(b), V::Timestamp(a)) if operator == O::Add => {
            a.checked_add_signed(*b).and_then(timestamp)
        }
        (V::Duration(a), V::Duration(b)) if operator == O::Add => a.checked_add(b).and_then(duration),
        (V::Duration(a), V::Duration(b)) if operator == O::Subtract => TimeDelta::checked_sub(a, b).and_then(duration),
        // JSON does not distinguish 2 from 2.0, so arithmetic mixes number types here, unlike CEL's own arithmetic.
        (a, b) => match (a.as_double(), b.as_double()) {
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
