//! What patterns match, and which are rejected.

use super::*;

fn problem(text: &str) -> (usize, String, Option<String>) {
    let error = parse(text).expect_err(text);
    (error.offset, error.detail, error.suggestion)
}

/// Rejected patterns: the byte offset, a part of the message, and the suggestion.
#[test]
fn nonsense_is_refused_with_its_place_and_what_was_meant() {
    for (text, offset, detail, suggestion) in [
        ("", 0, "0 fields, not five", None),
        ("* * * *", 0, "4 fields, not five", None),
        ("0 9 * * MON 2026", 12, "6 fields, not five", Some("0 9 * * MON")),
        ("0 0 9 * * MON", 10, "6 fields, not five", Some("0 9 * * MON")),
        ("* * * * * *", 10, "6 fields, not five", None),
        ("60 * * * *", 0, "minute, expected 0 to 59, this is `60`", None),
        ("0 24 * * *", 2, "hour, expected 0 to 23", None),
        ("0 0 0 * *", 4, "day of the month, expected 1 to 31", None),
        ("0 0 * 13 *", 6, "month, expected 1 to 12 or JAN to DEC", None),
        ("0 0 * * 8", 8, "weekday, expected 0 to 7 or SUN to SAT", None),
        ("0 0 * * Monday", 8, "this is `Monday`", Some("0 0 * * MON")),
        ("0 0 * * MON-Friday", 12, "this is `Friday`", Some("0 0 * * MON-FRI")),
        ("MON * * * *", 0, "minute, expected 0 to 59, this is `MON`", None),
        ("x * * * *", 0, "this is `x`", None),
        ("+5 * * * *", 0, "this is `+5`", None),
        ("-5 * * * *", 0, "this is ``", None),
        ("000 * * * *", 0, "this is `000`", None),
        ("é * * * *", 0, "only letters, digits, signs and spaces", None),
        ("0/15 * * * *", 0, "`0/15` has a step without a range", Some("0-59/15 * * * *")),
        ("0 9 * * Mon/2", 8, "`Mon/2` has a step without a range", Some("0 9 * * Mon-SAT/2")),
        ("/15 * * * *", 0, "`/15` says nothing before its step", Some("*/15 * * * *")),
        ("? * * * *", 0, "`?` is not known", Some("* * * * *")),
        ("0 0 ?/2 * *", 4, "`?` is not known", Some("0 0 */2 * *")),
        ("*/61 * * * *", 0, "the step of `*/61` is not from 1 to 59", None),
        ("*/60 * * * *", 0, "one value is left", Some("0 * * * *")),
        ("0 */24 * * *", 2, "one value is left", Some("0 0 * * *")),
        ("*/0 * * * *", 0, "the step of `*/0` is not from 1 to 59", None),
        ("*/x * * * *", 0, "the step of `*/x` is not from 1 to 59", None),
        ("0 9-17/20 * * *", 2, "the step of `9-17/20` is not from 1 to 8", None),
        ("1, * * * *", 0, "a value is missing beside a comma of `1,`", Some("1 * * * *")),
        ("0 ,1,,2 * * *", 2, "a value is missing", Some("0 1,2 * * *")),
        (", * * * *", 0, "a value is missing", None),
        ("0,*,5 * * * *", 0, "`*` is every minute already", Some("* * * * *")),
        ("0 22-2 * * *", 2, "ends before it begins", Some("0 22-23,0-2 * * *")),
        ("0 0 * * FRI-MON", 8, "ends before it begins", Some("0 0 * * FRI-SAT,SUN-MON")),
        ("0 0 * nov-feb *", 6, "ends before it begins", Some("0 0 * nov-DEC,JAN-feb *")),
        ("0 0 1-2-3 * *", 6, "this is `2-3`", None),
        ("0 L * * *", 2, "this is `L`", None),
        ("0 0 L,LW * *", 4, "exclude each other", None),
        ("0 0 * * L", 8, "this is ``", None),
        ("0 0 * * MON#6", 8, "`#1` to `#5`", None),
        ("0 0 * * MON#", 8, "`#1` to `#5`", None),
        ("@dayly", 0, "@daily", Some("@daily")),
        ("@reboot", 0, "@daily", None),
    ] {
        let (found_offset, found, found_suggestion) = problem(text);
        assert!(found.contains(detail), "{text}: {found}");
        assert_eq!((found_offset, found_suggestion.as_deref()), (offset, suggestion), "{text}");
        if let Some(suggestion) = suggestion {
            parse(suggestion).expect(suggestion);
        }
    }
    assert!(problem(&"* ".repeat(200)).1.contains("more than 200 bytes"));
}

/// The days of June 2026, which begins on a Monday, that a pattern matches.
fn days(day: &str, weekday: &str) -> Vec<u32> {
    let cron = parse(&format!("0 0 {day} 6 {weekday}")).expect("a pattern").cron;
    (1..=30).filter(|day| named(&cron, *day)).collect()
}

fn named(cron: &Cron, day: u32) -> bool {
    let midnight = chrono::NaiveDate::from_ymd_opt(2026, 6, day).and_then(|day| day.and_hms_opt(0, 0, 0));
    cron.is_time_matching(&midnight.expect("a day of June").and_utc()).expect("a time")
}

#[test]
fn of_two_fields_of_days_either_is_enough_and_one_with_a_star_narrows() {
    for (day, weekday, expected) in [
        ("*", "MON", vec![1, 8, 15, 22, 29]),
        ("?", "MON", vec![1, 8, 15, 22, 29]),
        ("13", "*", vec![13]),
        ("13", "?", vec![13]),
        ("13,29", "MON", vec![1, 8, 13, 15, 22, 29]),
        ("*/2", "MON", vec![1, 15, 29]),
        ("*/2", "1", vec![1, 15, 29]),
        ("1-31/2", "SAT", vec![1, 3, 5, 6, 7, 9, 11, 13, 15, 17, 19, 20, 21, 23, 25, 27, 29]),
        ("6,7,8", "*/2", vec![6, 7]),
        ("1-31", "MON", (1..=30).collect()),
        ("12", "+FRI", vec![12]),
        ("13", "+FRI", vec![]),
        ("L", "*", vec![30]),
        ("13W", "*", vec![12]),
        ("*", "FRI#2", vec![12]),
        ("*", "1#L", vec![29]),
        ("*", "1L", vec![29]),
        ("*", "FRI-SUN", vec![5, 6, 7, 12, 13, 14, 19, 20, 21, 26, 27, 28]),
        ("*", "7", vec![7, 14, 21, 28]),
        ("*", "mon-fri/2", vec![1, 3, 5, 8, 10, 12, 15, 17, 19, 22, 24, 26, 29]),
    ] {
        assert_eq!(days(day, weekday), expected, "{day} {weekday}");
    }
}

#[test]
fn shorthands_stand_for_patterns() {
    for (name, pattern) in SHORTHANDS {
        assert_eq!(parse(name).expect(name).cron, parse(pattern).expect(pattern).cron);
    }
    assert!(parse("@hourly").expect("every hour").every_hour);
    assert!(!parse("@daily").expect("an hour").every_hour);
    assert!(parse("\t0  09 01\t* * ").is_ok());
}
