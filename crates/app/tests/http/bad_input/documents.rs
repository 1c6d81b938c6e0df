//! Invalid workflow documents: for creating, adding drafts and dry runs.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, text};

const YAML: &str = "application/yaml";
const JSON: &str = "application/json";
const GOOD: &str = "name: good\nsteps: [{id: a, uses: transform}]\n";

/// A document and its problem.
struct Case {
    media: &'static str,
    document: Vec<u8>,
    status: u16,
    code: &'static str,
    pointer: &'static str,
    /// Line and column; 0 if they are not given.
    place: (u64, u64),
    /// A part of the detail.
    detail: &'static str,
}

fn case(
    media: &'static str,
    document: impl Into<Vec<u8>>,
    (status, code): (u16, &'static str),
    pointer: &'static str,
    place: (u64, u64),
    detail: &'static str,
) -> Case {
    Case { media, document: document.into(), status, code, pointer, place, detail }
}

const UNREADABLE: (u16, &str) = (400, "malformed-body");
const INVALID: (u16, &str) = (422, "invalid");

/// Documents that cannot be parsed.
fn unreadable() -> Vec<Case> {
    let laughs = (1..12).fold("a0: &a0 [lol, lol]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))
    });
    vec![
        case(JSON, "{\"name\": \"x\",\n  }", UNREADABLE, "", (2, 3), "not JSON"),
        case(JSON, GOOD, UNREADABLE, "", (1, 1), "not JSON"),
        case(JSON, "[".repeat(100_000), UNREADABLE, "", (1, 49), "nests more than 48 deep"),
        case(YAML, "name: [", UNREADABLE, "", (2, 1), "not YAML"),
        case(YAML, "", UNREADABLE, "", (1, 1), "empty"),
        case(YAML, "- ".repeat(100_000), UNREADABLE, "", (1, 97), "nests more than 48 deep"),
        case(YAML, laughs, UNREADABLE, "", (6, 15), "once its aliases are written out"),
        case(YAML, "a: &a [*a]", UNREADABLE, "", (1, 8), "inside of what it names"),
        case(YAML, "name: x\0\nsteps: []", UNREADABLE, "", (1, 8), "NUL"),
        case(YAML, b"name: \xff".to_vec(), UNREADABLE, "", (1, 7), "UTF-8"),
        case(YAML, vec![b'#'; 300_000], (413, "body-too-large"), "", (0, 0), ""),
        case("text/plain", GOOD, (415, "unsupported-media-type"), "", (0, 0), ""),
        case("", GOOD, (415, "unsupported-media-type"), "", (0, 0), ""),
    ]
}

/// A document with one step `a` and these further fields.
fn step(fields: &str) -> String {
    format!("name: x\nsteps: [{{id: a, uses: transform, {fields}}}]")
}

/// Documents that can be parsed, each with one problem.
fn wrong() -> Vec<Case> {
    let named = |name: &str| json!({ "name": name, "steps": [{ "id": "a", "uses": "transform" }] }).to_string();
    let many: Vec<Value> = (0..1000).map(|n| json!({ "id": format!("s{n}"), "uses": "transform" })).collect();
    let ring = "name: x\nsteps:\n- {id: a, uses: transform, needs: [c]}\n- {id: b, uses: transform, needs: [a]}\n\
                - {id: c, uses: transform, needs: [b]}\n";
    let twice = "name: x\nsteps:\n- {id: a, uses: transform}\n- {id: a, uses: transform}\n";
    let timed = |trigger: &str| format!("name: x\ntriggers: [{trigger}]\nsteps: [{{id: a, uses: transform}}]");
    let costly = "${{ [1].all(a, [1].all(b, [1].all(c, [1].all(d, true)))) }}";
    let outside =
        "name: x\ninputs: {properties: {a: {$ref: 'http://127.0.0.1/schema'}}}\nsteps: [{id: a, uses: transform}]";
    let wait = |time: &str| format!("name: x\nsteps: [{{id: a, uses: delay, with: {{for: {time}}}}}]");
    vec![
        case(YAML, step("with: {n: \"${{ 1 + }}\"}"), INVALID, "/steps/0/with/n", (2, 52), "instead of the end"),
        case(YAML, step("with: {n: \"${{ 1 \"}"), INVALID, "/steps/0/with/n", (2, 45), "}}"),
        case(YAML, step("if: \"${{ nowhere.to > 1 }}\""), INVALID, "/steps/0/if", (2, 43), "not known here"),
        case(
            YAML,
            step(&format!("with: {{n: \"{costly}\"}}")),
            INVALID,
            "/steps/0/with/n",
            (2, 90),
            "nest at most 3 deep",
        ),
        case(YAML, step("needs: [b]"), INVALID, "/steps/0/needs/0", (2, 42), "there is no step `b`"),
        case(YAML, step("needs: [a]"), INVALID, "/steps/0/needs/0", (2, 42), "needs itself"),
        case(YAML, ring, INVALID, "/steps/0/needs", (3, 35), "in a cycle: a needs c needs b needs a"),
        case(YAML, twice, INVALID, "/steps/1/id", (4, 8), "another step `a`"),
        case(JSON, json!({ "name": "x", "steps": many }).to_string(), INVALID, "/steps/500", (1, 16_412), "has 1000"),
        case(YAML, step("widht: 1"), INVALID, "/steps/0/widht", (2, 34), "there is no field `widht`"),
        case(YAML, format!("{GOOD}colour: red"), INVALID, "/colour", (3, 1), "there is no field `colour`"),
        case(YAML, outside, INVALID, "/inputs/properties/a/$ref", (2, 33), "reference"),
        case(YAML, timed("{cron: 61 9 * * MON}"), INVALID, "/triggers/0/cron", (2, 19), "not a cron pattern"),
        case(
            YAML,
            timed("{cron: 0 9 * * MON, timezone: Nowhere/Town}"),
            INVALID,
            "/triggers/0/timezone",
            (2, 42),
            "no time zone",
        ),
        case(YAML, step("with: {n: 1e400}"), INVALID, "/steps/0/with/n", (2, 44), "range of a double"),
        case(YAML, step("with: {'1': a, 1: b}"), INVALID, "/steps/0/with/1", (2, 49), "there twice"),
        case(YAML, wait("367d"), INVALID, "/steps/0/with/for", (2, 42), "at most 366d"),
        case(YAML, wait("-1s"), INVALID, "/steps/0/with/for", (2, 42), "expected a duration"),
        case(YAML, step("timeout: 25h"), INVALID, "/steps/0/timeout", (2, 43), "at most 1d"),
        case(JSON, named("a\u{0}b"), INVALID, "/name", (1, 9), "control characters"),
        case(JSON, named("a\u{202e}b"), INVALID, "/name", (1, 9), "turn the direction of text"),
        case(JSON, named(&"\u{10ffff}".repeat(60_000)), INVALID, "/name", (1, 9), "at most 100 characters"),
    ]
}

#[tokio::test]
async fn documents_that_are_no_workflows_say_why_and_where_and_change_nothing() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/workflows", app.workspace(&ada, "Acme").await);
    let made = app.post(&path).bearer(&ada.token).body(YAML, GOOD).send().await.expect(201);
    let one = format!("{path}/{}", text(&made["id"]));
    let before = app.contents().await;
    let mut different = Vec::new();
    for Case { media, document, status, code, pointer, place, detail } in unreadable().into_iter().chain(wrong()) {
        let shown: String = String::from_utf8_lossy(&document).chars().take(160).collect();
        for (method, path) in [
            (Method::POST, path.clone()),
            (Method::POST, format!("{path}?dry_run=true")),
            (Method::PUT, one.clone()),
            (Method::PUT, format!("{one}?dry_run=true")),
        ] {
            let request = app.request(method.clone(), &path).bearer(&ada.token).header("if-match", "\"1\"");
            let answer = request.body(media, document.clone()).send().await;
            let problem = answer.json();
            let errors = problem["errors"].as_array().cloned().unwrap_or_default();
            let number = |name: &str| errors.first().and_then(|error| error[name].as_u64()).unwrap_or(0);
            let told = errors.first().map(|error| (&error["pointer"], number("line"), number("column")));
            let expected = (place != (0, 0)).then_some((json!(pointer), place.0, place.1));
            let is_right = answer.status == status
                && problem["code"] == code
                && told == expected.as_ref().map(|(pointer, line, column)| (pointer, *line, *column))
                && errors.len() <= 1
                && errors.first().is_none_or(|error| text(&error["detail"]).contains(detail));
            if is_right {
                answer.expect_problem(status, code);
            } else {
                different.push(format!(
                    "{method} {path}: {shown}\n  expected {status} {code} {expected:?} {detail:?}\n  found {problem}"
                ));
            }
        }
    }
    assert!(different.is_empty(), "\n{}", different.join("\n"));
    assert_eq!(app.contents().await, before);
}

#[tokio::test]
async fn a_stale_tag_changes_nothing() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/workflows", app.workspace(&ada, "Acme").await);
    let made = app.post(&path).bearer(&ada.token).body(YAML, GOOD).send().await.expect(201);
    let one = format!("{path}/{}", text(&made["id"]));
    let other = GOOD.replace("good", "better");
    app.request(Method::PUT, &one)
        .bearer(&ada.token)
        .header("if-match", "\"1\"")
        .body(YAML, other.clone())
        .send()
        .await
        .expect(200);
    let before = app.contents().await;
    let send = async |method: Method, rest: &str, tag: Option<&str>, media: &str, body: String| {
        let request = app.request(method, &format!("{one}{rest}")).bearer(&ada.token).body(media, body);
        let request = match tag {
            Some(tag) => request.header("if-match", tag),
            None => request,
        };
        request.send().await
    };
    for tag in ["\"1\"", "\"3\"", "W/\"2\"", "2", "\"\"", "\"99999999999999\"", "\"1\", \"3\""] {
        for (method, rest, media, body) in [
            (Method::PUT, "", YAML, GOOD.to_owned()),
            (Method::POST, "/publish", JSON, String::new()),
            (Method::POST, "/rollback", JSON, "{\"version\":1}".to_owned()),
        ] {
            let answer = send(method, rest, Some(tag), media, body).await;
            let problem = answer.expect_problem(412, "precondition-failed");
            assert_eq!(answer.header("etag"), "\"2\"", "{tag} {rest}");
            assert!(problem["detail"].as_str().is_some_and(|told| told.contains("revision 2")), "{problem}");
        }
    }
    send(Method::PUT, "", None, YAML, GOOD.to_owned()).await.expect_problem(428, "precondition-required");
    assert_eq!(app.contents().await, before);
}
