//! The functions of expressions: one table, and a file for each group.
//!
//! Signatures: <https://github.com/google/cel-spec/blob/master/doc/langdef.md>, list of standard definitions. Functions
//! on texts, `math`, `base64` and `optional` follow the extensions of cel-go. `docs/workflows.md` has an example of
//! each.

mod convert;
mod format;
mod math;
mod optional;
mod pattern;
mod text;
mod time;

use super::budget::{Budget, Exhausted, MAX_TEXT};
use super::value::{List, Text, Value};

pub(super) use pattern::Pattern;
pub(super) use time::{difference, duration, timestamp};

/// Why a call has no value.
#[derive(Debug)]
pub(super) enum CallError {
    /// The function failed with this message.
    Failed(String),
    /// The types of the arguments do not match.
    Types,
    Exhausted,
}

impl From<Exhausted> for CallError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

pub(super) type Called<'a, T = Value<'a>> = Result<T, CallError>;

fn failed<T>(detail: impl Into<String>) -> Result<T, CallError> {
    Err(CallError::Failed(detail.into()))
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `function(value)`
    Global,
    /// `value.function()`
    Method,
    Either,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) style: Style,
    /// The minimum and maximum number of arguments, including the receiver.
    arguments: (usize, usize),
    pub(super) run: for<'a> fn(&[Value<'a>], &mut Budget) -> Called<'a>,
}

impl Function {
    /// Whether it accepts `count` arguments, including the receiver.
    pub(super) fn takes(&self, count: usize) -> bool {
        (self.arguments.0..=self.arguments.1).contains(&count)
    }
}

macro_rules! table {
    ($($name:literal $style:ident $least:literal..=$most:expr, $run:expr;)*) => {
        &[$(Function { name: $name, style: Style::$style, arguments: ($least, $most), run: |a, b| $run(a, b) },)*]
    };
}

/// For a function with any number of arguments.
const MANY: usize = usize::MAX;

#[rustfmt::skip]
const TABLE: &[Function] = table! {
    "size" Either 1..=1, size;
    "type" Global 1..=1, convert::type_of;
    "dyn" Global 1..=1, convert::dynamic;
    "string" Global 1..=1, convert::to_text;
    "int" Global 1..=1, convert::to_int;
    "uint" Global 1..=1, convert::to_uint;
    "double" Global 1..=1, convert::to_double;
    "bool" Global 1..=1, convert::to_bool;
    "bytes" Global 1..=1, convert::to_bytes;
    "base64.encode" Global 1..=1, convert::base64_encode;
    "base64.decode" Global 1..=1, convert::base64_decode;
    "contains" Method 2..=2, text::contains;
    "startsWith" Method 2..=2, text::starts_with;
    "endsWith" Method 2..=2, text::ends_with;
    "matches" Either 2..=2, pattern::matches;
    "lowerAscii" Method 1..=1, text::lower_ascii;
    "upperAscii" Method 1..=1, text::upper_ascii;
    "trim" Method 1..=1, text::trim;
    "reverse" Method 1..=1, text::reverse;
    "charAt" Method 2..=2, text::char_at;
    "indexOf" Method 2..=3, text::index_of;
    "lastIndexOf" Method 2..=3, text::last_index_of;
    "substring" Method 2..=3, text::substring;
    "split" Method 2..=3, text::split;
    "join" Method 1..=2, text::join;
    "replace" Method 3..=4, text::replace;
    "format" Method 2..=2, format::format;
    "strings.quote" Global 1..=1, text::quote;
    "math.greatest" Global 1..=MANY, math::greatest;
    "math.least" Global 1..=MANY, math::least;
    "math.ceil" Global 1..=1, math::ceil;
    "math.floor" Global 1..=1, math::floor;
    "math.round" Global 1..=1, math::round;
    "math.trunc" Global 1..=1, math::trunc;
    "math.abs" Global 1..=1, math::abs;
    "math.sign" Global 1..=1, math::sign;
    "math.sqrt" Global 1..=1, math::sqrt;
    "math.isNaN" Global 1..=1, math::is_nan;
    "math.isInf" Global 1..=1, math::is_infinite;
    "math.isFinite" Global 1..=1, math::is_finite;
    "math.bitAnd" Global 2..=2, math::bit_and;
    "math.bitOr" Global 2..=2, math::bit_or;
    "math.bitXor" Global 2..=2, math::bit_xor;
    "math.bitNot" Global 1..=1, math::bit_not;
    "math.bitShiftLeft" Global 2..=2, math::shift_left;
    "math.bitShiftRight" Global 2..=2, math::shift_right;
    "duration" Global 1..=1, time::to_duration;
    "timestamp" Global 1..=1, time::to_timestamp;
    "getFullYear" Method 1..=2, time::full_year;
    "getMonth" Method 1..=2, time::month;
    "getDayOfMonth" Method 1..=2, time::day_of_month;
    "getDate" Method 1..=2, time::date;
    "getDayOfWeek" Method 1..=2, time::day_of_week;
    "getDayOfYear" Method 1..=2, time::day_of_year;
    "getHours" Method 1..=2, time::hours;
    "getMinutes" Method 1..=2, time::minutes;
    "getSeconds" Method 1..=2, time::seconds;
    "getMilliseconds" Method 1..=2, time::milliseconds;
    "optional.of" Global 1..=1, optional::of;
    "optional.ofNonZeroValue" Global 1..=1, optional::of_non_zero;
    "optional.none" Global 0..=0, optional::none;
    "hasValue" Method 1..=1, optional::has_value;
    "value" Method 1..=1, optional::value;
};

/// The namespaces of functions that are not methods.
const NAMESPACES: [&str; 4] = ["base64", "math", "optional", "strings"];

pub(super) fn find(name: &str) -> Option<&'static Function> {
    TABLE.iter().find(|function| function.name == name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|function| function.name)
}

pub(super) fn is_namespace(name: &str) -> bool {
    NAMESPACES.contains(&name)
}

/// The types that an expression can name, for `type(x) == string`.
pub(super) const TYPES: [&str; 13] = [
    "null_type",
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "type",
    "optional_type",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
];

pub(super) fn check_length(bytes: usize) -> Called<'static, ()> {
    if bytes > MAX_TEXT { failed(format!("a text has at most {MAX_TEXT} bytes")) } else { Ok(()) }
}

/// Charges for a text before it is created.
fn reserve(bytes: usize, budget: &mut Budget) -> Called<'static, ()> {
    check_length(bytes)?;
    budget.allocate(bytes)?;
    Ok(budget.scan(bytes)?)
}

/// A part of a text: borrowed if the text is borrowed, else copied.
fn part<'a>(text: &Text<'a>, start: usize, end: usize, budget: &mut Budget) -> Called<'a> {
    match text {
        Text::Borrowed(text) => Ok(Value::Text(Text::Borrowed(text.get(start..end).unwrap_or_default()))),
        Text::Made(text) => {
            budget.allocate(end - start)?;
            Ok(Value::made(text.get(start..end).unwrap_or_default()))
        }
    }
}

fn count<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn size<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    Ok(count(match arguments {
        [Value::Text(text)] => {
            budget.scan(text.as_str().len())?;
            text.as_str().chars().count()
        }
        [Value::Bytes(bytes)] => bytes.as_slice().len(),
        [Value::List(list)] => list.len(),
        [Value::Map(map)] => map.len(),
        _ => return Err(CallError::Types),
    }))
}

/// The items of a list, charged for.
fn items<'a>(list: &List<'a>, budget: &mut Budget) -> Called<'a, Vec<Value<'a>>> {
    budget.spend(list.len() as u64)?;
    budget.allocate_items::<Value<'a>>(list.len())?;
    Ok(list.iter().collect())
}
