//! Functions on texts. Positions in a text count characters (code points), starting at 0.

use super::{CallError, Called, check_length, count, failed, part, reserve};
use crate::expression::budget::{Budget, Exhausted};
use crate::expression::value::{Text, Value};

/// Charges for scanning the whole `text`.
fn read<'t>(text: &'t Text<'_>, budget: &mut Budget) -> Result<&'t str, Exhausted> {
    budget.scan(text.as_str().len())?;
    Ok(text.as_str())
}

fn test<'a>(arguments: &[Value<'a>], budget: &mut Budget, holds: fn(&str, &str) -> bool) -> Called<'a> {
    match arguments {
        [Value::Text(text), Value::Text(part)] => Ok(Value::Bool(holds(read(text, budget)?, read(part, budget)?))),
        _ => Err(CallError::Types),
    }
}

pub(super) fn contains<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    test(arguments, budget, |text, part| text.contains(part))
}

pub(super) fn starts_with<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    test(arguments, budget, |text, part| text.starts_with(part))
}

pub(super) fn ends_with<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    test(arguments, budget, |text, part| text.ends_with(part))
}

fn change<'a>(arguments: &[Value<'a>], budget: &mut Budget, to: fn(&str) -> String) -> Called<'a> {
    let [Value::Text(text)] = arguments else { return Err(CallError::Types) };
    reserve(text.as_str().len(), budget)?;
    Ok(Value::made(to(text.as_str())))
}

pub(super) fn lower_ascii<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    change(arguments, budget, str::to_ascii_lowercase)
}

pub(super) fn upper_ascii<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    change(arguments, budget, str::to_ascii_uppercase)
}

pub(super) fn reverse<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    change(arguments, budget, |text| text.chars().rev().collect())
}

pub(super) fn trim<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [Value::Text(text)] = arguments else { return Err(CallError::Types) };
    let whole = read(text, budget)?;
    let start = whole.len() - whole.trim_start().len();
    let end = whole.trim_end().len().max(start);
    part(text, start, end, budget)
}

/// The byte offset of the character at position `place`. The end of the text is a valid position.
fn byte_at(text: &str, place: i64) -> Option<usize> {
    let place = usize::try_from(place).ok()?;
    if text.is_ascii() {
        return (place <= text.len()).then_some(place);
    }
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(place)
}

fn outside<T>(place: i64) -> Called<'static, T> {
    failed(format!("the text has no place {place}"))
}

pub(super) fn char_at<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [Value::Text(text), Value::Int(place)] = arguments else { return Err(CallError::Types) };
    let whole = read(text, budget)?;
    let Some(start) = byte_at(whole, *place) else { return outside(*place) };
    let length = whole[start..].chars().next().map_or(0, char::len_utf8);
    part(text, start, start + length, budget)
}

pub(super) fn substring<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let (text, start, end) = match arguments {
        [Value::Text(text), Value::Int(start)] => (text, *start, None),
        [Value::Text(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(CallError::Types),
    };
    let whole = read(text, budget)?;
    let end = end.map_or(Some(whole.len()), |end| byte_at(whole, end));
    match (byte_at(whole, start), end) {
        (Some(start), Some(end)) if start <= end => part(text, start, end, budget),
        _ => failed("the range is outside the text"),
    }
}

pub(super) fn index_of<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let (text, wanted, from) = match arguments {
        [Value::Text(text), Value::Text(wanted)] => (text, wanted, 0),
        [Value::Text(text), Value::Text(wanted), Value::Int(from)] => (text, wanted, *from),
        _ => return Err(CallError::Types),
    };
    let (text, wanted) = (read(text, budget)?, read(wanted, budget)?);
    let Some(start) = byte_at(text, from) else { return outside(from) };
    Ok(place_of(text, text[start..].find(wanted).map(|found| start + found)))
}

/// `lastIndexOf`. A third argument limits the position.
pub(super) fn last_index_of<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let (text, wanted, to) = match arguments {
        [Value::Text(text), Value::Text(wanted)] => (text, wanted, None),
        [Value::Text(text), Value::Text(wanted), Value::Int(to)] => (text, wanted, Some(*to)),
        _ => return Err(CallError::Types),
    };
    let (text, wanted) = (read(text, budget)?, read(wanted, budget)?);
    let end = match to {
        None => text.len(),
        Some(to) => match byte_at(text, to) {
            Some(start) => text.floor_char_boundary(start.saturating_add(wanted.len())),
            None => return outside(to),
        },
    };
    Ok(place_of(text, text[..end].rfind(wanted)))
}

/// The position of the character at a byte offset; -1 for `None`.
fn place_of<'a>(text: &str, byte: Option<usize>) -> Value<'a> {
    byte.map_or(Value::Int(-1), |byte| count(text[..byte].chars().count()))
}

/// The maximum number of parts or replacements. A negative limit means all.
fn limit(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

pub(super) fn split<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let (text, separator, most) = match arguments {
        [Value::Text(text), Value::Text(separator)] => (text, separator, usize::MAX),
        [Value::Text(text), Value::Text(separator), Value::Int(most)] => (text, separator, limit(*most)),
        _ => return Err(CallError::Types),
    };
    let (whole, separator) = (read(text, budget)?, read(separator, budget)?);
    let mut parts = Vec::new();
    let mut start = 0;
    while parts.len() < most {
        let rest = &whole[start..];
        let cut = match separator {
            _ if parts.len() + 1 == most => None,
            // An empty separator splits between characters.
            "" => rest.chars().next().map(char::len_utf8).filter(|length| *length < rest.len()),
            _ => rest.find(separator),
        };
        budget.allocate_items::<Value<'a>>(2)?;
        let end = cut.map_or(whole.len(), |length| start + length);
        if !(separator.is_empty() && whole.is_empty()) {
            parts.push(part(text, start, end, budget)?);
        }
        if cut.is_none() {
            break;
        }
        start = end + separator.len();
    }
    Ok(Value::list(parts))
}

pub(super) fn join<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::Text(separator)] => (list, separator.as_str()),
        _ => return Err(CallError::Types),
    };
    let mut text = String::new();
    for (index, item) in list.iter().enumerate() {
        let Value::Text(item) = item else { return Err(CallError::Types) };
        let between = if index > 0 { separator } else { "" };
        check_length(text.len() + between.len() + item.as_str().len())?;
        budget.spend(1)?;
        budget.scan(between.len() + item.as_str().len())?;
        text.push_str(between);
        text.push_str(item.as_str());
    }
    budget.allocate(text.len())?;
    Ok(Value::made(text))
}

pub(super) fn replace<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let (text, from, to, most) = match arguments {
        [Value::Text(text), Value::Text(from), Value::Text(to)] => (text, from, to, usize::MAX),
        [Value::Text(text), Value::Text(from), Value::Text(to), Value::Int(most)] => (text, from, to, limit(*most)),
        _ => return Err(CallError::Types),
    };
    let (text, from, to) = (read(text, budget)?, read(from, budget)?, to.as_str());
    let hits = text.matches(from).take(most).count();
    let length = (text.len() - hits * from.len()).saturating_add(hits.saturating_mul(to.len()));
    budget.spend(hits as u64)?;
    reserve(length, budget)?;
    Ok(Value::made(text.replacen(from, to, hits)))
}

pub(super) fn quote<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [Value::Text(text)] = arguments else { return Err(CallError::Types) };
    let text = read(text, budget)?;
    reserve(2 * text.len() + 2, budget)?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        let escape = match c {
            '\x07' => 'a',
            '\x08' => 'b',
            '\x0C' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\x0B' => 'v',
            '\\' | '"' => c,
            _ => {
                quoted.push(c);
                continue;
            }
        };
        quoted.extend(['\\', escape]);
    }
    quoted.push('"');
    Ok(Value::made(quoted))
}
