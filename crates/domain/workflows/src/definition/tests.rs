//! Valid documents, and documents with every kind of problem.

use std::fmt::Write;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Definition, DefinitionError, Format};
use crate::compiled::{MAX_STEPS, StepIndex};
use crate::expression::{Bindings, ValueTemplate};
use crate::step::{StepRegistry, stand_ins};
use crate::trigger::Trigger;

const EXAMPLE: &str = r#"
tidegate: 1
name: remind about the changelog
description: tells who changed the source that the changelog is due
inputs: {type: object, properties: {path: {type: string}}, required: [path]}
triggers:
  - {cron: "0 9 * * MON", timezone: Europe/Berlin, input: {path: CHANGELOG.md}}
  - {event: {type: file.modified, filter: "${{ event.subject.startsWith('src/') }}"}, input: {path: "${{ event.subject }}"}}
concurrency: {key: "${{ inputs.path }}", limit: 2}
steps:
  - {id: tell, uses: emit_event, needs: [shape, wait], if: "${{ steps.shape.output.n > 200 }}", with: {type: changelog.due, subject: "${{ inputs.path }}", data: {}}}
  - id: look
    uses: http.request
    with: {method: GET, url: "https://example.com/${{ inputs.path }}", expect_status: [200, 404]}
    retry: {max_attempts: 5, initial: 1s, factor: 2, max: 60s}
    timeout: 30s
  - {id: shape, uses: transform, needs: [look], with: {n: "${{ steps.look.output.status + 1 }}"}}
  - {id: big, uses: condition, needs: [look], with: {if: "${{ steps.look.output.status > 299 }}"}}
  - {id: wait, uses: delay, needs: [look], with: {for: 5m}}
outputs: {n: "${{ steps.shape.output.n }}"}
"#;

fn compile(source: &[u8], format: Format) -> Result<Definition, DefinitionError> {
    static STEPS: LazyLock<StepRegistry> = LazyLock::new(stand_ins::registry);
    Definition::compile(source, format, &STEPS)
}

fn problems(source: &str, format: Format) -> String {
    match compile(source.as_bytes(), format) {
        Ok(_) => "no problems".to_owned(),
        Err(DefinitionError::Unreadable(p)) => format!("unreadable {}:{}: {}", p.line, p.column, p.detail),
        Err(DefinitionError::Invalid(problems)) => {
            let mut text = String::new();
            for p in problems {
                let _ = write!(text, "{}:{} {} {}", p.line, p.column, p.pointer, p.detail);
                let _ = p.suggestion.map(|meant| write!(text, " [{meant}?]"));
                text.push('\n');
            }
            text
        }
    }
}

#[test]
fn a_document_becomes_a_plan_in_the_order_of_its_needs() {
    let definition = compile(EXAMPLE.as_bytes(), Format::Yaml).unwrap();
    let compiled = &definition.compiled;
    let ids: Vec<_> = compiled.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["look", "shape", "big", "wait", "tell"]);
    assert_eq!(compiled.steps[4].needs, [StepIndex(1), StepIndex(3)]);
    assert_eq!(compiled.steps[0].dependents, [StepIndex(1), StepIndex(2), StepIndex(3)]);
    assert_eq!((&*compiled.steps[0].uses.name, compiled.steps[0].retry.max_attempts), ("http.request", 5));
    assert_eq!(compiled.steps[0].timeout.as_secs(), 30);
    assert_eq!(compiled.index_of("wait"), Some(StepIndex(3)));
    assert!(compiled.steps[4].condition.is_some() && compiled.concurrency.as_ref().is_some_and(|c| c.limit == 2));
    assert!(matches!(definition.triggers.as_slice(), [Trigger::Cron(_), Trigger::Event(_)]));
    assert_eq!(definition.document["steps"][1]["id"], "look");
}

#[test]
fn json_and_yaml_are_the_same_language() {
    let definition = compile(EXAMPLE.as_bytes(), Format::Yaml).unwrap();
    let text = serde_json::to_string_pretty(&definition.document).unwrap();
    let again = compile(text.as_bytes(), Format::Json).unwrap();
    assert_eq!(again.document, definition.document);
    let text = definition.document.to_string();
    assert_eq!(compile(text.as_bytes(), Format::Yaml).unwrap().document, definition.document);
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let source = r#"tidegat: 1
name: "  "
inputs: {type: object, properties: {path: {type: strin}}}
triggers:
  - {cron: "61 9 * * MON", timezone: Europe/Berln}
  - {event: {typ: file.modified}}
  - {}
steps:
  - id: look
    uses: http.requst
    with: {url: "https://example.com/${{ inputs.pth }}"}
    retry: {max_attempts: 0, factor: 99, initial: 1 second}
    timeout: soon
  - id: look
    uses: transform
    needs: [lok, look]
    with: {n: "${{ steps.look.output.status + }}"}
  - {id: 9a, uses: delay, with: {for: 5 minutes, unit: s}}
  - {id: big, uses: condition, needs: [look], with: {if: "steps.look.output.status > 299"}, if: "${{ stepz.look }} and"}
  - {uses: emit_event, need: [big]}
  - {id: call, uses: http.request, with: {method: get, url: "ftp://x", headers: {"bad name": [1]}, expect_status: 99, as: jsn}}
outputs: [1]
concurrency: {key: "${{ steps.look.output }}", limit: 0}
"#;
    insta::assert_snapshot!("every problem at once", problems(source, Format::Yaml));
}

#[test]
fn names_in_expressions_are_known_before_anything_runs() {
    let source = r#"
name: names
inputs: {type: object, properties: {path: {type: string}, count: {type: integer}}, required: [path, count]}
triggers:
  - {event: {type: a, filter: "${{ inputs.path == event.subject }}"}, input: {paht: "${{ steps.a.output }}"}}
steps:
  - {id: fetch, uses: http.request, with: {url: "https://x/${{ inputs.paht }}?${{ inputs.count }}&${{ fetch }}"}}
  - {id: shape, uses: transform, needs: [fetch], with: {a: "${{ steps.fetch.output.stauts }}", b: "${{ steps.shape.output.a }}"}}
  - {id: far, uses: transform, needs: [shape], with: {a: "${{ steps.fetch.output.body.anything }}", b: "${{ steps.fetch.outptu }}"}}
  - {id: side, uses: transform, with: {a: "${{ steps.far.output.a }}", b: "${{ steps.fatch.output }}"}}
  - id: block
    uses: transform
    needs: [far]
    with:
      text: |
        first line
        ${{ steps.far.output.a }} and ${{ steps.far.output.c }}
      folded: >-
        ${{ inputs.path
          + inputs.nope }}
      "quoted": "\t${{ 'a\tb' + inputs.nada }}"
outputs: {a: "${{ steps.side.output.a }}", b: "${{ steps.nope.output }}"}
"#;
    insta::assert_snapshot!("names in expressions", problems(source, Format::Yaml));
}

#[test]
fn cycles_are_named() {
    let source = "name: x\nsteps:\n  - {id: a, uses: transform, needs: [c]}\n  - {id: b, uses: transform, needs: [a]}\n  - {id: c, uses: transform, needs: [b]}\n  - {id: d, uses: transform, needs: [d]}\n";
    assert_eq!(
        problems(source, Format::Yaml),
        "3:37 /steps/0/needs these steps need each other in a cycle: a needs c needs b needs a\n\
         6:38 /steps/3/needs/0 the step `d` needs itself\n"
    );
}

#[test]
fn limits_are_told_clearly() {
    let steps = |count: usize| {
        let steps: Vec<Value> = (0..count).map(|n| json!({"id": format!("s{n}"), "uses": "transform"})).collect();
        json!({"name": "many", "steps": steps}).to_string()
    };
    assert_eq!(problems(&steps(MAX_STEPS), Format::Json), "no problems");
    let answer = problems(&steps(1_000), Format::Json);
    assert!(answer.contains("/steps/500 a workflow has at most 500 steps, this one has 1000"), "{answer}");
    assert_eq!(answer.lines().count(), 1);

    let wrong: Vec<Value> = (0..MAX_STEPS).map(|n| json!({"id": format!("s{n}"), "uses": "transfrom"})).collect();
    let answer = problems(&json!({"name": "wrong", "steps": wrong}).to_string(), Format::Json);
    assert_eq!(answer.lines().count(), 101);
    assert!(answer.ends_with("and 400 more problems, which are not listed\n"), "{answer}");

    // A quarter of a megabyte of misspelt names costs no more than the hundred that are reported.
    let needs: Vec<String> = (0..20_000).map(|n| format!("x{n}")).collect();
    let mut steps: Vec<Value> =
        (0..MAX_STEPS - 1).map(|n| json!({"id": format!("s{n}"), "uses": "transform"})).collect();
    steps.push(json!({"id": "last", "uses": "transform", "needs": needs}));
    let answer = problems(&json!({"name": "names", "steps": steps}).to_string(), Format::Json);
    assert!(answer.ends_with("and 19900 more problems, which are not listed\n"), "{answer}");

    // The same amount of names that a schema rejects.
    let headers: serde_json::Map<String, Value> = (0..15_000).map(|n| (format!("B {n}"), json!([]))).collect();
    let step = json!({"id": "a", "uses": "http.request", "with": {"url": "http://x", "headers": headers}});
    let answer = problems(&json!({"name": "headers", "steps": [step]}).to_string(), Format::Json);
    assert!(answer.ends_with("and 29900 more problems, which are not listed\n"), "{answer}");

    // Patterns are counted before they are compiled.
    let matching = |count: usize| {
        let condition = ["'a'.matches('^a+$')"; 10].join(" && ");
        let step = |n| json!({"id": format!("s{n}"), "uses": "transform", "if": format!("${{{{ {condition} }}}}")});
        json!({"name": "patterns", "steps": (0..count).map(step).collect::<Vec<_>>()}).to_string()
    };
    assert_eq!(problems(&matching(20), Format::Json), "no problems");
    let answer = problems(&matching(22), Format::Json);
    assert!(answer.contains("/steps/20/if the expressions of a document use `matches` at most 200 times"), "{answer}");
    assert_eq!(answer.lines().count(), 1);

    let chain: Vec<Value> = (0..MAX_STEPS)
        .map(|n| json!({"id": format!("s{n}"), "uses": "transform", "needs": [format!("s{}", (n + 1) % MAX_STEPS)]}))
        .collect();
    let answer = problems(&json!({"name": "ring", "steps": chain}).to_string(), Format::Json);
    assert!(answer.len() < 400 && answer.contains("needs … needs s0"), "{answer}");
}

#[test]
fn what_cannot_be_read_says_where() {
    let laughs = (1..12).fold("a0: &a0 [lol, lol]\n".to_owned(), |text, n| {
        let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
        format!("{text}a{n}: &a{n} [{aliases}]\n")
    });
    // A hundred kilobytes that would expand to five gigabytes.
    let echoes = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 49_000].join(","));
    for (source, format, part) in [
        (&*echoes, Format::Yaml, "unreadable 2:11: the aliases of the document write out more than 262144 bytes"),
        ("name: [", Format::Yaml, "unreadable 2:1: this is not YAML"),
        ("name: \"x", Format::Yaml, "this is not YAML"),
        ("a: b: c", Format::Yaml, "this is not YAML"),
        ("", Format::Yaml, "unreadable 1:1: the document is empty"),
        ("name: x\n---\nname: y", Format::Yaml, "unreadable 2:1: this file holds a second document"),
        ("name: !!python/object x", Format::Yaml, "tags are not used"),
        ("name: !secret x", Format::Yaml, "tags are not used"),
        ("? [a]\n: b", Format::Yaml, "a key has to be a text"),
        ("a: &a [*a]", Format::Yaml, "inside of what it names"),
        ("name: *nobody", Format::Yaml, "this is not YAML"),
        (&laughs, Format::Yaml, "once its aliases are written out"),
        ("name: x\0y", Format::Yaml, "unreadable 1:8: the document holds a NUL byte"),
        (&"[".repeat(100_000), Format::Yaml, "recursion limit"),
        (&"- ".repeat(100_000), Format::Yaml, "nests more than 48 deep"),
        (&"{a: ".repeat(1000), Format::Yaml, "recursion limit"),
        (&"x".repeat(300_000), Format::Yaml, "at most 262144 bytes"),
        ("{\"name\": \"x\",\n  }", Format::Json, "unreadable 2:3: this is not JSON: expected a key"),
        ("{\"name\": nul}", Format::Json, "unreadable 1:10: this is not JSON: expected a value"),
        ("{\"name\": \"x\" 1}", Format::Json, "expected `,` or `}`"),
        ("{} {}", Format::Json, "something follows"),
        ("{\"a\": \"\\q\"}", Format::Json, "escape sequence"),
        ("", Format::Json, "ends where a value"),
        (&"[".repeat(100_000), Format::Json, "nests more than 48 deep"),
        ("name: x", Format::Json, "expected a value"),
    ] {
        let answer = problems(source, format);
        assert!(answer.starts_with("unreadable") && answer.contains(part), "{part}: {answer}");
    }
    let bytes = compile(b"name: \xff", Format::Yaml);
    assert!(matches!(bytes, Err(DefinitionError::Unreadable(p)) if p.detail.contains("UTF-8") && p.column == 7));
}

#[test]
fn names_hold_nothing_that_cannot_be_seen_or_stored() {
    let with_name = |name: &str| json!({"name": name, "steps": [{"id": "a", "uses": "transform"}]}).to_string();
    let family = "👨\u{200d}👩\u{200d}👧\u{200d}👦 · క్\u{200c}ష";
    for good in ["a", "Änderungen 東京 🎉", family, &"ü".repeat(100)] {
        assert_eq!(problems(&with_name(good), Format::Json), "no problems", "{good}");
    }
    for bad in [
        "",
        " a",
        "a\u{0}b",
        "a\nb",
        "a\u{202e}b",
        "a\u{200b}",
        "\u{200b}",
        "ad\u{200d}min",
        "\u{feff}a",
        &"🎉".repeat(101),
        &"\u{10ffff}".repeat(60_000),
    ] {
        let answer = problems(&with_name(bad), Format::Json);
        assert!(answer.starts_with("1:9 /name a name ") && answer.len() < 200, "{answer}");
    }
    let composed = compile(with_name("Zoe\u{308}").as_bytes(), Format::Json).unwrap();
    assert_eq!((composed.name.as_str(), &composed.document["name"]), ("Zoë", &json!("Zoe\u{308}")));
}

#[test]
fn odd_spellings_mean_what_yaml_says() {
    let source = "
name: odd
steps:
  - &base {id: a, uses: transform, with: {no: no, on: on, null: ~, n: 0x1F, f: 1e3, s: '12', t: !!str 12, big: 18446744073709551615, e: '', 1: 2}}
  - {id: b, uses: transform, with: {x: *nothing}}
";
    let source = source.replace("*nothing", "&x [1, &y {z: 1}]");
    let definition = compile(source.as_bytes(), Format::Yaml).unwrap();
    assert_eq!(
        definition.compiled.steps[0].with.evaluate(&Bindings::default()).unwrap(),
        json!({"no": "no", "on": "on", "null": null, "n": 31, "f": 1000.0, "s": "12", "t": "12",
            "big": 18_446_744_073_709_551_615u64, "e": "", "1": 2})
    );
    assert_eq!(definition.compiled.outputs, ValueTemplate::Literal(Value::Null));
    let twice = "name: x\nname: y\nsteps: [{id: a, uses: transform, with: {k: 1, k: 2}}]";
    assert_eq!(
        problems(twice, Format::Yaml),
        "2:1 /name `name` is there twice\n3:47 /steps/0/with/k `k` is there twice\n"
    );
}

#[test]
fn what_would_be_read_as_something_else_is_a_problem_with_its_place() {
    let with = |value: &str| format!("name: x\nsteps: [{{id: a, uses: transform, with: {{k: {value}}}}}]");
    for (value, reason) in [
        ("18446744073709551616", "more than 64 bits"),
        ("-9223372036854775809", "more than 64 bits"),
        ("0x1ffffffffffffffff", "more than 64 bits"),
        ("0o7777777777777777777777", "more than 64 bits"),
        ("!!int 99999999999999999999", "more than 64 bits"),
        ("1e400", "range of a double"),
        ("-1e400", "range of a double"),
        (".inf", "no infinity and no NaN"),
        ("-.Inf", "no infinity and no NaN"),
        (".nan", "no infinity and no NaN"),
        ("!!int abc", "`abc` is tagged `!!int` and is none"),
        ("!!int 1.5", "`1.5` is tagged `!!int` and is none"),
        ("!!float x", "`x` is tagged `!!float` and is none"),
        ("!!bool yes", "`yes` is tagged `!!bool` and is none"),
        ("!!null x", "`x` is tagged `!!null` and is none"),
    ] {
        let answer = problems(&with(value), Format::Yaml);
        let place = answer.starts_with("2:") && answer.contains("/steps/0/with/k ");
        assert!(place && answer.contains(reason) && answer.lines().count() == 1, "{value}: {answer}");
    }
    let call = "name: x\nsteps: [{id: a, uses: http.request, with: {url: .inf, method: .nan, expect_status: [1e400]}}]";
    let answer = problems(call, Format::Yaml);
    assert_eq!(answer.lines().count(), 3, "one problem at each place: {answer}");
    for value in ["!!str {}", "!!seq {}", "!!map [1]", "!!seq x", "!other x"] {
        let answer = problems(&with(value), Format::Yaml);
        assert!(answer.starts_with("unreadable 2:") && answer.contains("tag"), "{value}: {answer}");
    }
    let in_json = |value: &str| {
        format!(r#"{{"name": "x", "steps": [{{"id": "a", "uses": "transform", "with": {{"k": {value}}}}}]}}"#)
    };
    for (value, reason) in [("18446744073709551616", "more than 64 bits"), ("[0, -1e400]", "range of a double")] {
        let answer = problems(&in_json(value), Format::Json);
        assert!(answer.starts_with("1:") && answer.contains("/steps/0/with/k") && answer.contains(reason), "{answer}");
    }
    assert_eq!(problems(&in_json("[-0, 0, 18446744073709551615, 1e30]"), Format::Json), "no problems");
    assert!(problems(&in_json(r#""\ud800""#), Format::Json).contains("half of a surrogate pair"));
}

#[test]
fn quoted_and_tagged_scalars_keep_their_text_or_value() {
    let source = "name: x\nsteps: [{id: a, uses: transform, with: {a: '1e400', b: !!str .inf, c: !!float 1, d: !!int '7', e: 1e30, f: !!null '', g: 12e, h: '<<'}}]";
    let definition = compile(source.as_bytes(), Format::Yaml).unwrap();
    assert_eq!(
        definition.compiled.steps[0].with.evaluate(&Bindings::default()).unwrap(),
        json!({"a": "1e400", "b": ".inf", "c": 1.0, "d": 7, "e": 1e30, "f": null, "g": "12e", "h": "<<"})
    );
}

#[test]
fn no_member_is_lost() {
    let merge = "name: x\nsteps: [{id: a, uses: transform, with: {k: &k {z: 1}, l: {<<: *k, y: 2}, m: {'<<': 1}}}]";
    let answer = problems(merge, Format::Yaml);
    assert!(answer.starts_with("2:59 /steps/0/with/l/<< YAML 1.2 has no merge key"), "{answer}");
    assert_eq!(answer.lines().count(), 1, "{answer}");
    let inputs = "inputs: {type: object, properties: {1: {}, '1': {}}}";
    let steps = "steps: [{id: a, uses: transform}]";
    assert_eq!(
        problems(&format!("name: x\n{inputs}\n{steps}"), Format::Yaml),
        "2:44 /inputs/properties/1 `1` is there twice\n"
    );
    let twice =
        r#"{"name": "x", "inputs": {"default": [{"a": 1, "a": 2}]}, "steps": [{"id": "a", "uses": "transform"}]}"#;
    assert_eq!(problems(twice, Format::Json), "1:47 /inputs/default/0/a `a` is there twice\n");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(source in "[-a-e:\\[\\]{}&*!|>'\"%@#?,\\n \\t\\\\ä0-9.$]{0,80}") {
        let _ = compile(source.as_bytes(), Format::Yaml);
        let _ = compile(source.as_bytes(), Format::Json);
    }

    #[test]
    fn no_damage_to_a_document_makes_the_checker_panic(at in 0usize..EXAMPLE.len(), length in 0usize..40, with in "[-a-z:\\[\\]{}\"$ \\n]{0,6}") {
        let end = (at + length).min(EXAMPLE.len());
        if EXAMPLE.is_char_boundary(at) && EXAMPLE.is_char_boundary(end) {
            let source = format!("{}{with}{}", &EXAMPLE[..at], &EXAMPLE[end..]);
            match compile(source.as_bytes(), Format::Yaml) {
                Err(DefinitionError::Invalid(problems)) => {
                    let lines = source.lines().count();
                    prop_assert!(!problems.is_empty());
                    prop_assert!(problems.iter().all(|p| (1..=lines + 1).contains(&p.line) && p.column > 0), "{problems:?}");
                }
                Err(DefinitionError::Unreadable(p)) => prop_assert!(!p.detail.is_empty()),
                Ok(_) => {}
            }
        }
    }

    #[test]
    fn any_json_is_read_as_it_is(value in json_value()) {
        let text = value.to_string();
        prop_assert_eq!(super::json::read(&text).map(|node| node.to_json()), Ok(value.clone()));
        let text = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(super::json::read(&text).map(|node| node.to_json()), Ok(value));
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
