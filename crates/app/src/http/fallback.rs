//! Answers for addresses and methods that are not there.

use actix_web::dev::ResourceDef;
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};

use super::problem::{METHOD_NOT_ALLOWED, NOT_FOUND, Problem};

/// Every path that a process answers, with the methods that it takes.
pub struct KnownPaths {
    paths: Vec<(ResourceDef, Vec<&'static str>)>,
    serves_api: bool,
}

impl KnownPaths {
    /// The paths of the OpenAPI document.
    #[must_use]
    pub fn of(document: &mut utoipa::openapi::OpenApi) -> Self {
        let paths = document.paths.paths.iter_mut().map(|(path, item)| {
            let methods = super::openapi::operations_mut(item).map(|(method, _)| method).collect();
            (ResourceDef::new(path.as_str()), methods)
        });
        Self { paths: paths.collect(), serves_api: true }
    }

    /// The paths of a process that only works in the background.
    #[must_use]
    pub const fn of_worker() -> Self {
        Self { paths: Vec::new(), serves_api: false }
    }

    fn methods(&self, path: &str) -> Option<String> {
        let (_, methods) = self.paths.iter().find(|(pattern, _)| pattern.is_match(path))?;
        Some(methods.join(", "))
    }
}

/// The answer where no handler fits: the documentation's address without its slash leads to the one with it.
///
/// # Errors
/// 405 where the path has other methods, 404 otherwise.
pub async fn fallback(request: HttpRequest, known: web::Data<KnownPaths>) -> Result<HttpResponse, Problem> {
    let path = request.path();
    if !known.serves_api {
        let detail = "This process only works in the background; ask one that runs with `--role api` or `--role all`.";
        return Err(Problem::new(&NOT_FOUND, detail));
    }
    if path == "/docs" && request.method() == Method::GET {
        return Ok(HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish());
    }
    if let Some(methods) = known.methods(path) {
        let problem = Problem::new(&METHOD_NOT_ALLOWED, format!("{path} takes {methods}, not {}.", request.method()));
        return Err(match HeaderValue::from_str(&methods) {
            Ok(allow) => problem.with_header(ALLOW, allow),
            Err(_) => problem,
        });
    }
    Err(if path.starts_with("/api/") && !path.starts_with("/api/v1/") {
        Problem::new(&NOT_FOUND, "The API lives under /api/v1; see /docs for its operations.")
    } else {
        Problem::new(&NOT_FOUND, "There is no such path; see /docs for the operations of this API.")
    })
}
