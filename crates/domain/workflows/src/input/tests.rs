//! Valid schemas, invalid schemas, and what they would cost.

use super::*;

fn refused(schema: &Value) -> Vec<InputProblem> {
    InputSchema::compile(schema).map(drop).expect_err(&schema.to_string())
}

/// A chain of definitions, each with two references to the next one, so each level doubles the work. `refer` writes a
/// reference to a definition, and `mark` the definition's own name.
fn doubling(levels: usize, keyword: &str, refer: impl Fn(usize) -> String, mark: impl Fn(usize) -> Value) -> Value {
    let mut definitions = serde_json::Map::new();
    for n in 0..levels {
        let next = json!({keyword: refer(n + 1)});
        let mut definition = mark(n);
        definition["allOf"] = json!([next, next]);
        definitions.insert(format!("d/{n}~"), definition);
    }
    definitions.insert(format!("d/{levels}~"), mark(levels));
    json!({"$id": "https://example.com/doubling", keyword: refer(0), "$defs": definitions})
}

#[test]
fn an_input_is_checked_with_pointers_and_without_repeating_it() {
    let schema = InputSchema::compile(&json!({
        "type": "object",
        "properties": {"path": {"type": "string", "pattern": "^src/"}, "n": {"$ref": "#/$defs/n"}},
        "required": ["path"],
        "$defs": {"n": {"type": "integer", "minimum": 1}},
    }))
    .unwrap();
    assert_eq!(schema.problems(&json!({"path": "src/a", "n": 2})), []);
    let problems = schema.problems(&json!({"path": "secret", "n": 0}));
    let mut pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/n", "/path"]);
    assert!(problems.iter().all(|problem| !problem.detail.contains("secret")), "{problems:?}");
    assert_eq!(schema.problems(&json!({}))[0].pointer, "");
    assert_eq!(schema.problems(&json!([]))[0].detail, "the input has to be an object");
}

#[test]
fn a_schema_that_cannot_be_used_says_where() {
    for (schema, pointer) in [
        (json!(true), ""),
        (json!({"type": "objekt"}), "/type"),
        (json!({"properties": {"a": {"minimum": "1"}}}), "/properties/a/minimum"),
        (json!({"properties": {"a": {"$ref": "https://example.com/x"}}}), "/properties/a/$ref"),
        (json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}), "/properties/a/$ref"),
        (json!({"properties": {"a": {"$ref": "other.json#/a"}}}), "/properties/a/$ref"),
        (json!({"$id": "https://example.com/a/b", "properties": {"a": {"$ref": "c"}}}), "/properties/a/$ref"),
        (json!({"properties": {"a": {"$ref": "#/nowhere"}}}), "/properties/a/$ref"),
        (json!({"$defs": {"unused": {"$ref": "#nowhere"}}}), "/$defs/unused/$ref"),
        (json!({"$ref": "#"}), "/$ref"),
        (json!({"allOf": [{"$ref": "#"}]}), "/allOf/0/$ref"),
        (json!({"$dynamicAnchor": "node", "properties": {"a": {"$dynamicRef": "#node"}}}), "/properties/a/$dynamicRef"),
        (json!({"$ref": "https://json-schema.org/draft/2020-12/schema"}), "/$ref"),
        (
            json!({"properties": {"x": {"$ref": "#/$defs/a"}},
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}),
            "/$defs/b/anyOf/0/$ref",
        ),
        (json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "/$schema"),
        (json!({"items": {"$recursiveRef": "#"}}), "/items/$recursiveRef"),
    ] {
        let problems = refused(&schema);
        assert!(problems.iter().any(|problem| problem.pointer == pointer), "{schema}: {problems:?}");
    }
}

#[test]
fn references_within_the_schema_are_followed_however_they_are_written() {
    let number = json!({"type": "integer"});
    for (reference, definitions) in [
        ("#/$defs/n", json!({"n": number})),
        ("#/%24defs/%6e", json!({"n": number})),
        ("#/$defs/a~1b~0c%25", json!({"a/b~c%": number})),
        ("#number", json!({"n": {"$anchor": "number", "type": "integer"}})),
        ("#number", json!({"n": {"$dynamicAnchor": "number", "type": "integer"}})),
        ("https://example.com/schemas/n", json!({"n": {"$id": "n", "type": "integer"}})),
        ("n#/$defs/inner", json!({"n": {"$id": "n", "$defs": {"inner": number}}})),
    ] {
        let schema = json!({"$id": "https://example.com/schemas/input", "properties": {"a": {"$ref": reference}}, "$defs": definitions});
        let compiled = InputSchema::compile(&schema).unwrap_or_else(|problems| panic!("{reference}: {problems:?}"));
        assert_eq!(compiled.problems(&json!({"a": 1})), [], "{reference}");
        assert_eq!(compiled.problems(&json!({"a": "x"}))[0].pointer, "/a", "{reference}");
    }
}

#[test]
fn data_that_looks_like_a_schema_is_data() {
    let looks = json!({"$id": "a b", "$ref": "https://example.com/x", "$schema": 7, "pattern": "(", "format": "no"});
    let schema = json!({
        "type": "object",
        "properties": {
            "$id": {"type": "string"}, "$ref": {"type": "string"}, "$anchor": {}, "$schema": {}, "pattern": {}, "format": {},
            "a": {"enum": [looks], "const": looks, "default": looks, "examples": [looks]},
        },
        "dependentRequired": {"$ref": ["$id"]},
    });
    let compiled = InputSchema::compile(&schema).unwrap();
    assert_eq!(compiled.problems(&json!({"$id": "x", "$ref": "y", "a": looks})), []);
    assert_eq!(compiled.problems(&json!({"$id": 1}))[0].pointer, "/$id");
}

#[test]
fn a_pattern_that_cannot_be_used_says_why() {
    for (pattern, reason) in [
        ("(", "unclosed group"),
        ("[z-a]", "invalid character class range"),
        ("a{1000000000}", "exceed"),
        ("(?=a)b", "look-around"),
        (r"(a)\1", "backreferences are not supported"),
        (r"\p{Nonsense}", "Unicode property not found"),
        ("(a{1000}){1000}", "size limit"),
    ] {
        for (schema, pointer) in [
            (json!({"properties": {"a": {"pattern": pattern}}}), "/properties/a/pattern".to_owned()),
            (json!({"patternProperties": {pattern: {}}}), format!("/patternProperties/{}", escaped(pattern))),
        ] {
            let problems = refused(&schema);
            assert_eq!(problems[0].pointer, pointer);
            assert!(problems[0].detail.contains(reason), "{pattern}: {}", problems[0].detail);
        }
    }
}

#[test]
fn every_format_is_asserted_and_others_are_refused() {
    let invalid = ["", "x y", "\u{200b}", "{", "\\", "[", "/~2", "-1", "ä.b c@"];
    for format in FORMATS {
        let schema = InputSchema::compile(&json!({"properties": {"a": {"format": format}}})).unwrap();
        let refuses = invalid.iter().any(|text| !schema.problems(&json!({"a": text})).is_empty());
        assert!(refuses, "{format} takes everything");
        assert_eq!(schema.problems(&json!({"a": 1})), [], "{format} is about texts");
    }
    let problems = refused(&json!({"properties": {"at": {"format": "date_time"}}}));
    assert_eq!(problems[0].pointer, "/properties/at/format");
    assert!(problems[0].detail.contains("did you mean `date-time`?"), "{}", problems[0].detail);
    assert_eq!(refused(&json!({"$defs": {"unused": {"format": "int64"}}}))[0].pointer, "/$defs/unused/format");
}

/// Each of these would take minutes to validate a small value.
#[test]
fn a_schema_that_multiplies_its_work_is_refused_where_it_does() {
    let none = |_| json!({});
    for schema in [
        doubling(27, "$ref", |n| format!("#/$defs/d~1{n}~0"), none),
        doubling(27, "$ref", |n| format!("#/$defs/%64~1{n}~0"), none),
        doubling(27, "$ref", |n| format!("#/%24defs/d%7E1{n}%7e0"), none),
        doubling(27, "$ref", |n| format!("doubling#/$defs/d~1{n}~0"), none),
        doubling(27, "$ref", |n| format!("#d{n}"), |n| json!({"$anchor": format!("d{n}")})),
        doubling(27, "$dynamicRef", |n| format!("#d{n}"), |n| json!({"$dynamicAnchor": format!("d{n}")})),
        doubling(27, "$ref", |n| format!("d{n}"), |n| json!({"$id": format!("d{n}")})),
    ] {
        let problems = refused(&schema);
        assert!(problems[0].detail.contains("parts once its references"), "{problems:?}");
        assert!(problems[0].pointer.starts_with("/$defs/d~1") && problems[0].pointer.ends_with("ef"), "{problems:?}");
    }
    let tree = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}});
    assert_eq!(refused(&tree)[0].pointer, "/properties/left/$ref");
}

/// In a document, `d0` may be written `%640`. The count has to decode it, like the validator.
#[test]
fn a_percent_encoded_reference_is_counted_like_any_other() {
    let mut definitions = serde_json::Map::new();
    for n in 0..40 {
        let next = json!({"$ref": format!("#/$defs/%64{}", n + 1)});
        definitions.insert(format!("d{n}"), json!({"allOf": [next, next]}));
    }
    definitions.insert("d40".to_owned(), json!({}));
    let problems = refused(&json!({"$ref": "#/$defs/%640", "$defs": definitions}));
    assert!(problems[0].detail.contains("parts once its references"), "{problems:?}");
}

#[test]
fn a_long_chain_of_references_is_refused_before_it_fills_the_stack() {
    let mut definitions = serde_json::Map::new();
    for n in 0..1_000 {
        definitions.insert(format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)}));
    }
    definitions.insert("d1000".to_owned(), json!({}));
    let problems = refused(&json!({"$ref": "#/$defs/d0", "$defs": definitions}));
    assert!(problems[0].detail.contains("100 deep"), "{problems:?}");
}

#[test]
fn unevaluated_keywords_inside_one_another_are_counted_as_often_as_they_check() {
    for (keyword, ask) in [("anyOf", "unevaluatedProperties"), ("allOf", "unevaluatedItems")] {
        let nested = |levels| {
            (0..levels).fold(
                json!({"properties": {"a": {}}, "prefixItems": [{}]}),
                |schema, _| json!({keyword: [schema], ask: false}),
            )
        };
        assert_eq!(InputSchema::compile(&nested(4)).unwrap().problems(&json!({"a": 1})), []);
        let problems = refused(&nested(20));
        assert_eq!(problems[0].pointer, format!("/{ask}"), "{problems:?}");
    }
}

#[test]
fn an_input_that_takes_too_long_to_check_is_refused_unchecked() {
    let each = json!({"allOf": vec![json!({"type": "integer", "minimum": 0, "maximum": 9}); 400]});
    let schema = InputSchema::compile(&json!({"properties": {"list": {"items": each}}})).unwrap();
    assert_eq!(schema.problems(&json!({"list": vec![1; 100]})), []);
    let problems = schema.problems(&json!({"list": vec![1; 100_000]}));
    assert!(problems[0].detail.contains("takes over 10000000 steps"), "{problems:?}");

    let schema = InputSchema::compile(&json!({"properties": {"text": {"pattern": "^[ab]*a[ab]{300}c$"}}})).unwrap();
    assert_eq!(schema.problems(&json!({"text": "ab".repeat(100)}))[0].pointer, "/text");
    let problems = schema.problems(&json!({"text": "ab".repeat(500_000)}));
    assert!(problems[0].detail.contains("takes over 10000000 steps"), "{problems:?}");
}

#[test]
fn an_input_with_a_hundred_thousand_mistakes_keeps_few_of_them() {
    let list = json!({"list": vec![Value::from("x"); 100_000]});
    let plain = InputSchema::compile(&json!({"properties": {"list": {"items": {"type": "integer"}}}})).unwrap();
    let problems = plain.problems(&list);
    assert_eq!((problems.len(), problems[0].pointer.as_str()), (1, "/list/0"));
    let branches = json!({"properties": {"list": {"items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}});
    let problems = InputSchema::compile(&branches).unwrap().problems(&list);
    assert!(problems[0].detail.contains("too large to say where"), "{problems:?}");
}

#[test]
fn declared_names_are_known_unless_the_schema_is_open() {
    let names = |schema: Value| InputSchema::declared(&schema).map(|names| names.into_iter().collect::<Vec<_>>());
    assert_eq!(names(json!({"properties": {"a": {}}})), Some(vec!["a".to_owned()]));
    assert_eq!(names(json!({})), Some(vec![]));
    assert_eq!(names(json!({"additionalProperties": true})), None);
    assert_eq!(names(json!({"anyOf": []})), None);
}
