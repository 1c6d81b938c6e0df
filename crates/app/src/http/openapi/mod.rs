//! The OpenAPI document: collected from the handlers, and completed with what all operations have in common.

mod bounds;
mod conditional;
#[cfg(test)]
mod tests;

use actix_web::{HttpResponse, get, web};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, PathItem, Ref, RefOr, Required, ResponseBuilder};
use utoipa_actix_web::AppExt;

use crate::http::support::idempotency;
use crate::http::support::problem::{FieldError, MEDIA_TYPE, ProblemBody};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate",
        description = "Send events; find the patterns in them; turn a suggestion into a workflow; run it durably; see what was used.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ProblemBody, FieldError))
)]
struct Base;

/// The document of this program, without a server.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, mut document) =
        actix_web::App::new().into_utoipa_app().openapi(Base::openapi()).configure(super::routes).split_for_parts();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token from log-in, or an API key."))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    bounds::name_items(components);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations_mut(item) {
            operation.operation_id = Some(operation_id(operation));
            if method == "POST" && idempotency::takes_keys(path) {
                operation.parameters.get_or_insert_default().push(idempotency_key().into());
            }
            if method == "GET" {
                conditional::describe(operation);
            }
            bounds::add_path_parameters(path, operation, components);
            bounds::bound(operation);
            let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let responses = &mut operation.responses.responses;
            for (_, response) in responses.iter_mut().filter(|(status, _)| status.starts_with('4')) {
                if let RefOr::T(response) = response {
                    response.content.entry(MEDIA_TYPE.to_owned()).or_insert_with(|| problem.clone().into());
                }
            }
            let response = ResponseBuilder::new().description("An error").content(MEDIA_TYPE, problem).build();
            responses.entry("default".to_owned()).or_insert_with(|| response.into());
        }
    }
    document
}

/// The `operationId`: the resource and the verb. The names of handlers alone are not unique.
fn operation_id(operation: &Operation) -> String {
    let tag = operation.tags.iter().flatten().next().map_or("", String::as_str);
    format!("{}_{}", tag.replace(' ', "_"), operation.operation_id.as_deref().unwrap_or_default())
}

/// The `Idempotency-Key` header: a request that is sent again with the same key is executed once.
fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The same request with the same key within a day is done once and gets the same \
             answer, with `Idempotency-Replayed: true`; another request with it gets 422.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(idempotency::LONGEST_KEY))
                .pattern(Some("^[ -~]+$")),
        ))
        .build()
}

/// The operations of a path with their methods.
pub fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("GET", item.get.as_mut()),
        ("PUT", item.put.as_mut()),
        ("POST", item.post.as_mut()),
        ("DELETE", item.delete.as_mut()),
        ("PATCH", item.patch.as_mut()),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation?)))
}

/// The document as it is served and committed.
#[must_use]
pub fn json() -> String {
    document().to_pretty_json().unwrap_or_default()
}

/// The document, serialized once.
#[derive(Debug)]
pub struct Rendered(pub String);

/// Get the OpenAPI document of this API.
#[utoipa::path(tag = "meta", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
#[get("/openapi.json")]
pub async fn serve(document: web::Data<Rendered>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}
