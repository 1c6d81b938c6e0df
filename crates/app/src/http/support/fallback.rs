//! Responses for unknown paths, methods and query parameters.

use actix_web::body::MessageBody;
use actix_web::dev::{ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, HeaderValue, LOCATION};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::ParameterIn;

use super::problem::{METHOD_NOT_ALLOWED, NOT_FOUND, Problem, UNSUPPORTED_MEDIA_TYPE};
use super::query::invalid;

/// A method of a path, and whether it takes query parameters.
struct KnownMethod {
    name: &'static str,
    takes_query: bool,
}

/// Every path that a process serves, with its methods.
pub struct KnownPaths {
    paths: Vec<(ResourceDef, Vec<KnownMethod>)>,
    serves_api: bool,
}

impl KnownPaths {
    /// The paths of the OpenAPI document.
    #[must_use]
    pub fn of(document: &mut utoipa::openapi::OpenApi) -> Self {
        let paths = document.paths.paths.iter_mut().map(|(path, item)| {
            let methods = crate::http::openapi::operations_mut(item).map(|(name, operation)| {
                let parameters = operation.parameters.iter().flatten();
                let mut places = parameters.map(|parameter| match parameter {
                    RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
                    RefOr::Ref(_) => false,
                });
                KnownMethod { name, takes_query: places.any(|is_query| is_query) }
            });
            (ResourceDef::new(path.as_str()), methods.collect())
        });
        Self { paths: paths.collect(), serves_api: true }
    }

    /// The paths of a process that only does background work.
    #[must_use]
    pub const fn of_worker() -> Self {
        Self { paths: Vec::new(), serves_api: false }
    }

    fn find(&self, path: &str) -> Option<&[KnownMethod]> {
        let (_, methods) = self.paths.iter().find(|(pattern, _)| pattern.is_match(path))?;
        Some(methods)
    }

    /// Whether the operation exists and takes no query parameters.
    fn refuses_query(&self, method: &Method, path: &str) -> bool {
        let known = self.find(path).and_then(|methods| methods.iter().find(|known| known.name == method.as_str()));
        known.is_some_and(|known| !known.takes_query)
    }
}

/// Answers requests that no handler matches. The documentation's path without its slash is redirected to the one with
/// it.
///
/// # Errors
/// 405 if the path has other methods, 404 otherwise.
pub async fn fallback(request: HttpRequest, known: web::Data<KnownPaths>) -> Result<HttpResponse, Problem> {
    let path = request.path();
    if !known.serves_api {
        let detail = "This process only works in the background; ask one that runs with `--role api` or `--role all`.";
        return Err(Problem::new(&NOT_FOUND, detail));
    }
    if path == "/docs" && request.method() == Method::GET {
        return Ok(HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish());
    }
    if let Some(methods) = known.find(path) {
        let methods = methods.iter().map(|method| method.name).collect::<Vec<_>>().join(", ");
        let problem = Problem::new(&METHOD_NOT_ALLOWED, format!("{path} takes {methods}, not {}.", request.method()));
        return Err(match HeaderValue::from_str(&methods) {
            Ok(allow) => problem.with_header(ALLOW, allow),
            Err(_) => problem,
        });
    }
    let elsewhere = (path == "/api" || path.starts_with("/api/")) && path != "/api/v1" && !path.starts_with("/api/v1/");
    Err(if elsewhere {
        Problem::new(&NOT_FOUND, "The API lives under /api/v1; see /docs for its operations.")
    } else {
        Problem::new(&NOT_FOUND, "There is no such path; see /docs for the operations of this API.")
    })
}

/// The middleware that refuses compressed bodies, and query parameters of operations that take none. Operations that
/// take some refuse unknown ones themselves.
///
/// # Errors
/// 400 with the name of the first parameter, 415 for a compressed body, otherwise the errors of the request.
pub async fn strict<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    if request.headers().get_all(CONTENT_ENCODING).any(|coding| coding != "identity") {
        let problem = Problem::new(&UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, without a content coding.");
        return Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")).into());
    }
    let query = request.query_string();
    if !query.is_empty() && request.path().starts_with("/api/v1/") {
        let known = request.app_data::<web::Data<KnownPaths>>();
        if known.is_some_and(|known| known.refuses_query(request.method(), request.path())) {
            let name = query.split(['=', '&']).next().unwrap_or_default();
            return Err(invalid(name, "This operation takes no parameters in the query.").into());
        }
    }
    next.call(request).await
}
