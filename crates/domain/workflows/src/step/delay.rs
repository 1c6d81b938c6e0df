//! `delay`: `{for}` → null, after that time.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::StepType;
use crate::definition::{parse_duration, shown_duration};
use crate::input::InputProblem;
use crate::run::StepError;

/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(366 * 86_400);

pub(super) fn step_type() -> StepType {
    StepType {
        with: json!({
            "type": "object",
            "required": ["for"],
            "additionalProperties": false,
            "properties": {
                "for": {
                    "type": "string",
                    "pattern": "^[0-9]+(ms|s|m|h|d)$",
                    "title": "a duration such as 500ms, 1s, 5m, 2h or 3d",
                    "description": "A whole number and a unit; at most 366d.",
                },
            },
            "examples": [{"for": "5m"}],
        }),
        check: Some(check),
        ..StepType::waits("delay", "Waits for some time.", until)
    }
}

/// Rejects a literal delay that is too long.
fn check(with: &Value) -> Vec<InputProblem> {
    let written = with.get("for").and_then(Value::as_str).filter(|text| !text.contains("${{"));
    let too_long = written.filter(|text| delay(text).is_none());
    too_long.map(|_| InputProblem::new("/for", format!("at most {}", shown_duration(MAX_DELAY)))).into_iter().collect()
}

fn delay(text: &str) -> Option<Duration> {
    parse_duration(text).filter(|delay| *delay <= MAX_DELAY)
}

fn until(input: &Value, now: DateTime<Utc>) -> Result<DateTime<Utc>, StepError> {
    let delay = input.get("for").and_then(Value::as_str).and_then(delay);
    delay.map(|delay| now + delay).ok_or_else(|| {
        StepError::permanent("delay", "`for` has to be a duration of at most 366 days, such as 500ms, 1s, 5m, 2h or 3d")
    })
}
