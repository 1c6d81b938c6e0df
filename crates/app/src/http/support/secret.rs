//! Responses with a secret that is shown once.

use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;
use serde_json::Value;

use super::problem::Problem;

/// The body of a response with a secret.
pub trait SecretBody: Serialize {
    /// Its secret members.
    const SECRETS: &'static [&'static str];
}

/// Marks a response as secret, in its extensions: the body with null in place of the secrets. Code that stores
/// responses stores this instead.
#[derive(Debug, Clone)]
pub(crate) struct WithoutSecrets(pub(crate) Vec<u8>);

/// A response with a secret. Caches may not store it (RFC 6749, section 5.1), and stored responses leave the secrets
/// out.
pub(crate) fn secret_answer<T: SecretBody>(
    mut response: HttpResponseBuilder,
    body: &T,
) -> Result<HttpResponse, Problem> {
    let defect = |error: serde_json::Error| {
        tracing::error!(%error, "an answer could not be written");
        Problem::internal()
    };
    let mut kept = serde_json::to_value(body).map_err(defect)?;
    for member in T::SECRETS {
        kept[*member] = Value::Null;
    }
    let kept = WithoutSecrets(serde_json::to_vec(&kept).map_err(defect)?);
    let mut answer = response.insert_header((CACHE_CONTROL, "no-store")).json(body);
    answer.extensions_mut().insert(kept);
    Ok(answer)
}
