//! Expressions from text to value.

mod documentation;
mod specification;
mod work;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Bindings, EvaluationError, Expression, ExpressionError, StepBinding, ValueTemplate};

fn world() -> (Value, Value, Value) {
    let inputs = json!({"path": "src/main.rs", "n": 3, "big": 18_446_744_073_709_551_615u64, "half": 2.5, "two": 2.0,
        "many": (0..1000).collect::<Vec<_>>(), "text": "x".repeat(10_000), "none": null});
    let event = json!({"type": "file.modified", "subject": "src/lib.rs", "time": "2026-03-29T00:30:00Z",
        "data": {"tags": ["a", "b"]}});
    (inputs, event, json!({"status": 200, "body": {"items": [1, 2]}}))
}

fn evaluate(source: &str) -> Result<Value, EvaluationError> {
    let (inputs, event, output) = world();
    let null = Value::Null;
    let mut bindings = Bindings { inputs: Some(&inputs), event: Some(&event), ..Bindings::default() };
    bindings.steps.insert("look", StepBinding { status: "completed", output: &output, error: &null });
    bindings.steps.insert("gone", StepBinding { status: "skipped", output: &null, error: &null });
    Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}")).evaluate(&bindings)
}

/// The result of the `cel` crate, an independent implementation, for the same text; `None` if it rejects the text.
fn elsewhere(source: &str) -> Option<Value> {
    let (inputs, event, output) = world();
    let steps = json!({"look": {"status": "completed", "output": output, "error": null},
        "gone": {"status": "skipped", "output": null, "error": null}});
    let mut context = cel::Context::default();
    for (name, value) in [("inputs", &inputs), ("event", &event), ("steps", &steps)] {
        context.add_variable_from_value(name, elsewhere_value(value));
    }
    cel::Program::compile(source).ok()?.execute(&context).ok()?.json().ok()
}

fn elsewhere_value(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => cel::Value::Int(int),
            (None, Some(uint)) => cel::Value::UInt(uint),
            (None, None) => cel::Value::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(elsewhere_value).collect::<Vec<_>>().into(),
        Value::Object(map) => {
            map.iter().map(|(k, v)| (k.clone(), elsewhere_value(v))).collect::<HashMap<_, _>>().into()
        }
    }
}

fn refused(source: &str) -> Vec<ExpressionError> {
    Expression::check(source).expect_err(source)
}

/// The two write these values differently as JSON: nanoseconds for a duration and `+00:00` for UTC.
const APART: [&str; 2] = ["duration('1.5s')", "timestamp(event.time) + duration('1h30m')"];

#[test]
fn expressions_have_the_values_that_cel_gives_them() {
    let mut differences = Vec::new();
    for (source, expected) in [
        ("steps.look.output.status + 1", json!(201)),
        ("steps.look.output.status > 299", json!(false)),
        ("event.subject.startsWith('src/') && inputs.n == 3", json!(true)),
        ("steps['look'].output.body.items[1]", json!(2)),
        ("inputs.many.filter(x, x % 100 == 0).map(x, x / 100)", json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
        ("inputs.many.map(x, x < 2, x + 1)", json!([1, 2])),
        ("inputs.many.exists(x, x == 999) && !inputs.many.all(x, x < 999)", json!(true)),
        ("[1, 2, 2].exists_one(x, x == 2)", json!(false)),
        ("event.data.tags.exists(t, t == 'b')", json!(true)),
        ("{'a': 1, 'b': [inputs.n]}", json!({"a": 1, "b": [3]})),
        ("{'a': 1}.map(k, k)", json!(["a"])),
        ("inputs.n > 2 ? 'many' : 'few'", json!("many")),
        ("inputs.half * 2", json!(5.0)),
        ("inputs.two == 2 && inputs.n > 2.5 && inputs.big > inputs.n", json!(true)),
        ("inputs.big - 1u", json!(18_446_744_073_709_551_614u64)),
        ("7 / 2 * -1 % 2", json!(-1)),
        ("size('größe') + size([1]) + size({'a': 1})", json!(7)),
        ("'a' in event.data.tags && !('z' in event.data) && 'tags' in event.data", json!(true)),
        ("has(event.data.tags) && !has(event.data.nope) && !has(steps.gone.output.x)", json!(true)),
        ("steps.gone.output == null && steps.gone.status == 'skipped'", json!(true)),
        ("true || 1 / 0 == 1", json!(true)),
        ("1 / 0 == 1 || true", json!(true)),
        ("[0, 1].exists(x, 1 / x == 1)", json!(true)),
        ("'abc'.matches('^a.c$') && matches('x', '[' + 'x]')", json!(true)),
        ("'a,b'.split(',').map(s, s.upperAscii()).join('-')", json!("A-B")),
        ("'  größe '.trim().substring(2, 4).replace('ö', 'o')", json!("öß".replace('ö', "o"))),
        ("string(1.0) + string(true) + string(2u)", json!("1true2")),
        ("int('42') + int(2.9) + int(timestamp('1970-01-01T00:00:01Z'))", json!(45)),
        ("double('1.5') + 1", json!(2.5)),
        ("type(1) == int && type('') == string && type(null) == null_type", json!(true)),
        ("timestamp(event.time).getHours('Europe/Berlin')", json!(1)),
        ("timestamp(event.time) + duration('1h30m')", json!("2026-03-29T02:00:00Z")),
        ("timestamp(event.time) - timestamp('2026-03-28T00:30:00Z') == duration('24h')", json!(true)),
        ("duration('1.5s')", json!("1.500s".replace("00", ""))),
        ("b'abc'", json!("YWJj")),
        ("[1, 2] + [3] == [1, 2, 3] && {'a': [1.0]} == {'a': [1]}", json!(true)),
        ("'b' > 'a' && [1][0] == 1", json!(true)),
        ("dyn(1) == 1u", json!(true)),
    ] {
        assert_eq!(evaluate(source), Ok(expected.clone()), "{source}");
        match elsewhere(source) {
            Some(value) if !APART.contains(&source) => assert_eq!(value, expected, "{source} elsewhere"),
            _ => differences.push(source),
        }
    }
    insta::assert_debug_snapshot!("what the cel crate does otherwise", differences);
}

#[test]
fn what_has_no_value_says_why_and_where() {
    for (source, detail, offset) in [
        ("inputs.n + inputs.path", "`+` does not take an int and a string", 9),
        ("1 + inputs.typo", "there is no `typo` here", 11),
        ("steps.gone.output.x", "`.x` needs a map, this is null", 18),
        ("1 + 2 / 0", "this divides by zero", 6),
        ("9223372036854775807 + 1", "the result is outside the range of its type", 20),
        ("[1][4]", "the list has 1 items and not this one", 3),
        ("inputs.n ? 1 : 2", "`? :` takes a bool, this is an int", 9),
        ("inputs.n && true", "this has to be a bool and is an int", 7),
        ("int('x')", "this text is not a whole number", 0),
        ("'x'.startsWith(1)", "this function does not take (string, int)", 4),
        ("1.0 / 0.0", "infinity and not-a-number are not JSON", 4),
        ("inputs.text.matches('(a')  ", "", 0),
    ] {
        if detail.is_empty() {
            assert_eq!(refused(source)[0].detail, "this is not a regular expression (RE2 syntax)");
            continue;
        }
        let error = evaluate(source).expect_err(source);
        assert_eq!((error.detail.as_str(), error.offset), (detail, offset), "{source}");
    }
}

#[test]
fn problems_are_found_when_compiling_all_at_once_and_with_what_was_meant() {
    let problems = refused("input.path.startswith('ä') && stepz.a == 1 && siz('x') > 0");
    let found: Vec<_> = problems.iter().map(|p| (p.offset, p.suggestion.as_deref())).collect();
    assert_eq!(found, [(0, Some("inputs")), (11, Some("startsWith")), (31, Some("steps")), (47, Some("size"))]);
    for (source, part) in [
        ("", "empty"),
        ("1 +", "expected a value instead of the end"),
        ("inputs.b(", "expected a value instead of the end"),
        ("'open", "no closing '"),
        ("inputs.n = 1", "`==` compares"),
        ("inputs.?1", "a name after the dot instead of a number"),
        ("inputs.`a", "no closing backtick"),
        ("inputs.`a'b`", "between backticks"),
        ("`inputs`", "expected a value"),
        ("1 2", "does not belong here"),
        ("if", "keeps for itself"),
        ("'\\q'", "escape"),
        ("Foo{a: 1}", "no message types"),
        ("inputs.many.map(1, 2)", "the name of a variable"),
        ("size(1, 2)", "does not take 2 arguments"),
        ("startsWith('a', 'b')", "written as value.startsWith()"),
        ("has(inputs)", "takes one selection"),
        ("1\0", "`\\0` does not belong here"),
    ] {
        let problems = refused(source);
        assert!(problems.iter().any(|p| p.detail.contains(part)), "{source}: {problems:?}");
        assert!(problems.iter().all(|p| p.offset <= source.len() && source.is_char_boundary(p.offset)), "{source}");
    }
}

#[test]
fn an_expression_that_would_run_for_minutes_is_refused_or_stopped() {
    let nested = "inputs.many.all(a, inputs.many.all(b, inputs.many.all(c, a + b + c >= 0)))";
    assert!(evaluate(nested).unwrap_err().detail.contains("more work"));
    let four = "inputs.many.all(a, inputs.many.all(b, inputs.many.all(c, inputs.many.all(d, true))))";
    assert!(refused(four)[0].detail.contains("at most 3 deep"));
    // Each map doubles the text. Thirty of them would make ten terabytes.
    let growing = format!("[inputs.text]{}", ".map(x, x + x)".repeat(30));
    assert!(evaluate(&growing).unwrap_err().detail.contains("at most 1048576 bytes"));
    // Shared lists are small in memory, but exponentially large once serialized or compared.
    let shared = format!("[1]{}", ".map(x, [x, x, x])".repeat(40));
    assert!(evaluate(&shared).unwrap_err().detail.contains("more work"));
    assert!(evaluate(&format!("{shared} == {shared}")).unwrap_err().detail.contains("more work"));
    assert!(evaluate("inputs.many.map(x, inputs.text.replace('x', inputs.text))").is_err());
    assert!(
        evaluate("inputs.many.all(x, !inputs.text.contains(inputs.text + 'y'))")
            .unwrap_err()
            .detail
            .contains("more work")
    );
    assert!(evaluate("inputs.many.exists(x, inputs.text.matches('(x+x+)+y' + string(x)))").is_err());
    assert!(refused("'a'.matches('(a{1000}){1000}')")[0].detail.contains("too large"));
    // A term that decides must not hide the error of an exhausted budget.
    assert!(evaluate(&format!("{nested} || true")).unwrap_err().detail.contains("more work"));
}

#[test]
fn hostile_texts_are_refused_without_harm_on_a_small_stack() {
    let check = || {
        for source in [
            "(".repeat(4000),
            format!("{}1{}", "(".repeat(2000), ")".repeat(2000)),
            format!("{}1{}", "(".repeat(24), ")".repeat(24)),
            format!("{}1{}", "[".repeat(25), "]".repeat(25)),
            "{".repeat(4000),
            "!".repeat(4000),
            format!("{}true", "! ".repeat(1000)),
            format!("{}1", "- ".repeat(1000)),
            "a.".repeat(2000),
            format!("inputs{}", ".a".repeat(2000)),
            format!("inputs{}", "[0]".repeat(1300)),
            format!("1{}", "+1".repeat(2000)),
            format!("true{}", "&&true".repeat(600)),
            format!("{}1", "true?1:".repeat(500)),
            format!("[{}1]", "1,".repeat(2000)),
            "\u{10FFFF}".repeat(1000),
            "'".repeat(999),
            "\\".repeat(999),
            "x".repeat(5000),
            "1e999999999".to_owned(),
            format!("{}1{}", "cel.bind(x, 1, ".repeat(100), ")".repeat(100)),
            format!("[1]{}", ".optMap(x, x)".repeat(300)),
            format!("{}1", "[1].optMap(x, ".repeat(250)),
            format!("{}1", "{?".repeat(2000)),
            format!("1{}", ".?a".repeat(1300)),
            format!("1{}", "[?1]".repeat(1000)),
            "math.".repeat(800),
            ".".repeat(4000),
            "`".repeat(999),
            "99999999999999999999".to_owned(),
        ] {
            let _ = Expression::check(&source);
        }
    };
    // Server threads have a stack of 2 MiB. Half of that has to be enough.
    std::thread::Builder::new().stack_size(1 << 20).spawn(check).unwrap().join().unwrap();
}

#[test]
fn what_compiles_is_evaluated_on_a_small_stack() {
    let nest = |open: &str, inner: &str, close: &str| {
        let source = |times: usize| format!("{}{inner}{}", open.repeat(times), close.repeat(times));
        // The deepest expression of this form that compiles.
        (1..64).map(source).take_while(|source| Expression::check(source).is_ok()).last().unwrap()
    };
    let check = move || {
        for source in [
            nest("[", "1", "]"),
            nest("{1: ", "1", "}"),
            nest("(true ? ", "1", " : 2)"),
            nest("cel.bind(x, 1, ", "1", ")"),
            nest("optional.of(1).optMap(x, ", "1", ")"),
            nest("optional.of(1).optFlatMap(x, ", "optional.of(1)", ")"),
            nest("optional.none().orValue(", "1", ")"),
            nest("[1].map(x, ", "[1]", ")"),
            nest("[1].transformMapEntry(i, x, ", "{1: 1}", ")"),
            nest("[?optional.of(", "1", ")]"),
            nest("'%s'.format([", "1", "])"),
            nest("math.greatest(1, ", "1", ")"),
            nest("-(1 + ", "1", ")"),
        ] {
            assert!(evaluate(&source).is_ok(), "{source}: {:?}", evaluate(&source));
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(check).unwrap().join().unwrap();
}

#[test]
fn templates_keep_types_and_render_inside_text() {
    let (inputs, _, _) = world();
    let bindings = Bindings { inputs: Some(&inputs), ..Bindings::default() };
    for (template, expected) in [
        (json!("${{ inputs.n }}"), json!(3)),
        (json!(" ${{ inputs.n }}"), json!(" 3")),
        (json!("a/${{inputs.path}}/${{ {'k': [inputs.n]} }}${{ inputs.none }}!"), json!("a/src/main.rs/{\"k\":[3]}!")),
        (json!("no hole }} here"), json!("no hole }} here")),
        (json!("$${{ inputs.n }}"), json!("${{ inputs.n }}")),
        (json!("${{ '}}' + \"{{\" }}"), json!("}}{{")),
        (json!({"a": ["${{ inputs.two }}", 1], "b": null}), json!({"a": [2.0, 1], "b": null})),
    ] {
        assert_eq!(ValueTemplate::compile(&template).unwrap().evaluate(&bindings), Ok(expected), "{template}");
    }
    let error = ValueTemplate::compile(&json!({"x": ["ok ${{ inputs.n }} ${{ 1 + stepz }}"]})).unwrap_err();
    assert_eq!((error.offset, error.suggestion.as_deref()), (27, Some("steps")));
    assert_eq!(ValueTemplate::compile_text("x ${{ 1 ").unwrap_err().offset, 2);
}

#[test]
fn references_name_what_is_read() {
    let source =
        "steps.a.output[inputs.k].x + steps['b'].output.n == 1 && has(event.data.z) && inputs.l.all(x, x == run.id)";
    let found: Vec<String> = Expression::compile(source)
        .unwrap()
        .references()
        .iter()
        .map(|r| r.path.iter().fold(r.root.as_str().to_owned(), |text, (name, _)| format!("{text}.{name}")))
        .collect();
    assert_eq!(found, ["steps.a.output", "inputs.k", "steps.b.output.n", "event.data.z", "inputs.l", "run.id"]);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(source in "[ -~äß\\n]{0,60}") {
        let _ = Expression::check(&source);
        let _ = ValueTemplate::check_text(&source);
        let _ = ValueTemplate::check_text(&format!("${{{{{source}}}}}"));
    }

    #[test]
    fn no_expression_makes_the_evaluator_panic(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "inputs", "inputs.n", "inputs.many", "inputs.text", "steps", "event.data", "null", "1", "-1", "2u",
                "9223372036854775807", "1.5", "'a'", "b'a'", "[1]", "{'a': 1}", "true", "duration('1s')",
                "timestamp('2026-01-01T00:00:00Z')", "type(1)",
            ]), 2..5),
        operators in proptest::collection::vec(
            proptest::sample::select(vec!["+", "-", "*", "/", "%", "==", "<", "in", "&&", "||"]), 4),
        call in proptest::sample::select(vec![
            "", ".size()", ".a", "[0]", "['a']", ".map(x, x)", ".all(x, x == 1)", ".getHours()", ".split('')", ".join()",
            ".substring(1)", ".replace('', 'x')", ".matches('')", ".charAt(1)", ".indexOf('a', 1)", ".lastIndexOf('', 0)",
            ".reverse()", ".format(inputs.many)", ".split('', 2)", ".transformMap(i, x, x)", ".transformList(i, x, i)",
            ".transformMapEntry(i, x, {x: i})", ".exists(i, x, x == i)", ".?a", "[?0]", ".orValue(1)", ".optMap(x, x)",
            ".map(x, '%s %d %f %e %x'.format([x, x, x, x, x]))", ".map(x, math.round(x))", ".map(x, math.abs(x))",
        ]),
    ) {
        let mut source = String::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                source.push_str(operators[index - 1]);
                source.push(' ');
            }
            source.push_str(part);
            source.push(' ');
        }
        let source = format!("({source}){call}");
        if Expression::check(&source).is_ok() {
            let _ = evaluate(&source);
        }
    }
}
