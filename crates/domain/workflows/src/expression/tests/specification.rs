//! Requirements of the specification and its extensions that the examples in `docs/workflows.md` do not cover.

use serde_json::{Value, json};

use super::{evaluate, refused};

fn all_have_their_values(cases: impl IntoIterator<Item = (&'static str, Value)>) {
    for (source, expected) in cases {
        assert_eq!(evaluate(source), Ok(expected), "{source}");
    }
}

fn all_fail(cases: impl IntoIterator<Item = (&'static str, &'static str)>) {
    for (source, part) in cases {
        let error = evaluate(source).expect_err(source);
        assert!(error.detail.contains(part), "{source}: {}", error.detail);
    }
}

#[test]
fn names_may_be_quoted_and_roots_are_found_behind_variables() {
    all_have_their_values([
        ("{'content-type': 'text', 'a/b': 1, 'c.d': 2, 'e f': 3}.`content-type`", json!("text")),
        ("cel.bind(m, {'a/b': 1, 'c.d': 2}, m.`a/b` + m.`c.d`)", json!(3)),
        ("has({'a-b': 1}.`a-b`) && !has({'a-b': 1}.`b-a`)", json!(true)),
        (".inputs.n", json!(3)),
        ("[1].map(inputs, inputs + .inputs.n)", json!([4])),
        (".size([1])", json!(1)),
        ("[1].map(math, math + 1)", json!([2])),
    ]);
    assert!(refused("[1].map(x, .x)")[0].detail.contains("`x` is not known"));
}

#[test]
fn bytes_are_joined_and_compared() {
    all_have_their_values([
        ("b'a' + b'b' == b'ab' && b'' + b'' == b''", json!(true)),
        ("b'ab' < b'b' && b'a' != b'aa' && size(b'\\xff\\x00') == 2", json!(true)),
    ]);
}

#[test]
fn times_keep_within_their_ranges() {
    all_have_their_values([
        ("type(timestamp(0)) == google.protobuf.Timestamp", json!(true)),
        ("type(duration('1s')) == google.protobuf.Duration", json!(true)),
        ("string(duration('3000000h'))", json!("10800000000s")),
        ("string(duration('-315576000000s'))", json!("-315576000000s")),
        ("timestamp(253402300799)", json!("9999-12-31T23:59:59Z")),
        ("timestamp('2026-01-01T23:30:00Z').getHours('02:00')", json!(1)),
        ("timestamp('2026-01-01T23:30:00Z').getHours('-02:30')", json!(21)),
        ("timestamp('2026-01-01T23:30:00Z').getDate('+00:30')", json!(2)),
        ("duration('1.5h').getMinutes() + duration('-90m').getHours()", json!(89)),
    ]);
    all_fail([
        ("timestamp('0000-12-31T23:59:59Z')", "years 1 to 9999"),
        ("timestamp('9999-12-31T23:59:59-01:00')", "years 1 to 9999"),
        ("timestamp(253402300800)", "years 1 to 9999"),
        ("timestamp(253402300799) + duration('1s')", "outside the range"),
        ("timestamp('0001-01-01T00:00:00Z') - duration('1ns')", "outside the range"),
        ("timestamp('2400-01-01T00:00:00Z') - timestamp('2000-01-01T00:00:00Z')", "outside the range"),
        ("duration('315576000001s')", "315,576,000,000"),
        ("duration('200000000000s') + duration('200000000000s')", "outside the range"),
        ("duration('99999999999999999999999999999999999999999h')", "not a duration"),
        ("timestamp(0).getHours('2:00')", "not a time zone"),
        ("timestamp(0).getHours('25:00')", "not a time zone"),
        ("timestamp(0).getHours('Mars/Olympus')", "not a time zone"),
    ]);
}

#[test]
fn a_double_without_decimals_finds_a_key_and_is_none() {
    all_have_their_values([
        ("{1u: 'a', 2: 'b'}[2.0]", json!("b")),
        ("1.0 in {1: 'a'} && !(1.5 in {1: 'a'}) && 18446744073709549568.0 in {18446744073709549568u: 1}", json!(true)),
        ("{1u: 'a'}.all(k, type(k) == uint)", json!(true)),
    ]);
    all_fail([("{1.0: 'a'}", "a key is"), ("{1: 'a', 1u: 'b'}", "twice"), ("int(-9223372036854775808.0)", "range")]);
}

#[test]
fn texts_are_searched_cut_and_put_together() {
    all_have_their_values([
        ("[''.indexOf(''), 'ab'.indexOf('', 2), 'ab'.lastIndexOf(''), 'ab'.lastIndexOf('', 1)]", json!([0, 2, 2, 1])),
        ("['xäxäx'.indexOf('ä', 2), 'xäxäx'.lastIndexOf('ä', 2), 'xä'.lastIndexOf('äöü', 1)]", json!([3, 1, -1])),
        ("['äb'.charAt(2), 'äb'.charAt(1)]", json!(["", "b"])),
        ("['äb'.split(''), ''.split(''), ''.split(',')]", json!([["ä", "b"], [], [""]])),
        ("['a,b'.split(',', 0), 'a,b'.split(',', 1), 'a,b'.split(',', -1)]", json!([[], ["a,b"], ["a", "b"]])),
        ("['abc'.split('', 2), 'a::b'.split('::')]", json!([["a", "bc"], ["a", "b"]])),
        ("['ab'.replace('', '-'), 'ab'.replace('a', '', 0), 'aa'.replace('a', 'b', -1)]", json!(["-a-b-", "ab", "bb"])),
        ("['\\u00a0 a\\u2003'.trim(), '\\u200ba'.trim()]", json!(["a", "\u{200b}a"])),
        ("[[].join(), ['a', 'b'].join()]", json!(["", "ab"])),
        ("strings.quote('\\a\\b\\f\\n\\r\\t\\v\\\\ä')", json!("\"\\a\\b\\f\\n\\r\\t\\v\\\\ä\"")),
        ("(inputs.path + '!').split('/').map(s, s.reverse())", json!(["crs", "!sr.niam"])),
    ]);
    all_fail([
        ("'ab'.indexOf('a', 3)", "no place 3"),
        ("'ab'.lastIndexOf('a', -1)", "no place -1"),
        ("'ab'.charAt(3)", "no place 3"),
        ("'ab'.substring(2, 1)", "outside the text"),
        ("[1].join()", "does not take (list)"),
        ("base64.decode('*')", "not base64"),
    ]);
}

#[test]
fn format_writes_each_type_and_names_what_it_does_not_take() {
    all_have_their_values([
        ("'%d %d %d'.format([-7, 7u, 2.0])", json!("-7 7 2")),
        ("'%.2f|%.0f|%f'.format([1.005, 2.5, 1])", json!("1.00|2|1.000000")),
        ("'%e|%.1e'.format([1234.5, 0.00012])", json!("1.234500e+03|1.2e-04")),
        ("'%b %o %x %X %b'.format([-5, 8, -255, 255u, true])", json!("-101 10 -ff FF 1")),
        ("'%x %X'.format(['hi', b'\\xff'])", json!("6869 FF")),
        ("'%s'.format([[null, 1.5, {'b': b'x', 2: duration('1m')}, int]])", json!("[null, 1.5, {2: 60s, b: x}, int]")),
        ("'%d %f'.format([1.0 / 0.0, 0.0 / 0.0])", json!("Infinity NaN")),
    ]);
    all_fail([
        ("'%d'.format(['x'])", "`%d` does not take string"),
        ("'%x'.format([1.5])", "`%x` does not take double"),
        ("'%q'.format([1])", "`%q` is no clause"),
        ("'%d %d'.format([1])", "1 items"),
        ("'100%'.format([1])", "within a clause"),
        ("'%.999f'.format([1.5])", "0 to 100 decimals"),
    ]);
}

#[test]
fn math_keeps_types_and_ranges() {
    all_have_their_values([
        ("[type(math.greatest(1, 2u)) == uint, type(math.least(1, 2u)) == int]", json!([true, true])),
        ("[math.round(-2.5), math.ceil(-0.5) == 0.0, math.trunc(2.9)]", json!([-3.0, true, 2.0])),
        ("[math.sign(0.0), math.sign(-2.5), math.sign(7u)]", json!([0.0, -1.0, 1])),
        ("math.bitShiftRight(-1, 1) == 9223372036854775807 && math.bitShiftLeft(1, 64) == 0", json!(true)),
    ]);
    all_fail([
        ("math.abs(-9223372036854775808)", "outside the range"),
        ("math.greatest([])", "neither"),
        ("math.greatest(1, 'a')", "does not take"),
        ("math.bitShiftLeft(1, -1)", "0 or more"),
        ("math.bitOr(1, 1u)", "does not take (int, uint)"),
        ("math.ceil('1')", "does not take (string)"),
    ]);
}

#[test]
fn macros_take_two_variables_and_values_are_bound() {
    all_have_their_values([
        ("['a', 'b'].transformList(i, x, i > 0, x + string(i))", json!(["b1"])),
        ("{'a': 1}.transformMapEntry(k, v, {k + '1': v, k + '2': v})", json!({"a1": 1, "a2": 1})),
        ("['x', 'y'].transformMap(i, v, v).all(k, v, type(k) == int)", json!(true)),
        ("[0, 1].exists(i, x, 1 / x == i)", json!(true)),
        ("cel.bind(a, 1, cel.bind(b, a + 1, [a, b].map(x, x + a + b)))", json!([4, 5])),
        ("cel.bind(a, 1, cel.bind(a, 2, a)) + cel.bind(a, 3, a)", json!(5)),
    ]);
    all_fail([
        ("['a', 'a'].transformMapEntry(i, x, {x: i})", "twice"),
        ("['a'].transformMapEntry(i, x, x)", "takes a map"),
        ("[0].existsOne(i, x, 1 / x == i)", "divides by zero"),
    ]);
    for (source, part) in [
        ("[1].transformList(x, x)", "expected `,`"),
        ("[1].all(x, x, true)", "different names"),
        ("[1].filter(x, true, true)", "its variables and one expression"),
        ("[1].transformMap(k, v, true, v, v)", "a filter where you want one"),
        ("cel.bind(1, 2, 3)", "the name of a variable"),
        ("cel.bind(x, x, 1)", "`x` is not known"),
    ] {
        assert!(refused(source).iter().any(|problem| problem.detail.contains(part)), "{source}: {:?}", refused(source));
    }
}

#[test]
fn optionals_are_chained_and_left_out() {
    all_have_their_values([
        ("event.data.?head.sha.orValue('none')", json!("none")),
        (
            "event.data.?tags[0].value() + event.data.tags[?1].orValue('') + event.data.tags[?2].orValue('-')",
            json!("ab-"),
        ),
        ("[?event.data.?tags, ?event.data.?nope].size() + {?'a': event.?nope, 'b': 1}.size()", json!(2)),
        ("[event.data.?nope, event.?subject]", json!([null, "src/lib.rs"])),
        ("event.?type.orValue(1 / 0)", json!("file.modified")),
        ("has(event.data.?nope.x) || optional.none() == event.?nope", json!(true)),
        ("type(optional.none()) == optional_type && optional.of(1) == optional.of(1.0)", json!(true)),
        ("optional.ofNonZeroValue(0).or(optional.of(2)).optFlatMap(x, optional.of(x * 2)).value()", json!(4)),
    ]);
    all_fail([
        ("optional.none().value()", "no value"),
        ("[?1]", "takes an optional"),
        ("1.orValue(2)", "needs an optional"),
        ("inputs.?n.or(1).or(2).x", "needs a map"),
        ("event.?none.or(1)", "`or` takes an optional"),
        ("event.?type.sha", "needs a map"),
    ]);
}

#[test]
fn calls_of_functions_with_a_namespace_are_checked_when_compiling() {
    for (source, offset, part, suggestion) in [
        ("math.greater(1, 2)", 0, "no function `math.greater`", Some("math.greatest")),
        ("1 + math.sqrt(1, 2)", 4, "`math.sqrt` does not take 2 arguments", None),
        ("math.greatest()", 0, "does not take 0 arguments", None),
        ("'a'.quote()", 4, "no function `quote`", None),
        ("math + 1", 0, "`math` is not known", None),
        ("base64.encoded", 0, "`base64` is not known", None),
        ("'a'.charat(1)", 4, "no function `charat`", Some("charAt")),
        ("[1].transformlist(i, x, x)", 4, "no function `transformlist`", Some("transformList")),
    ] {
        let problems = refused(source);
        let found = problems.iter().find(|problem| problem.detail.contains(part));
        let found = found.unwrap_or_else(|| panic!("{source}: {problems:?}"));
        assert_eq!((found.offset, found.suggestion.as_deref()), (offset, suggestion), "{source}");
    }
}
