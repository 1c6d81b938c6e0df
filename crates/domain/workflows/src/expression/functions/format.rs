//! `format`: fills placeholders in a text, by CEL's strings extension.

use std::fmt::Write;

use super::{CallError, Called, check_length, failed};
use crate::expression::budget::Budget;
use crate::expression::value::{Key, Value, duration_text, timestamp_text};

/// The maximum precision of a clause, in decimals.
const MAX_PRECISION: usize = 100;
/// The default precision, in decimals.
const PRECISION: usize = 6;

/// A text that is being created. Every addition is charged.
struct Output<'b> {
    text: String,
    budget: &'b mut Budget,
}

impl Output<'_> {
    fn add(&mut self, part: &str) -> Called<'static, ()> {
        check_length(self.text.len() + part.len())?;
        self.budget.allocate(part.len())?;
        self.budget.scan(part.len())?;
        self.text.push_str(part);
        Ok(())
    }
}

pub(super) fn format<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [Value::Text(pattern), Value::List(list)] = arguments else { return Err(CallError::Types) };
    let mut output = Output { text: String::new(), budget };
    let mut rest = pattern.as_str();
    let mut next = 0;
    while let Some(at) = rest.find('%') {
        output.add(&rest[..at])?;
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            output.add("%")?;
            rest = after;
            continue;
        }
        let precision = match rest.strip_prefix('.') {
            None => None,
            Some(after) => {
                let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
                rest = &after[digits..];
                match after[..digits].parse() {
                    Ok(precision) if precision <= MAX_PRECISION => Some(precision),
                    _ => return failed(format!("a clause asks for 0 to {MAX_PRECISION} decimals")),
                }
            }
        };
        let clause = rest.chars().next();
        rest = clause.map_or("", |c| &rest[c.len_utf8()..]);
        let Some(value) = list.get(next) else {
            return failed(format!("the list has {} items and the text has more clauses", list.len()));
        };
        next += 1;
        clause_of(clause, precision, &value, &mut output)?;
    }
    output.add(rest)?;
    output.budget.allocate(output.text.len())?;
    Ok(Value::made(output.text))
}

fn clause_of(
    clause: Option<char>,
    precision: Option<usize>,
    value: &Value<'_>,
    output: &mut Output<'_>,
) -> Called<'static, ()> {
    let text = match (clause, value) {
        (Some('f' | 'e' | 'd'), Value::Double(double)) if !double.is_finite() => {
            return output.add(not_finite(*double));
        }
        (Some('s'), value) => return write(value, output),
        (Some('d'), Value::Int(value)) => value.to_string(),
        (Some('d'), Value::Uint(value)) => value.to_string(),
        // JSON does not distinguish 2 from 2.0.
        (Some('d'), Value::Double(value)) if value.fract() == 0.0 => format!("{value:.0}"),
        (Some('f'), value) => format!("{:.*}", precision.unwrap_or(PRECISION), double_of(clause, value)?),
        (Some('e'), value) => scientific(double_of(clause, value)?, precision.unwrap_or(PRECISION)),
        (Some('b'), Value::Bool(value)) => u8::from(*value).to_string(),
        (Some('b' | 'o' | 'x' | 'X'), Value::Int(value)) => {
            let sign = if *value < 0 { "-" } else { "" };
            format!("{sign}{}", in_base(clause, value.unsigned_abs()))
        }
        (Some('b' | 'o' | 'x' | 'X'), Value::Uint(value)) => in_base(clause, *value),
        (Some('x' | 'X'), Value::Text(text)) => return hex(clause, text.as_str().as_bytes(), output),
        (Some('x' | 'X'), Value::Bytes(bytes)) => return hex(clause, bytes.as_slice(), output),
        (Some(c @ ('d' | 'b' | 'o' | 'x' | 'X')), value) => return mismatch(c, value),
        (Some(c), _) => {
            return failed(format!("`%{}` is no clause; there are %s %d %f %e %b %o %x %X %%", c.escape_debug()));
        }
        (None, _) => return failed("the text ends within a clause; a percent sign is written %%"),
    };
    output.add(&text)
}

fn mismatch<T>(clause: char, value: &Value<'_>) -> Called<'static, T> {
    failed(format!("`%{clause}` does not take {}", value.type_name()))
}

fn double_of(clause: Option<char>, value: &Value<'_>) -> Called<'static, f64> {
    value.as_double().map_or_else(|| mismatch(clause.unwrap_or_default(), value), Ok)
}

fn not_finite(double: f64) -> &'static str {
    match double {
        _ if double.is_nan() => "NaN",
        _ if double > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

fn in_base(clause: Option<char>, value: u64) -> String {
    match clause {
        Some('b') => format!("{value:b}"),
        Some('o') => format!("{value:o}"),
        Some('x') => format!("{value:x}"),
        _ => format!("{value:X}"),
    }
}

/// C's format: the exponent with its sign and at least two digits.
fn scientific(double: f64, precision: usize) -> String {
    let text = format!("{double:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

fn hex(clause: Option<char>, bytes: &[u8], output: &mut Output<'_>) -> Called<'static, ()> {
    check_length(output.text.len() + 2 * bytes.len())?;
    output.budget.allocate(2 * bytes.len())?;
    output.budget.scan(2 * bytes.len())?;
    for byte in bytes {
        let written = match clause {
            Some('x') => write!(output.text, "{byte:02x}"),
            _ => write!(output.text, "{byte:02X}"),
        };
        // Writing to a text does not fail.
        let _: Result<(), _> = written;
    }
    Ok(())
}

/// `%s`: any value. Lists and maps include their content, and maps are ordered by the text of their keys.
fn write(value: &Value<'_>, output: &mut Output<'_>) -> Called<'static, ()> {
    output.budget.spend(1)?;
    match value {
        Value::Null => output.add("null"),
        Value::Bool(value) => output.add(if *value { "true" } else { "false" }),
        Value::Int(value) => output.add(&value.to_string()),
        Value::Uint(value) => output.add(&value.to_string()),
        Value::Double(value) if !value.is_finite() => output.add(not_finite(*value)),
        Value::Double(value) => output.add(&value.to_string()),
        Value::Text(text) => output.add(text.as_str()),
        Value::Bytes(bytes) => {
            output.budget.scan(bytes.as_slice().len())?;
            match std::str::from_utf8(bytes.as_slice()) {
                Ok(text) => output.add(text),
                Err(_) => failed("these bytes are not UTF-8"),
            }
        }
        Value::Timestamp(time) => output.add(&timestamp_text(time)),
        Value::Duration(duration) => output.add(&duration_text(duration)),
        Value::Type(name) => output.add(name),
        Value::List(list) => {
            output.add("[")?;
            for (index, item) in list.iter().enumerate() {
                output.add(if index > 0 { ", " } else { "" })?;
                write(&item, output)?;
            }
            output.add("]")
        }
        Value::Map(map) => {
            output.budget.allocate_items::<(String, Value<'_>)>(map.len())?;
            let mut entries = Vec::with_capacity(map.len());
            for (key, value) in map.entries() {
                let key = key_text(&key, output.budget)?;
                output.budget.search(key.len(), map.len())?;
                entries.push((key, value));
            }
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            output.add("{")?;
            for (index, (key, value)) in entries.iter().enumerate() {
                output.add(if index > 0 { ", " } else { "" })?;
                output.add(key)?;
                output.add(": ")?;
                write(value, output)?;
            }
            output.add("}")
        }
        Value::Optional(_) => mismatch('s', value),
    }
}

fn key_text(key: &Key<'_>, budget: &mut Budget) -> Called<'static, String> {
    Ok(match key {
        Key::Bool(value) => value.to_string(),
        Key::Int(value) => value.to_string(),
        Key::Uint(value) => value.to_string(),
        Key::Text(text) => {
            budget.allocate(text.as_str().len())?;
            text.as_str().to_owned()
        }
    })
}
