//! Durations as documents write them: `500ms`, `1s`, `5m`, `2h`, `3d`.

use std::time::Duration;

/// Parses one whole number and one unit. Returns `None` for any other text.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis)
}

/// A duration as a document writes it, to the millisecond.
pub(crate) fn shown_duration(duration: Duration) -> String {
    if duration.subsec_millis() > 0 {
        return format!("{}ms", duration.as_millis());
    }
    let seconds = duration.as_secs();
    match seconds {
        s if s > 0 && s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s > 0 && s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s > 0 && s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_read() {
        for text in ["1500ms", "0s", "59s", "5m", "90m", "23h", "366d"] {
            assert_eq!(parse_duration(text).map(shown_duration).as_deref(), Some(text));
        }
    }

    #[test]
    fn durations_are_a_whole_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("3d"), Some(Duration::from_secs(3 * 86_400)));
        for bad in ["", "5", "s", "-1s", "1.5s", "1 s", "1w", "99999999999999999999s", "999999999999999999d", "١s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
