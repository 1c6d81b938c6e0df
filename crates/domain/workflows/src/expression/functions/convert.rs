//! Conversions between types, and base64.

use std::rc::Rc;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{CallError, Called, failed, reserve};
use crate::expression::budget::Budget;
use crate::expression::value::{Bytes, Value, duration_text, timestamp_text};

const OUT_OF_RANGE: &str = "the number is outside the range of the type";

/// Encodes with padding, and decodes with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn type_of<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    let [value] = arguments else { return Err(CallError::Types) };
    Ok(Value::Type(value.type_name()))
}

pub(super) fn dynamic<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    arguments.first().cloned().ok_or(CallError::Types)
}

pub(super) fn to_text<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    Ok(match arguments {
        [Value::Text(text)] => Value::Text(text.clone()),
        [Value::Bool(value)] => Value::made(value.to_string()),
        [Value::Int(value)] => Value::made(value.to_string()),
        [Value::Uint(value)] => Value::made(value.to_string()),
        // The largest double has 309 digits.
        [Value::Double(value)] => {
            budget.allocate(320)?;
            Value::made(value.to_string())
        }
        [Value::Timestamp(time)] => Value::made(timestamp_text(time)),
        [Value::Duration(duration)] => Value::made(duration_text(duration)),
        [Value::Bytes(bytes)] => {
            reserve(bytes.as_slice().len(), budget)?;
            match std::str::from_utf8(bytes.as_slice()) {
                Ok(text) => Value::made(text),
                Err(_) => return failed("these bytes are not UTF-8"),
            }
        }
        _ => return Err(CallError::Types),
    })
}

pub(super) fn to_int<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let int = match arguments {
        [Value::Int(value)] => Some(*value),
        [Value::Uint(value)] => i64::try_from(*value).ok(),
        // The bounds are exclusive, because doubles beyond the range of ints round to them.
        [Value::Double(value)] if *value > -9_223_372_036_854_775_808.0 && *value < 9_223_372_036_854_775_808.0 =>
        {
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked; CEL rounds towards zero")]
            Some(*value as i64)
        }
        [Value::Double(_)] => None,
        [Value::Text(text)] => {
            budget.scan(text.as_str().len())?;
            match text.as_str().parse() {
                Ok(int) => Some(int),
                Err(_) => return failed("this text is not a whole number"),
            }
        }
        [Value::Timestamp(time)] => Some(time.timestamp()),
        _ => return Err(CallError::Types),
    };
    int.map_or_else(|| failed(OUT_OF_RANGE), |int| Ok(Value::Int(int)))
}

pub(super) fn to_uint<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let uint = match arguments {
        [Value::Int(value)] => u64::try_from(*value).ok(),
        [Value::Uint(value)] => Some(*value),
        [Value::Double(value)] if (0.0..18_446_744_073_709_551_616.0).contains(value) =>
        {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
            Some(*value as u64)
        }
        [Value::Double(_)] => None,
        [Value::Text(text)] => {
            budget.scan(text.as_str().len())?;
            match text.as_str().parse() {
                Ok(uint) => Some(uint),
                Err(_) => return failed("this text is not a whole number of 0 or more"),
            }
        }
        _ => return Err(CallError::Types),
    };
    uint.map_or_else(|| failed(OUT_OF_RANGE), |uint| Ok(Value::Uint(uint)))
}

pub(super) fn to_double<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    Ok(Value::Double(match arguments {
        [Value::Text(text)] => {
            budget.scan(text.as_str().len())?;
            match text.as_str().parse() {
                Ok(double) => double,
                Err(_) => return failed("this text is not a number"),
            }
        }
        [other] => other.as_double().ok_or(CallError::Types)?,
        _ => return Err(CallError::Types),
    }))
}

pub(super) fn to_bool<'a>(arguments: &[Value<'a>], _: &mut Budget) -> Called<'a> {
    Ok(Value::Bool(match arguments {
        [Value::Bool(value)] => *value,
        [Value::Text(text)] => match text.as_str() {
            "true" | "True" | "TRUE" | "t" | "1" => true,
            "false" | "False" | "FALSE" | "f" | "0" => false,
            _ => return failed("this text is not true or false"),
        },
        _ => return Err(CallError::Types),
    }))
}

pub(super) fn to_bytes<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    match arguments {
        [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
        [Value::Text(text)] => {
            reserve(text.as_str().len(), budget)?;
            Ok(Value::Bytes(Bytes::Made(Rc::from(text.as_str().as_bytes()))))
        }
        _ => Err(CallError::Types),
    }
}

pub(super) fn base64_encode<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [Value::Bytes(bytes)] = arguments else { return Err(CallError::Types) };
    reserve(bytes.as_slice().len().div_ceil(3) * 4, budget)?;
    Ok(Value::made(BASE64.encode(bytes.as_slice())))
}

pub(super) fn base64_decode<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [Value::Text(text)] = arguments else { return Err(CallError::Types) };
    reserve(text.as_str().len(), budget)?;
    match BASE64.decode(text.as_str()) {
        Ok(bytes) => Ok(Value::Bytes(Bytes::Made(bytes.into()))),
        Err(_) => failed("this text is not base64"),
    }
}
