//! A valid request for each operation, from the examples in the OpenAPI document, which are in the handlers.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::Place;
use crate::stripe::{WEBHOOK_SECRET, stripe_signature};

/// A request.
#[derive(Debug, Clone)]
pub struct Example {
    pub method: Method,
    pub path: String,
    /// Its content type and its body.
    pub body: Option<(String, String)>,
    pub headers: Vec<(String, String)>,
}

impl Example {
    /// A GET of `path`.
    pub fn of_get(path: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), body: None, headers: Vec::new() }
    }

    /// The example of `operation`, a `METHOD /path` of the document, with its first body.
    pub fn of(document: &Value, operation: &str, place: &Place) -> Self {
        Self::all(document, operation, place).swap_remove(0)
    }

    /// The examples of `operation`: one for each media type of its body that has an example.
    pub fn all(document: &Value, operation: &str, place: &Place) -> Vec<Self> {
        let (method, path) = operation.split_once(' ').expect("an operation is a method and a path");
        let described = &document["paths"][path][method.to_lowercase()];
        assert!(described.is_object(), "{operation} is not in the document");
        let example = Self {
            method: method.parse().expect("a method of the document"),
            path: place.fill(path),
            body: None,
            headers: headers(operation, described),
        };
        if described["requestBody"].is_null() {
            return vec![example];
        }
        if operation == "POST /api/v1/webhooks/stripe" {
            return vec![notification(example)];
        }
        let bodies = bodies(described);
        assert!(
            !bodies.is_empty(),
            "{operation} takes a body and has no example of one: write `request_body(content = …, example = json!(…))` at its \
             handler; it is documentation for callers, and the request of these tests"
        );
        bodies.into_iter().map(|body| Self { body: Some(body), ..example.clone() }).collect()
    }
}

/// A new notification of Stripe, signed at this time.
fn notification(example: Example) -> Example {
    let env = tidegate::system::environment();
    let object = json!({ "id": "pi_of_nobody" });
    let id = format!("evt_{}", env.uuid_v7().simple());
    let body = json!({ "id": id, "type": "payment_intent.succeeded", "data": { "object": object } }).to_string();
    let signature = stripe_signature(WEBHOOK_SECRET, env.now().timestamp(), &body);
    let headers = vec![("stripe-signature".to_owned(), signature)];
    Example { body: Some(("application/json".to_owned(), body)), headers, ..example }
}

/// The examples of an operation's body with their media types.
fn bodies(described: &Value) -> Vec<(String, String)> {
    let content = described["requestBody"]["content"].as_object().into_iter().flatten();
    let with_example = content.filter_map(|(media, of_media)| Some((media.clone(), of_media.get("example")?)));
    let with_text = with_example.map(|(media, example)| match media.as_str() {
        "multipart/form-data" => form(example),
        _ => (media, text_of(example)),
    });
    with_text.collect()
}

/// A form with the members of an example as fields. The one with the name `file` is a file.
fn form(example: &Value) -> (String, String) {
    let (boundary, mut body) = ("boundary-of-an-example", String::new());
    for (name, value) in example.as_object().into_iter().flatten() {
        let file = if name == "file" { "; filename=\"notes.txt\"" } else { "" };
        let head = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        body.extend([head, text_of(value), "\r\n".to_owned()]);
    }
    (format!("multipart/form-data; boundary={boundary}"), format!("{body}--{boundary}--\r\n"))
}

/// The headers that an operation requires, or that have an example in the document.
fn headers(operation: &str, described: &Value) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        let (name, example) = (parameter["name"].as_str().expect("a parameter has a name"), parameter.get("example"));
        assert!(
            parameter["required"] != true || parameter["in"] == "path" || example.is_some(),
            "{operation} needs `{name}` and has no example of it: write `example = …` at its parameter"
        );
        match example {
            Some(example) if parameter["in"] == "header" => headers.push((name.to_owned(), text_of(example))),
            _ => {}
        }
    }
    headers
}

/// A text is used unchanged, such as YAML; everything else becomes JSON.
fn text_of(example: &Value) -> String {
    example.as_str().map_or_else(|| example.to_string(), str::to_owned)
}
