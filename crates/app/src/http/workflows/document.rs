//! A workflow document as the body of a request.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde_json::{Value, json};
use tidegate_workflows::definition::{Format, MAX_BYTES};
use tidegate_workflows::model::Document;

use crate::http::support::body::{media_type, read};
use crate::http::support::problem::{Problem, UNSUPPORTED_MEDIA_TYPE};

/// An example for the OpenAPI document.
pub(super) fn yaml_example() -> &'static str {
    "name: Greet\nsteps:\n  - id: greet\n    uses: transform\n    with:\n      greeting: Hello\n"
}

/// The same in JSON.
pub(super) fn json_example() -> Value {
    json!({ "name": "Greet", "steps": [{ "id": "greet", "uses": "transform", "with": { "greeting": "Hello" } }] })
}

/// An extractor of a workflow document, in YAML or JSON by its content type.
#[derive(Debug)]
pub struct DocumentBody(pub(super) Document);

impl FromRequest for DocumentBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let format = match media_type(request).as_deref() {
            Some("application/json") => Some(Format::Json),
            Some("application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml") => Some(Format::Yaml),
            _ => None,
        };
        let bytes = read(payload.take(), MAX_BYTES);
        Box::pin(async move {
            let Some(format) = format else {
                let detail = "Send the document as application/yaml or application/json, in UTF-8.";
                return Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail));
            };
            Ok(Self(Document { format, source: bytes.await?.to_vec() }))
        })
    }
}
