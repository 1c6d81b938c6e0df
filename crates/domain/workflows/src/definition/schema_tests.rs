//! What a schema can check in a `with`: literal values are validated, and expressions are accepted if their value may
//! be valid.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Definition, DefinitionError, Format, json_schema};
use crate::step::{StepRegistry, StepType};

/// A registry with one type that has this `with`.
fn registry(with: &Value) -> StepRegistry {
    let mut steps = StepRegistry::default();
    steps.register(StepType { with: with.clone(), ..StepType::effect("try", "Tries.") }).unwrap();
    steps
}

/// The problems of a step with this `with`, and whether the published schema rejects it.
fn problems(schema: &Value, with: &Value) -> (String, bool) {
    let steps = registry(schema);
    let document = json!({"name": "x", "steps": [{"id": "a", "uses": "try", "with": with}]});
    let published = jsonschema::validator_for(&json_schema(&steps)).unwrap();
    let mut text = String::new();
    match Definition::compile(document.to_string().as_bytes(), Format::Json, &steps) {
        Ok(_) => {}
        Err(DefinitionError::Unreadable(problem)) => text = problem.detail,
        Err(DefinitionError::Invalid(problems)) => {
            for problem in problems {
                let pointer = problem.pointer.strip_prefix("/steps/0/with").unwrap_or(&problem.pointer);
                let _ = write!(text, "{pointer} {}", problem.detail);
                let _ = problem.suggestion.map(|meant| write!(text, " [{meant}?]"));
                text.push('\n');
            }
        }
    }
    (text, published.is_valid(&document))
}

/// A schema from which widening drops nothing.
fn plain() -> Value {
    json!({
        "type": "object",
        "required": ["to"],
        "additionalProperties": false,
        "properties": {
            "to": {"type": "string", "pattern": "^[a-z]+$", "title": "a name in lower case"},
            "colour": {"enum": ["red", "green"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 9},
            "share": {"type": "number", "exclusiveMinimum": 0},
            "urgent": {"type": "boolean"},
            "version": {"const": 1},
            "note": {"type": "string", "maxLength": 5},
            "size": {"$ref": "#/$defs/size"},
            "parts": {"type": "array", "minItems": 1, "maxItems": 3, "uniqueItems": true, "items": {"$ref": "#/$defs/size"}},
            "tags": {
                "type": "object",
                "maxProperties": 2,
                "propertyNames": {"enum": ["one", "two", "three"]},
                "additionalProperties": {"type": ["string", "number"]},
            },
            "either": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
            "point": {"prefixItems": [{"type": "integer"}, {"type": "integer"}], "items": false},
            "never": false,
        },
        "$defs": {"size": {"type": "integer", "minimum": 0, "title": "a size"}},
    })
}

#[test]
fn what_is_written_out_is_held_against_the_schema() {
    for (with, expected) in [
        (json!({"to": "ann"}), ""),
        (json!({"to": "ann", "count": 9, "share": 0.5, "urgent": true, "version": 1, "size": 0}), ""),
        (json!({}), " `to` is missing\n"),
        (json!({"to": "Ann"}), "/to expected a name in lower case\n"),
        (json!({"to": 1}), "/to expected a name in lower case, this is a number\n"),
        (
            json!({"to": "a", "colr": 1}),
            "/colr there is no field `colr` here; there are colour, count, either, never, note, parts, point, share, size, tags, to, urgent, version [colour?]\n",
        ),
        (json!({"to": "a", "colour": "gren"}), "/colour expected one of red, green [green?]\n"),
        (json!({"to": "a", "colour": "RED"}), "/colour expected one of red, green [red?]\n"),
        (json!({"to": "a", "colour": []}), "/colour expected one of red, green\n"),
        (json!({"to": "a", "count": 10}), "/count expected a whole number from 1 to 9\n"),
        (json!({"to": "a", "count": "1"}), "/count expected a whole number from 1 to 9, this is a text\n"),
        (json!({"to": "a", "urgent": null}), "/urgent expected true or false, this is nothing\n"),
        (json!({"to": "a", "version": 2}), "/version expected 1\n"),
        (json!({"to": "a", "note": "longer"}), "/note expected a text of at most 5 characters\n"),
        (json!({"to": "a", "size": -1}), "/size expected a size\n"),
        (json!({"to": "a", "parts": []}), "/parts expected at least 1 item\n"),
        (
            json!({"to": "a", "parts": [1, -1, "x"]}),
            "/parts/1 expected a size\n/parts/2 expected a size, this is a text\n",
        ),
        (json!({"to": "a", "parts": [1, 1]}), "/parts the items have to differ from one another\n"),
        (json!({"to": "a", "tags": {"one": "x", "two": 2}}), ""),
        (json!({"to": "a", "tags": {"tow": 1}}), "/tags/tow expected one of one, two, three, this is `tow` [two?]\n"),
        (json!({"to": "a", "tags": {"one": []}}), "/tags/one expected a text or a number, this is a list\n"),
        (json!({"to": "a", "tags": {"one": 1, "two": 1, "three": 1}}), "/tags expected at most 2 fields\n"),
        (json!({"to": "a", "either": "x"}), "/either expected a whole number or a list, this is a text\n"),
        (json!({"to": "a", "either": [1, "x"]}), "/either/1 expected a whole number, this is a text\n"),
        (json!({"to": "a", "never": 1}), "/never this cannot be here\n"),
        (json!({"to": "$${{", "note": "a"}), "/to expected a name in lower case\n"),
    ] {
        let (text, published) = problems(&plain(), &with);
        assert_eq!(text, expected, "{with}");
        // The published schema treats `$${{` as an expression.
        assert!(published == text.is_empty() || with["to"] == "$${{", "{with}");
    }
}

#[test]
fn the_value_of_an_expression_is_not_known() {
    let (whole, text) = ("${{ event.a }}", "a ${{ event.a }}");
    let base = json!({"to": "a"});
    for (name, whole_fits, text_fits) in [
        ("to", true, true),
        ("colour", true, true),
        ("note", true, true),
        ("count", true, false),
        ("share", true, false),
        ("urgent", true, false),
        ("version", true, false),
        ("size", true, true),
        ("parts", true, false),
        ("tags", true, false),
        ("either", true, false),
        ("never", false, false),
        ("other", false, false),
    ] {
        for (value, fits) in [(whole, whole_fits), (text, text_fits)] {
            let mut with = base.clone();
            with[name] = json!(value);
            let (told, published) = problems(&plain(), &with);
            assert_eq!((told.is_empty(), published), (fits, fits), "{with}: {told}");
        }
    }
    for (with, expected) in [
        (json!({"to": whole, "parts": [1, whole, 2]}), ""),
        (json!({"to": "a", "parts": [whole, -1]}), "/parts/1 expected a size\n"),
        (json!({"to": "a", "parts": [1, 2, 3, whole]}), "/parts expected at most 3 items\n"),
        (json!({"to": "a", "either": ["1", whole]}), "/either/0 expected a whole number, this is a text\n"),
        (
            json!({"to": "a", "tags": {"one": whole, "tow": text}}),
            "/tags/tow expected one of one, two, three, this is `tow` [two?]\n",
        ),
        (
            json!({"too": whole}),
            " `to` is missing\n/too there is no field `too` here; there are colour, count, either, never, note, parts, point, share, size, tags, to, urgent, version [to?]\n",
        ),
    ] {
        let (told, published) = problems(&plain(), &with);
        assert_eq!((told.as_str(), published), (expected, expected.is_empty()), "{with}");
    }
}

/// What depends on an unknown value is accepted, and everything else is checked.
#[test]
fn nothing_is_refused_that_may_turn_out_right() {
    let either = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "oneOf": [
        {"properties": {"a": {"const": 1}}}, {"properties": {"a": {"const": 2}}},
    ]});
    let not = json!({"type": "object", "not": {"properties": {"a": {"type": "string"}}, "required": ["a"]}});
    let when = json!({"type": "object", "if": {"properties": {"a": {"const": 1}}, "required": ["a"]}, "then": {"required": ["b"]}});
    let pair = json!({"type": "object", "properties": {"a": {"enum": [[1, 2], {"b": 1}]}}});
    let open = json!({"type": "object", "anyOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}, true], "unevaluatedProperties": false});
    for (schema, wrong) in [
        (&either, json!({"a": 3})),
        (&not, json!({"a": "x"})),
        (&when, json!({"a": 1})),
        (&pair, json!({"a": [1, 3]})),
        (&open, json!({"a": 2})),
    ] {
        assert_ne!(problems(schema, &wrong).0, "", "{wrong}");
        let whole = "${{ event.a }}";
        let within = if wrong["a"].is_array() { json!({"a": [1, whole]}) } else { json!({ "a": whole }) };
        assert_eq!(problems(schema, &within), (String::new(), true), "{within}");
    }
}

#[test]
fn a_check_of_the_type_tells_what_the_schema_cannot() {
    let mut steps = StepRegistry::default();
    let check = |with: &Value| {
        let long = with["a"].as_str().filter(|text| text.len() > 3 && !text.contains("${{"));
        long.map(|_| crate::input::InputProblem::new("/a", "too long for this test")).into_iter().collect()
    };
    let with = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^[a-z]*$"}}});
    steps.register(StepType { with, check: Some(check), ..StepType::effect("try", "Tries.") }).unwrap();
    let told = |a: &str| {
        let document = json!({"name": "x", "steps": [{"id": "a", "uses": "try", "with": {"a": a}}]}).to_string();
        match Definition::compile(document.as_bytes(), Format::Json, &steps) {
            Err(DefinitionError::Invalid(problems)) => problems.into_iter().map(|problem| problem.detail).collect(),
            other => other.map(|_| Vec::new()).unwrap(),
        }
    };
    assert_eq!(told("abcd"), ["too long for this test"]);
    assert_eq!(told("ABCD"), ["expected a text that matches `^[a-z]*$`"], "one problem at one place");
    assert_eq!(told("${{ event.a }}"), Vec::<String>::new());
}

#[test]
fn a_time_out_has_the_bounds_of_its_type() {
    let problems = |timeout: &str| {
        let step = json!({"id": "a", "uses": "http.request", "with": {"url": "http://x"}, "timeout": timeout});
        let document = json!({"name": "x", "steps": [step]}).to_string();
        Definition::compile(document.as_bytes(), Format::Json, &crate::step::stand_ins::registry())
    };
    assert!(problems("1h").is_ok());
    let told = problems("61m").unwrap_err();
    assert!(matches!(&told, DefinitionError::Invalid(all) if all[0].detail == "at most 1h"), "{told:?}");
    let published = json_schema(&crate::step::stand_ins::registry());
    let rules = published["$defs"]["step"]["allOf"].as_array().unwrap();
    let timeouts: Vec<_> = rules.iter().filter_map(|rule| rule.pointer("/then/properties/timeout/default")).collect();
    assert_eq!(timeouts, ["1m"]);
}

#[test]
fn the_published_schema_is_one() {
    let schema = json_schema(&crate::step::stand_ins::registry());
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap();
}
