//! The `math` extension.

use std::cmp::Ordering;

use super::{CallError, Called, failed, items};
use crate::expression::budget::Budget;
use crate::expression::value::Value;

const OVERFLOW: &str = "the result is outside the range of its type";

fn is_number(value: &Value<'_>) -> bool {
    value.as_double().is_some()
}

/// The first extreme value: no other value precedes it in the order `wanted`.
fn extreme<'a>(arguments: &[Value<'a>], budget: &mut Budget, wanted: Ordering) -> Called<'a> {
    let values = match arguments {
        [Value::List(list)] => items(list, budget)?,
        several => several.to_vec(),
    };
    let mut values = values.into_iter();
    let Some(mut best) = values.next() else { return failed("an empty list has neither a greatest nor a least item") };
    if !is_number(&best) {
        return Err(CallError::Types);
    }
    for value in values {
        if !is_number(&value) {
            return Err(CallError::Types);
        }
        if value.compare(&best, budget)? == Some(wanted) {
            best = value;
        }
    }
    Ok(best)
}

pub(super) fn greatest<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    extreme(arguments, budget, Ordering::Greater)
}

pub(super) fn least<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    extreme(arguments, budget, Ordering::Less)
}

fn round_with<'a>(arguments: &[Value<'a>], round: fn(f64) -> f64) -> Called<'a> {
    match arguments {
        [Value::Double(value)] => Ok(Value::Double(round(*value))),
        _ => Err(CallError::Types),
    }
}

pub(super) fn ceil<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    round_with(arguments, f64::ceil)
}

pub(super) fn floor<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    round_with(arguments, f64::floor)
}

/// Rounds halves away from zero.
pub(super) fn round<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    round_with(arguments, f64::round)
}

pub(super) fn trunc<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    round_with(arguments, f64::trunc)
}

pub(super) fn abs<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    Ok(match arguments {
        [Value::Int(value)] => match value.checked_abs() {
            Some(value) => Value::Int(value),
            None => return failed(OVERFLOW),
        },
        [Value::Uint(value)] => Value::Uint(*value),
        [Value::Double(value)] => Value::Double(value.abs()),
        _ => return Err(CallError::Types),
    })
}

pub(super) fn sign<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    Ok(match arguments {
        [Value::Int(value)] => Value::Int(value.signum()),
        [Value::Uint(value)] => Value::Uint((*value).min(1)),
        [Value::Double(value)] if *value == 0.0 || value.is_nan() => Value::Double(*value),
        [Value::Double(value)] => Value::Double(value.signum()),
        _ => return Err(CallError::Types),
    })
}

pub(super) fn sqrt<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    let [value] = arguments else { return Err(CallError::Types) };
    value.as_double().map(|value| Value::Double(value.sqrt())).ok_or(CallError::Types)
}

fn test<'a>(arguments: &[Value<'a>], holds: fn(f64) -> bool) -> Called<'a> {
    match arguments {
        [Value::Double(value)] => Ok(Value::Bool(holds(*value))),
        _ => Err(CallError::Types),
    }
}

pub(super) fn is_nan<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    test(arguments, f64::is_nan)
}

pub(super) fn is_infinite<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    test(arguments, f64::is_infinite)
}

pub(super) fn is_finite<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    test(arguments, f64::is_finite)
}

fn bits<'a>(arguments: &[Value<'a>], ints: fn(i64, i64) -> i64, uints: fn(u64, u64) -> u64) -> Called<'a> {
    match arguments {
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(ints(*a, *b))),
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(uints(*a, *b))),
        _ => Err(CallError::Types),
    }
}

pub(super) fn bit_and<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    bits(arguments, |a, b| a & b, |a, b| a & b)
}

pub(super) fn bit_or<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    bits(arguments, |a, b| a | b, |a, b| a | b)
}

pub(super) fn bit_xor<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    bits(arguments, |a, b| a ^ b, |a, b| a ^ b)
}

pub(super) fn bit_not<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    match arguments {
        [Value::Int(value)] => Ok(Value::Int(!value)),
        [Value::Uint(value)] => Ok(Value::Uint(!value)),
        _ => Err(CallError::Types),
    }
}

/// Shifts the bits of an int as if it were a uint. A shift by 64 or more gives 0.
fn shift<'a>(arguments: &[Value<'a>], shift: fn(u64, u32) -> Option<u64>) -> Called<'a> {
    let [value, Value::Int(by)] = arguments else { return Err(CallError::Types) };
    if *by < 0 {
        return failed("bits are shifted by 0 or more");
    }
    let moved = |bits: u64| u32::try_from(*by).ok().and_then(|by| shift(bits, by)).unwrap_or(0);
    match value {
        Value::Int(value) => Ok(Value::Int(moved(value.cast_unsigned()).cast_signed())),
        Value::Uint(value) => Ok(Value::Uint(moved(*value))),
        _ => Err(CallError::Types),
    }
}

pub(super) fn shift_left<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    shift(arguments, u64::checked_shl)
}

pub(super) fn shift_right<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    shift(arguments, u64::checked_shr)
}
