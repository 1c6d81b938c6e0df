//! Answers with a secret that is shown once.

use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;
use serde_json::Value;

use super::problem::Problem;

/// The body of an answer with a secret.
pub trait SecretBody: Serialize {
    /// Its members that are secret.
    const SECRETS: &'static [&'static str];
}

/// The mark of a secret answer, in the extensions of the response: its body with null in place of the secrets. Whatever
/// keeps answers keeps this.
#[derive(Debug, Clone)]
pub(crate) struct WithoutSecrets(pub(crate) Vec<u8>);

/// An answer that nothing on the way may keep (RFC 6749, section 5.1), and whoever keeps answers only without its secrets.
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
