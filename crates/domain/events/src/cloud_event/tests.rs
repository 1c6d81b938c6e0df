//! The rules for reading events, each with inputs that violate it.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[derive(Default)]
struct Request {
    content_type: Option<String>,
    attributes: Vec<(String, Vec<u8>)>,
}

impl Headers for Request {
    fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }
    fn attributes(&self) -> Vec<(&str, &[u8])> {
        self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
    }
}

fn now() -> DateTime<Utc> {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn of(content_type: &str) -> Request {
    Request { content_type: Some(content_type.to_owned()), attributes: Vec::new() }
}

fn binary(content_type: Option<&str>, attributes: &[(&str, &str)]) -> Request {
    let mut all = vec![("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")];
    all.extend(attributes);
    Request {
        content_type: content_type.map(str::to_owned),
        attributes: all.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect(),
    }
}

/// A valid event with these members set, or removed if null.
#[expect(clippy::needless_pass_by_value, reason = "called with a literal")]
fn event(changes: Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"});
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn structured(text: &str) -> Result<NewEvent, Rejection> {
    let mut body = read(&of("application/cloudevents+json"), text.as_bytes(), now()).unwrap();
    body.items.pop().unwrap()
}

fn accepted(changes: Value) -> NewEvent {
    structured(&event(changes).to_string()).unwrap()
}

fn rejected(changes: Value) -> (&'static str, String) {
    let rejection = structured(&event(changes).to_string()).unwrap_err();
    (rejection.code.as_str(), rejection.pointer)
}

#[test]
fn a_file_event_becomes_its_columns() {
    let line = r#"{"specversion":"1.0","id":"e317-0","source":"/git/a","type":"file.created","subject":".gitignore",
        "time":"2017-09-30T08:30:02.123456789-07:00","datacontenttype":"application/json",
        "data":{"actor":"person-001","tool":"git","operation":"A","extension":null,"session":"e317"}}"#;
    let event = structured(line).unwrap();
    assert_eq!(event.subject.as_deref(), Some(".gitignore"));
    let time = event.time.unwrap();
    assert_eq!(time.text, "2017-09-30T08:30:02.123456789-07:00");
    assert_eq!(time.at.to_rfc3339(), "2017-09-30T15:30:02.123456+00:00");
    assert_eq!((event.actor.as_deref(), event.tool.as_deref()), (Some("person-001"), Some("git")));
    assert_eq!((event.session.as_deref(), event.extension), (Some("e317"), None));
    let Payload::Json(data) = event.payload else { panic!("{:?}", event.payload) };
    assert!(data.starts_with(r#"{"actor":"person-001","tool""#), "kept as sent: {data}");
}

#[test]
fn an_attribute_wins_over_data() {
    let event = accepted(json!({"actor": "ann", "data": {"actor": "bob", "tool": "vim", "session": 7}}));
    assert_eq!((event.actor.as_deref(), event.tool.as_deref(), event.session), (Some("ann"), Some("vim"), None));
    assert_eq!(accepted(json!({"session": 7})).session.as_deref(), Some("7"));
}

#[test]
fn data_that_cannot_be_a_column_is_just_data() {
    let event = accepted(json!({"data": {"actor": "a\u{0}b", "tool": "x".repeat(257), "session": ""}}));
    assert_eq!((event.actor, event.tool, event.session), (None, None, None));
    let Payload::Json(data) = event.payload else { panic!("{:?}", event.payload) };
    assert!(data.contains(r"a\u0000b"));
}

#[test]
fn what_is_required_is_required() {
    for name in ["specversion", "id", "source", "type"] {
        let place = format!("/{name}");
        assert_eq!(rejected(json!({name: null})), ("missing-attribute", place.clone()));
        assert_eq!(rejected(json!({name: ""})), ("missing-attribute", place.clone()));
        assert_eq!(rejected(json!({name: 1})), ("bad-attribute", place));
    }
    assert_eq!(rejected(json!({"specversion": "0.3"})).0, "unsupported-specversion");
}

#[test]
fn attributes_have_bounds() {
    for (changes, code, pointer) in [
        (json!({"id": "a\u{0}"}), "bad-attribute", "/id"),
        (json!({"type": "a\nb"}), "bad-attribute", "/type"),
        (json!({"type": "x".repeat(257)}), "bad-attribute", "/type"),
        (json!({"subject": "ü".repeat(1025)}), "bad-attribute", "/subject"),
        (json!({"Upper": "x"}), "bad-attribute", "/Upper"),
        (json!({"a/b~c": "x"}), "bad-attribute", "/a~1b~0c"),
        (json!({"list": []}), "bad-attribute", "/list"),
        (json!({"big": 3_000_000_000_i64}), "bad-attribute", "/big"),
        (json!({"tidegatedepth": 0}), "reserved-attribute", "/tidegatedepth"),
        (json!({"time": "yesterday"}), "bad-attribute", "/time"),
        (json!({"time": "1969-12-31T23:59:59Z"}), "time-out-of-bounds", "/time"),
        (json!({"time": "2026-05-02T12:00:01Z"}), "time-out-of-bounds", "/time"),
        (json!({"data": 1, "data_base64": "AA=="}), "bad-data", "/data_base64"),
        (json!({"data_base64": "?"}), "bad-data", "/data_base64"),
        (json!({"data": "x".repeat(MAX_EVENT_BYTES)}), "too-large", ""),
    ] {
        assert_eq!(rejected(changes), (code, pointer.to_owned()));
    }
}

#[test]
fn the_bounds_themselves_are_inside() {
    for time in ["1970-01-01T00:00:00Z", "2026-05-02T12:00:00Z", "2026-05-02T14:00:00+02:00"] {
        assert_eq!(accepted(json!({"time": time})).time.unwrap().text, time);
    }
    let text = "x".repeat(256);
    assert_eq!(accepted(json!({"type": text, "flag": true, "n": -5})).event_type, text);
}

#[test]
fn members_given_twice_are_refused() {
    let twice = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","id":"2"}"#;
    assert_eq!(structured(twice).unwrap_err().pointer, "/id");
    let twice = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":1,"data":2}"#;
    assert_eq!(structured(twice).unwrap_err().pointer, "/data");
}

#[test]
fn deep_nesting_is_refused_item_by_item() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(
        r#"[{}, {{"specversion":"1.0","id":"2","source":"/s","type":"t","data":{deep}}}, 7]"#,
        event(json!({}))
    );
    let items = read(&of("application/cloudevents-batch+json; charset=UTF-8"), body.as_bytes(), now()).unwrap().items;
    let codes: Vec<_> = items.iter().map(|item| item.as_ref().map(|_| ()).map_err(|r| r.code)).collect();
    assert_eq!(codes, [Ok(()), Err(RejectionCode::TooDeep), Err(RejectionCode::Malformed)]);
    let brackets_in_a_text = "[".repeat(1000) + "\\\"";
    assert!(structured(&event(json!({"data": brackets_in_a_text})).to_string()).is_ok());
}

#[test]
fn lines_are_read_one_by_one() {
    let body = format!("{}\r\n\n  \nnot json\n{}", event(json!({})), event(json!({"id": "2"})));
    let items = read(&of("application/x-ndjson"), body.as_bytes(), now()).unwrap().items;
    assert_eq!(items.len(), 3);
    assert!(items[1].as_ref().unwrap_err().detail.starts_with("line 4: "));
    let nothing = read(&of("application/x-ndjson"), b"not\njson", now());
    assert!(matches!(nothing, Err(Unreadable::Malformed(_))), "{nothing:?}");
    assert_eq!(read(&of("application/x-ndjson"), b"\n", now()).unwrap().items, []);
}

#[test]
fn a_body_that_cannot_be_read_says_why() {
    for (content_type, body, expected) in [
        ("application/cloudevents+json", &b"{"[..], "Malformed"),
        ("application/cloudevents+json", b"[]", "Malformed"),
        ("application/cloudevents+json", b"\xff", "Malformed"),
        ("application/cloudevents-batch+json", b"{}", "Malformed"),
        ("application/cloudevents-batch+json", b"[1,", "Malformed"),
        ("application/cloudevents+xml", b"<event/>", "UnsupportedMediaType"),
        ("application/cloudevents+json; charset=latin1", b"{}", "UnsupportedMediaType"),
        ("application/json", b"{}", "UnsupportedMediaType"),
        ("text/plain", b"{}", "UnsupportedMediaType"),
    ] {
        let error = format!("{:?}", read(&of(content_type), body, now()).unwrap_err());
        assert!(error.starts_with(expected), "{content_type}: {error}");
    }
    let many = format!("[{}1]", "1,".repeat(MAX_BATCH_ITEMS));
    let many = read(&of("application/cloudevents-batch+json"), many.as_bytes(), now());
    assert_eq!(many, Err(Unreadable::TooMany));
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    assert_eq!(read(&of("application/x-ndjson"), &large, now()), Err(Unreadable::TooLarge));
}

#[test]
fn binary_mode_takes_attributes_from_headers() {
    let request = binary(Some("application/json"), &[("subject", "a%20%E2%82%AC 100%"), ("actor", "ann")]);
    let body = read(&request, br#"{"actor":"bob","tool":"vim"}"#, now()).unwrap();
    assert_eq!(body.mode, Mode::Binary);
    let event = body.items.into_iter().next().unwrap().unwrap();
    assert_eq!(event.subject.as_deref(), Some("a € 100%"));
    assert_eq!((event.actor.as_deref(), event.tool.as_deref()), (Some("ann"), Some("vim")));
    assert_eq!(event.data_content_type.as_deref(), Some("application/json"));
}

#[test]
fn binary_mode_keeps_what_the_body_is() {
    let payload = |content_type: Option<&str>, body: &[u8]| {
        let item = read(&binary(content_type, &[]), body, now()).unwrap().items.pop().unwrap();
        item.map(|event| event.payload).map_err(|rejection| rejection.code.as_str())
    };
    assert_eq!(payload(None, b""), Ok(Payload::Absent));
    assert_eq!(payload(Some("text/plain"), b"a\0b"), Ok(Payload::Text("a\0b".into())));
    assert_eq!(payload(Some("image/png"), b"\x89PNG"), Ok(Payload::Binary(b"\x89PNG"[..].into())));
    assert_eq!(payload(Some("application/geo+json"), b" 1 "), Ok(Payload::Json("1".into())));
    assert_eq!(payload(Some("application/json"), b"{"), Err("bad-data"));
    assert_eq!(payload(Some("application/json"), "[".repeat(65).as_bytes()), Err("too-deep"));
    assert_eq!(payload(Some("a/b"), &vec![0; MAX_EVENT_BYTES + 1]), Err("too-large"));
    let wrong = read(&binary(None, &[("datacontenttype", "a/b")]), b"", now()).unwrap();
    assert_eq!(wrong.items[0].as_ref().unwrap_err().pointer, "/datacontenttype");
}

#[test]
fn data_that_readers_refuse_or_differ_in_is_rejected_where_it_is() {
    for (data, pointer) in [
        ("1e400", "/data"),
        (r#"{"a":[0,-1e400]}"#, "/data/a/1"),
        (r#""\ud800""#, "/data"),
        (r#"{"a":"x\udc00"}"#, "/data/a"),
        (r#"{"a":1,"b":{"c":1,"c":2}}"#, "/data/b/c"),
    ] {
        let sent = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{data}}}"#);
        let expected = (RejectionCode::BadData, pointer.to_owned());
        let rejection = structured(&sent).unwrap_err();
        assert_eq!((rejection.code, rejection.pointer), expected, "{data}");
        let item = read(&binary(Some("application/json"), &[]), data.as_bytes(), now()).unwrap().items.pop().unwrap();
        assert_eq!(item.map_err(|rejection| (rejection.code, rejection.pointer)).unwrap_err(), expected, "{data}");
        let body = format!("[{sent},{}]", event(json!({})));
        let items = read(&of("application/cloudevents-batch+json"), body.as_bytes(), now()).unwrap().items;
        assert_eq!(items.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true], "{data}");
    }
    for (attribute, code) in [("1e400", "bad-attribute"), (r#""\ud800""#, "bad-attribute")] {
        let sent = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","extra":{attribute}}}"#);
        let rejection = structured(&sent).unwrap_err();
        assert_eq!((rejection.code.as_str(), rejection.pointer.as_str()), (code, "/extra"));
    }
    let kept = "[123456789012345678901234567890,1e308]";
    let sent = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{kept}}}"#);
    assert_eq!(structured(&sent).unwrap().payload, Payload::Json(kept.into()));
}

#[test]
fn header_values_are_unquoted_and_then_percent_decoded() {
    for (value, subject) in [
        (r#""a b""#, "a b"),
        (r#""a \"b\" \\ c""#, r#"a "b" \ c"#),
        (r#""%22a%22%20%e2%82%ac""#, "\"a\" \u{20ac}"),
        ("%22a%22", "\"a\""),
        (r#"a "b" c"#, r#"a "b" c"#),
        ("a%2Bb%252Bc", "a+b%2Bc"),
        ("100% %zz %4", "100% %zz %4"),
    ] {
        let item = read(&binary(None, &[("subject", value)]), b"", now()).unwrap().items.pop().unwrap();
        assert_eq!(item.unwrap().subject.as_deref(), Some(subject), "{value}");
    }
    for (value, reason) in [
        ("\"a", "quote"),
        ("\"a\" b", "quote"),
        ("\"", "quote"),
        (r#""a\""#, "quote"),
        ("%ff", "UTF-8"),
        ("\"a%0Ab\"", "control"),
    ] {
        let item = read(&binary(None, &[("subject", value)]), b"", now()).unwrap().items.pop().unwrap();
        let rejection = item.unwrap_err();
        assert_eq!((rejection.code.as_str(), rejection.pointer.as_str()), ("bad-attribute", "/subject"));
        assert!(rejection.detail.contains(reason), "{value}: {}", rejection.detail);
    }
}

#[test]
fn headers_that_make_no_event_get_a_verdict() {
    let verdict = |request: &Request| {
        let item = read(request, b"", now()).unwrap().items.pop().unwrap();
        item.map(drop).map_err(|rejection| (rejection.code.as_str(), rejection.pointer, rejection.detail)).unwrap_err()
    };
    for name in ["data", "data_base64"] {
        let (code, pointer, detail) = verdict(&binary(Some("application/json"), &[(name, "x")]));
        assert_eq!((code, pointer), ("bad-attribute", format!("/{name}")));
        assert!(detail.contains("the data is the body"), "{detail}");
    }
    let mut request = binary(Some("application/json"), &[]);
    request.attributes.retain(|(name, _)| name != "specversion");
    assert_eq!(verdict(&request).1, "/specversion");
    assert_eq!(verdict(&request).0, "missing-attribute");
    let (code, pointer, _) = verdict(&binary(None, &[("foo-bar", "x")]));
    assert_eq!((code, pointer.as_str()), ("bad-attribute", "/foo-bar"));
}

#[test]
fn numbers_in_attributes_have_32_bits() {
    assert_eq!(accepted(json!({"n": i32::MIN, "m": i32::MAX})).extensions["n"], json!(i32::MIN));
    for number in [json!(2_147_483_648_i64), json!(-2_147_483_649_i64), json!(1.5), json!(u64::MAX)] {
        let rejection = structured(&event(json!({"n": number})).to_string()).unwrap_err();
        assert_eq!((rejection.code.as_str(), rejection.pointer.as_str()), ("bad-attribute", "/n"));
        assert!(rejection.detail.contains("from -2147483648 to 2147483647"), "{}", rejection.detail);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200), mode in 0..4) {
        let request = match mode {
            0 => of("application/cloudevents+json"),
            1 => of("application/cloudevents-batch+json"),
            2 => of("application/x-ndjson"),
            _ => binary(Some("application/json"), &[]),
        };
        let _ = read(&request, &body, now());
    }

    #[test]
    fn any_text_in_data_is_kept_as_it_was_sent(text in "\\PC*") {
        let data = json!({"actor": text}).to_string();
        let sent = format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{data}}}"#);
        prop_assert_eq!(structured(&sent).unwrap().payload, Payload::Json(data.into()));
    }
}

#[test]
fn the_key_keeps_source_and_id_apart() {
    assert_ne!(DedupeKey::new("ab", "c"), DedupeKey::new("a", "bc"));
    // printf '\0\0\0\0\0\0\0\2ab\0\0\0\0\0\0\0\1c' | sha256sum
    assert_eq!(DedupeKey::new("ab", "c").as_uuid().simple().to_string(), "601d5476e2ccfe2c87a2bba7a3226597");
}
