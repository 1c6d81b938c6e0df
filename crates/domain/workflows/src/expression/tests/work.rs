//! The cost of work: everything that reads, compares or creates something large is charged in proportion to its size.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::budget::Budget;
use super::super::{Bindings, Expression, ValueTemplate, functions, syntax::Macro};

/// Functions with constant cost: they look at a number, or at no more than 256 bytes.
const CONSTANT: [&str; 42] = [
    "type",
    "dyn",
    "bool",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "math.ceil",
    "math.floor",
    "math.round",
    "math.trunc",
    "math.abs",
    "math.sign",
    "math.sqrt",
    "math.isNaN",
    "math.isInf",
    "math.isFinite",
    "math.bitAnd",
    "math.bitOr",
    "math.bitXor",
    "math.bitNot",
    "math.bitShiftLeft",
    "math.bitShiftRight",
    "optional.of",
    "optional.ofNonZeroValue",
    "optional.none",
    "hasValue",
    "value",
    "has",
    "cel.bind",
    "or",
    "orValue",
    "optMap",
    "optFlatMap",
];

/// Expressions that read all of their inputs.
const GROWING: &[&str] = &[
    "inputs.text == inputs.twin",
    "inputs.text <= inputs.twin",
    "inputs.text in [inputs.twin]",
    "inputs.text in {inputs.twin: 1}",
    "{inputs.text: 1}[inputs.twin]",
    "{inputs.text: 1, inputs.twin + '2': 2}.size()",
    "inputs.text in inputs.names",
    "inputs.names == inputs.namesakes",
    "inputs.words == inputs.namesakes.map(k, k)",
    "'z' in inputs.words",
    "inputs.text + ''",
    "inputs.words + []",
    "bytes(inputs.text) == bytes(inputs.twin)",
    "size(inputs.text)",
    "string(bytes(inputs.text))",
    "int(inputs.text)",
    "uint(inputs.text)",
    "double(inputs.text)",
    "bytes(inputs.text)",
    "base64.encode(bytes(inputs.text))",
    "base64.decode(inputs.text)",
    "inputs.text.contains('z')",
    "inputs.text.startsWith(inputs.twin)",
    "inputs.text.endsWith(inputs.twin)",
    "inputs.text.matches('z')",
    "inputs.text.lowerAscii()",
    "inputs.text.upperAscii()",
    "inputs.text.trim()",
    "inputs.text.reverse()",
    "inputs.text.charAt(1)",
    "inputs.text.indexOf('z')",
    "inputs.text.lastIndexOf('z')",
    "inputs.text.substring(1)",
    "inputs.text.split('1')",
    "inputs.words.join('')",
    "inputs.text.replace('1', '2')",
    "'%s'.format([inputs.text])",
    "'%x'.format([bytes(inputs.text)])",
    "'%s'.format([inputs.words])",
    "'%s'.format([inputs.names])",
    "inputs.text.format([])",
    "strings.quote(inputs.text)",
    "math.greatest(inputs.numbers)",
    "math.least(inputs.numbers)",
    "inputs.words.all(x, true)",
    "inputs.words.exists(x, false)",
    "inputs.words.exists_one(x, true)",
    "inputs.words.existsOne(i, x, true)",
    "inputs.words.map(x, 1)",
    "inputs.names.map(k, 1)",
    "inputs.words.filter(x, true)",
    "inputs.words.transformList(i, x, i)",
    "inputs.names.transformMap(k, v, v)",
    "inputs.words.transformMapEntry(i, x, {i: x})",
    "inputs.text",
    "inputs.words",
    "inputs.names",
];

fn inputs(bytes: usize) -> Value {
    let words: Vec<_> = (0..bytes / 8).map(|n| format!("{n:08}")).collect();
    let names: serde_json::Map<_, _> = words.iter().map(|word| (word.clone(), json!(1))).collect();
    json!({"text": "1".repeat(bytes), "twin": "1".repeat(bytes), "words": words, "names": names, "namesakes": names,
        "numbers": (0..bytes / 8).collect::<Vec<_>>()})
}

fn units(source: &str, inputs: &Value) -> u64 {
    let bindings = Bindings { inputs: Some(inputs), ..Bindings::default() };
    Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}")).evaluate_metered(&bindings).1
}

#[test]
fn what_is_twice_as_large_costs_as_much_more_as_it_has_more_to_look_at() {
    let (small, large) = (inputs(16_000), inputs(32_000));
    for source in GROWING {
        let (small, large) = (units(source, &small), units(source, &large));
        // The cheapest operation compares 64 bytes per unit.
        assert!(large >= small + 16_000 / 64, "{source}: {small} units, then {large}");
    }
}

#[test]
fn every_function_and_macro_is_known_to_grow_or_to_cost_the_same() {
    let called = |name: &str| {
        let (method, global) = (format!(".{name}("), format!("{name}("));
        GROWING.iter().any(|source| source.contains(&method) || source.starts_with(&global))
    };
    let all =
        functions::names().chain(Macro::names()).chain(["has", "cel.bind", "or", "orValue", "optMap", "optFlatMap"]);
    let unknown: BTreeSet<_> = all.filter(|name| called(name) == CONSTANT.contains(name)).collect();
    assert_eq!(unknown, BTreeSet::new(), "each belongs into one of the two lists");
}

#[test]
fn what_costs_the_same_costs_little_whatever_it_is_given() {
    let (small, large) = (inputs(16_000), inputs(32_000));
    for source in [
        "type(inputs.text) == string",
        "dyn(inputs.words).size()",
        "bool(inputs.text)",
        "duration(inputs.text)",
        "timestamp(inputs.text)",
        "timestamp(0).getHours(inputs.text)",
        "optional.ofNonZeroValue(inputs.words).hasValue()",
        "cel.bind(x, inputs.names, x.size())",
        "has(inputs.names.a)",
        "inputs.words[1]",
    ] {
        let (small, large) = (units(source, &small), units(source, &large));
        assert!(small == large && small < 30, "{source}: {small} units, then {large}");
    }
}

#[test]
fn a_pattern_costs_by_its_positions() {
    let inputs = json!({"text": "01".repeat(1_000)});
    let cost = |pattern: &str| units(&format!("inputs.text.matches('{pattern}')"), &inputs);
    let (plain, classes, large) = (cost("^a"), cost("^\\\\w+@\\\\w+$"), cost("[01]*1[01]{300}2"));
    assert_eq!(plain, classes);
    assert!(large > 30 * plain, "{plain}, {large}");
    // Four thousand matches of the plain pattern in one template are allowed; a hundred of the large one are not.
    assert!(units("inputs.text.split('').map(c, c.matches('^[01]$')).size()", &inputs) < 200_000);
    assert_eq!(units("inputs.text.split('').all(c, !inputs.text.matches('[01]*1[01]{300}2'))", &inputs), 1_000_000);
}

#[test]
fn all_expressions_of_a_template_and_what_they_render_share_one_budget() {
    let inputs = inputs(16_000);
    let bindings = Bindings { inputs: Some(&inputs), ..Bindings::default() };
    let spent = |template: &Value| {
        let mut budget = Budget::new(1_000_000);
        let outcome = ValueTemplate::compile(template).unwrap().evaluate_within(&bindings, &mut budget);
        (outcome.is_ok(), budget.spent())
    };
    let (ok, one) = spent(&json!("${{ inputs.words }}"));
    let (also_ok, rendered) = spent(&json!("${{ inputs.words }}!"));
    assert!(ok && also_ok && rendered > one + 16_000 / 16, "{one}, {rendered}");
    assert_eq!(spent(&json!(vec!["${{ inputs.words }}"; 3])), (true, 3 * one));
    assert_eq!(spent(&json!(vec!["${{ inputs.words }}"; 300])), (false, 1_000_000));
}
