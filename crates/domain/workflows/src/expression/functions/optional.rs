//! Optional values. `or`, `orValue`, `optMap` and `optFlatMap` are macros instead, because they evaluate an argument
//! only if they need it.

use super::{CallError, Called, failed};
use crate::expression::budget::Budget;
use crate::expression::value::Value;

pub(super) fn of<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [value] = arguments else { return Err(CallError::Types) };
    budget.allocate_items::<Value<'a>>(1)?;
    Ok(Value::some(value.clone()))
}

pub(super) fn none<'a>(_: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    Ok(Value::Optional(None))
}

/// `optional.ofNonZeroValue`: absent for a value that is empty, false, null or zero.
pub(super) fn of_non_zero<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [value] = arguments else { return Err(CallError::Types) };
    let zero = match value {
        Value::Null | Value::Optional(None) => true,
        Value::Bool(value) => !value,
        Value::Int(_) | Value::Uint(_) | Value::Double(_) => value.as_double() == Some(0.0),
        Value::Text(text) => text.as_str().is_empty(),
        Value::Bytes(bytes) => bytes.as_slice().is_empty(),
        Value::Duration(duration) => duration.is_zero(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        Value::Timestamp(_) | Value::Type(_) | Value::Optional(Some(_)) => false,
    };
    if zero { Ok(Value::Optional(None)) } else { of(arguments, budget) }
}

pub(super) fn has_value<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    match arguments {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => Err(CallError::Types),
    }
}

pub(super) fn value<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    match arguments {
        [Value::Optional(Some(value))] => Ok(value.as_ref().clone()),
        [Value::Optional(None)] => failed("the optional has no value"),
        _ => Err(CallError::Types),
    }
}
