//! Compares the allocations of an evaluation with the units that it was charged.
//!
//! The allocator of this test program counts bytes of all threads, so only one test evaluates at a time.

use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cap::Cap;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_workflows::expression::{Bindings, Expression, ValueTemplate};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The budget of one evaluation, in units.
const UNITS: u64 = 1_000_000;
/// A unit pays for 64 bytes. A growing vector takes up to twice as much when its capacity doubles.
const BYTES_PER_UNIT: usize = 2 * 64;
/// What an evaluation may allocate without a charge, in bytes: texts of its result, its error, small numbers as texts.
const UNCHARGED: usize = 1 << 16;
/// The maximum number of bytes that one evaluation may hold at once.
const PEAK: usize = 96 << 20;

fn inputs() -> Value {
    let keys = (0..1_000).map(|n| (format!("{}{n}", "key".repeat(30)), json!(n)));
    json!({
        "big": "x".repeat(500_000),
        "twin": "x".repeat(500_000),
        "l": (0..4_000).collect::<Vec<_>>(),
        "texts": (0..200).map(|n| format!("{}{n}", "word ".repeat(400))).collect::<Vec<_>>(),
        "m": keys.collect::<serde_json::Map<_, _>>(),
        "nested": {"a": [[1, 2.5, null, true], {"b": "c"}]},
        "n": 3,
    })
}

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Evaluates `source` and checks its allocations. Returns the units that it was charged.
fn measured(source: &str, inputs: &Value) -> u64 {
    let Ok(expression) = Expression::compile(source) else { return 0 };
    let bindings = Bindings { inputs: Some(inputs), ..Bindings::default() };
    let (held, before) = (ALLOCATOR.allocated(), ALLOCATOR.total_allocated());
    let (outcome, units) = expression.evaluate_metered(&bindings);
    let bytes = ALLOCATOR.total_allocated() - before;
    let peak = ALLOCATOR.max_allocated().saturating_sub(held);
    drop(outcome);
    let charged = usize::try_from(units).map_or(usize::MAX, |units| units * BYTES_PER_UNIT + UNCHARGED);
    assert!(bytes <= charged, "{source}\nallocates {bytes} bytes for {units} units");
    assert!(peak <= PEAK, "{source}\nholds {peak} bytes at once");
    assert!(units <= UNITS);
    units
}

#[test]
fn keys_are_neither_copied_nor_compared_for_nothing() {
    let (_alone, inputs) = (alone(), inputs());
    // A map with one key per item. Only the maps are charged, because their keys share the text of 500 kB.
    assert!(measured("inputs.l.map(x, {inputs.big: 1}).size()", &inputs) < UNITS);
    // A lookup may have to compare the whole text of 500 kB with each key on its way, so it is charged for that.
    assert_eq!(measured("inputs.l.all(x, !(inputs.big in inputs.m))", &inputs), UNITS);
    assert_eq!(measured("inputs.l.all(x, inputs.big in {inputs.twin: 1})", &inputs), UNITS);
    assert_eq!(measured("inputs.l.all(x, inputs.big == inputs.twin)", &inputs), UNITS);
    assert_eq!(measured("inputs.l.transformMapEntry(i, x, {inputs.big + string(x): 1}).size()", &inputs), UNITS);
}

#[test]
fn what_is_made_again_and_again_is_paid_each_time() {
    let (_alone, inputs) = (alone(), inputs());
    let bytes = format!("inputs.l.map(x, inputs.l.map(y, b'{}')).size()", "z".repeat(3_500));
    for source in [
        bytes.as_str(),
        "inputs.l.map(x, inputs.l.map(y, {1: 1})).size()",
        "inputs.l.map(x, inputs.l.map(y, [x, y])).size()",
        "inputs.l.map(x, inputs.l + inputs.l).size()",
        "inputs.l.map(x, inputs.m.map(k, k)).size()",
        "inputs.l.map(x, inputs.big.split('')).size()",
        "inputs.l.map(x, (inputs.big + string(x)).split('x')).size()",
        "inputs.l.map(x, inputs.l.transformMapEntry(i, y, {y: i})).size()",
        "inputs.l.map(x, '%s'.format([inputs.m])).size()",
        "inputs.l.map(x, inputs.big.replace('x', 'yy')).size()",
        "inputs.l.map(x, optional.of(optional.of(x))).size()",
        "inputs.l.map(x, inputs.nested)",
        "inputs.l.map(x, inputs.l.map(y, {'a': y}))",
        "inputs.l.exists(x, inputs.l.exists(y, x.nothing_of_this_name || y.nor_of_this))",
        "inputs.l.all(x, inputs.texts.all(t, !t.matches('^(w|o)+' + string(x))))",
        "inputs.l.all(x, !'a@b'.matches('^\\\\w@\\\\w' + string(x)))",
        "inputs.l.all(x, string(bytes(inputs.big)).size() > 0)",
        "inputs.l.all(x, math.greatest(inputs.l) > 0)",
    ] {
        assert!(measured(source, &inputs) > 0, "{source}");
    }
}

#[test]
fn text_around_a_value_is_bounded_before_it_is_made() {
    let (_alone, inputs) = (alone(), inputs());
    let bindings = Bindings { inputs: Some(&inputs), ..Bindings::default() };
    // In JSON, each of these control characters takes six bytes.
    let template = json!("a ${{ [inputs.l.map(x, ['\\x01', '\\x01'].join(inputs.big)), 1] }}");
    for template in [template, json!("a ${{ inputs.l.map(x, inputs.texts) }}")] {
        let template = ValueTemplate::compile(&template).unwrap();
        let held = ALLOCATOR.allocated();
        assert!(template.evaluate(&bindings).is_err());
        assert!(ALLOCATOR.max_allocated().saturating_sub(held) <= PEAK);
    }
}

/// One of several forms, with its placeholders filled.
fn form(forms: &'static [&'static str], holes: [BoxedStrategy<String>; 3]) -> BoxedStrategy<String> {
    let [a, b, c] = holes;
    (prop::sample::select(forms), a, b, c)
        .prop_map(|(form, a, b, c)| form.replace("$a", &a).replace("$b", &b).replace("$c", &c))
        .boxed()
}

/// The text of an expression, nested at most `depth` levels.
fn text(depth: u32) -> BoxedStrategy<String> {
    let leaf =
        prop::sample::select(vec!["inputs.big", "inputs.twin", "'x'", "string(inputs.n)", "inputs.texts[7]", "''"]);
    let leaf = leaf.prop_map(str::to_owned).boxed();
    if depth == 0 {
        return leaf;
    }
    let one = || text(depth - 1);
    let forms = &[
        "($a + $b)",
        "$a.replace($b, $c)",
        "$a.upperAscii()",
        "$a.trim()",
        "strings.quote($a)",
        "$a.reverse()",
        "base64.encode(bytes($a))",
        "$a.substring(1)",
        "cel.bind(v, $a, v + v)",
        "'%s %x'.format([$a, $b])",
    ];
    let of_lists = &["$a.map(x, string(x)).join($b)", "'%s'.format([[$a, $b]])", "string($a.size())"];
    prop_oneof![leaf, form(forms, [one(), one(), one()]), form(of_lists, [list(depth - 1), one(), one()])].boxed()
}

fn list(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop::sample::select(vec!["inputs.l", "inputs.texts", "[1, 2]", "[inputs.big]", "inputs.nested.a"]);
    let leaf = leaf.prop_map(str::to_owned).boxed();
    if depth == 0 {
        return leaf;
    }
    let of_texts = &["$a.split($b)", "[$a, $b, $c]", "$a.split('', 1000)", "[?optional.ofNonZeroValue($a)]"];
    let of_lists = &[
        "$a.map(x, $b)",
        "$a.filter(x, $c.size() > 2)",
        "($a + $b)",
        "$a.transformList(i, x, [i, x, $b])",
        "[$a, $b]",
        "$a.map(x, x)",
        "$a.map(x, [$b, $b])",
    ];
    let texts = [text(depth - 1), text(depth - 1), text(depth - 1)];
    let lists = [list(depth - 1), any(depth - 1), list(depth - 1)];
    let maps = [map(depth - 1), any(depth - 1), list(depth - 1)];
    prop_oneof![leaf, form(of_texts, texts), form(of_lists, lists), form(&["$a.map(k, k)", "$a.map(k, $b)"], maps)]
        .boxed()
}

fn map(depth: u32) -> BoxedStrategy<String> {
    let leaf =
        prop::sample::select(vec!["inputs.m", "inputs", "{1: 2}", "{inputs.big: 1}"]).prop_map(str::to_owned).boxed();
    if depth == 0 {
        return leaf;
    }
    let of_texts = &["{$a: 1, $b + '2': 2}", "{$a: $b}", "{?$a: optional.of($b), 1: $c}"];
    let of_lists = &[
        "$a.transformMapEntry(i, x, {i: $b})",
        "$a.transformMapEntry(i, x, {inputs.big + string(i): $b})",
        "$a.transformMap(i, x, $b)",
    ];
    let texts = [text(depth - 1), text(depth - 1), text(depth - 1)];
    let lists = [list(depth - 1), any(depth - 1), list(depth - 1)];
    let maps = [map(depth - 1), any(depth - 1), map(depth - 1)];
    prop_oneof![leaf, form(of_texts, texts), form(of_lists, lists), form(&["$a.transformMap(k, v, $b)"], maps)].boxed()
}

fn truth(depth: u32) -> BoxedStrategy<String> {
    let of_texts = &[
        "$a == $b",
        "$a < $b",
        "$a.contains($b)",
        "$a in {$b: 1}",
        "$a in [$b, $c]",
        "$a.matches('x+y?x')",
        "$a.lastIndexOf($b) > 2",
        "$a.endsWith($b)",
    ];
    let of_lists = &[
        "$a == $c",
        "$a in $c",
        "$a.all(y, $b == $b)",
        "$a.exists(y, $b == y)",
        "$a.existsOne(i, y, y == $b)",
        "$a.exists(y, y.nothing || $b.nothing)",
    ];
    let of_maps = &["$a == $c", "$b in $a", "$a.all(k, v, k != $b)"];
    let texts = [text(depth), text(depth), text(depth)];
    let lists = [list(depth), any(depth), list(depth)];
    prop_oneof![form(of_texts, texts), form(of_lists, lists), form(of_maps, [map(depth), any(depth), map(depth)])]
        .boxed()
}

fn any(depth: u32) -> BoxedStrategy<String> {
    prop_oneof![text(depth), list(depth), map(depth)].boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_program_allocates_what_it_was_not_charged_for(
        source in (1u32..4).prop_flat_map(|depth| prop_oneof![any(depth), truth(depth - 1)]),
    ) {
        let _alone = alone();
        measured(&source, &inputs());
    }
}
