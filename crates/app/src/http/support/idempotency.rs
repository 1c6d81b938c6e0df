//! `Idempotency-Key` on every POST in a workspace, and on creating one (draft-ietf-httpapi-idempotency-key-header).
//!
//! The first request with a key is executed, and its response is stored for a day. The same request again gets the
//! stored response with `Idempotency-Replayed: true`. Another request with the same key gets 422, and a request while
//! the first is under way 409. Keys belong to the caller in the workspace. Only responses of success are stored: after
//! an error the key is free again. If the handler has marked its response as secret, the response is stored without its
//! secrets.
//!
//! Not covered: events, which are deduplicated by `source` and `id`, uploads of files in forms, and operations before
//! there is a caller.

use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};
use tidegate_kernel::{PersonScope, StoreError, UnitOfWork, WorkspaceScope};
use tidegate_tenancy::WorkspaceRef;
use tidegate_use_cases::{Claim, Fingerprint, IdempotencyKey, IdempotencyTx, KeptAnswer, Terms};
use tracing::Instrument;

use super::body::read;
use super::caller::Caller;
use super::problem::{BAD_REQUEST, IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_MISMATCH, Problem};
use super::secret::WithoutSecrets;
use crate::Services;

/// The header with the idempotency key.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks a stored response.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Headers of the response that are stored with its body.
const KEPT_HEADERS: [HeaderName; 3] = [CONTENT_TYPE, LOCATION, ETAG];
/// The longest key, in bytes.
pub(crate) const LONGEST_KEY: usize = 255;
/// The largest body of a request or a response with a key.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How long a claim blocks other requests with the key. It is longer than the time limit of a request.
const CLAIM: TimeDelta = TimeDelta::seconds(120);
/// How long a response is stored.
const KEEP: TimeDelta = TimeDelta::hours(24);

/// The owner of a key.
enum Owner {
    Workspace(WorkspaceScope),
    Person(PersonScope),
}

impl Owner {
    async fn begin(&self, services: &Services) -> Result<Box<dyn IdempotencyTx>, StoreError> {
        match self {
            Self::Workspace(scope) => {
                UnitOfWork::<dyn IdempotencyTx, WorkspaceScope>::begin(services.platform.store.as_ref(), scope).await
            }
            Self::Person(scope) => {
                UnitOfWork::<dyn IdempotencyTx, PersonScope>::begin(services.platform.store.as_ref(), scope).await
            }
        }
    }
}

/// The middleware, which runs inside the envelope.
///
/// # Errors
/// Errors of the request, and problems with its key.
pub async fn middleware(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let named = request.method() == Method::POST && request.headers().contains_key(KEY);
    let owner = if named { owner(&mut request).await? } else { None };
    let Some(owner) = owner else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let services = request.app_data::<web::Data<Services>>().cloned().ok_or_else(Problem::internal)?;
    let key = key(request.request())?;
    let body = read(request.take_payload(), MAX_BYTES).await?;
    let fingerprint = fingerprint(request.request(), &body);
    request.set_payload(Payload::from(body));

    let now = services.platform.env.now().trunc_subsecs(6);
    let terms = Terms { now, claimed_until: now + CLAIM, kept_until: now + KEEP };
    let mut tx = owner.begin(&services).await.map_err(Problem::from)?;
    let claim = tx.idempotency().claim(&key, &fingerprint, terms).await.map_err(Problem::from)?;
    tx.commit().await.map_err(Problem::from)?;
    let claimed_until = match claim {
        Claim::Ours(until) => until,
        Claim::Done(answer) => return Ok(request.into_response(replay(answer))),
        Claim::InFlight => {
            let problem = Problem::new(&IDEMPOTENCY_IN_FLIGHT, "Wait for its answer, then ask again.");
            return Err(problem.with_header(RETRY_AFTER, HeaderValue::from_static("1")).into());
        }
        Claim::OtherRequest => {
            let detail = "This key came with another method, path or body; a new request needs a new key.";
            return Err(Problem::new(&IDEMPOTENCY_MISMATCH, detail).into());
        }
    };
    // A task of its own: a caller who gives up cannot stop it between the change and storing the response.
    let call = next.call(request);
    let task = async move { settle(&services, &owner, &key, claimed_until, call.await).await }.in_current_span();
    actix_web::rt::spawn(task).await.map_err(|_| Problem::internal())?
}

/// The segments behind `/workspaces` in a path; `None` if keys are ignored there.
fn parts(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = path.strip_prefix("/api/v1/workspaces")?.split('/').skip(1).collect();
    // The body of an upload is not kept in memory.
    let takes_none = parts.get(1) == Some(&"events") || parts.get(1..) == Some(&["files"]);
    (!takes_none).then_some(parts)
}

/// Whether a POST to this path may have an idempotency key.
pub(crate) fn takes_keys(path: &str) -> bool {
    parts(path).is_some()
}

/// The owner of the request's key; `None` if keys are ignored for this path or caller.
async fn owner(request: &mut ServiceRequest) -> Result<Option<Owner>, Problem> {
    let path = request.path().to_owned();
    let Some(parts) = parts(&path) else { return Ok(None) };
    let (http, mut payload) = (request.request().clone(), Payload::None);
    // The handler refuses a caller who is not authenticated or does not belong there.
    let Ok(caller) = Caller::from_request(&http, &mut payload).await else { return Ok(None) };
    let services = request.app_data::<web::Data<Services>>().cloned().ok_or_else(Problem::internal)?;
    let access = &services.tenancy.access;
    let Some(named) = parts.first() else {
        return Ok(access.person(&caller.principal, caller.origin).ok().map(Owner::Person));
    };
    let Ok(workspace) = WorkspaceRef::parse(named) else { return Ok(None) };
    Ok(access.enter(&caller.principal, &workspace, caller.origin).await.ok().map(Owner::Workspace))
}

fn key(request: &HttpRequest) -> Result<IdempotencyKey, Problem> {
    let mut values = request.headers().get_all(KEY);
    let (first, second) = (values.next(), values.next());
    let text = first.filter(|_| second.is_none()).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !(1..=LONGEST_KEY).contains(&text.len()) {
        return Err(Problem::new(&BAD_REQUEST, "`Idempotency-Key` is one text of 1 to 255 visible ASCII characters."));
    }
    Ok(IdempotencyKey(Sha256::digest(text).into()))
}

/// A digest of the request. Each part has its length in front, so that no two requests give the same input.
fn fingerprint(request: &HttpRequest, body: &[u8]) -> Fingerprint {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let parts = [request.path().as_bytes(), request.query_string().as_bytes(), content_type, body];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    Fingerprint(hash.finalize().into())
}

fn replay(answer: KeptAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    for header in answer.headers {
        response.append_header(header);
    }
    response.insert_header((REPLAYED, "true")).body(answer.body)
}

/// Stores the response of a success, or frees the key after an error.
async fn settle(
    services: &Services,
    owner: &Owner,
    key: &IdempotencyKey,
    claimed_until: DateTime<Utc>,
    result: Result<ServiceResponse<impl MessageBody + 'static>, Error>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = match result {
        Ok(response) if response.status().is_success() => response.map_into_boxed_body(),
        failed => {
            let freed = async {
                let mut tx = owner.begin(services).await?;
                tx.idempotency().release(key, claimed_until).await?;
                tx.commit().await
            };
            // If it cannot be freed, the claim expires by itself.
            if let Err(error) = freed.await {
                tracing::warn!(%error, "an idempotency key could not be freed");
            }
            return failed.map(ServiceResponse::map_into_boxed_body);
        }
    };
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let body = to_bytes_limited(body, MAX_BYTES).await.map_err(|_| Problem::internal())?;
    let body = body.map_err(|_| Problem::internal())?;
    let answer = KeptAnswer {
        status: head.status().as_u16(),
        headers: KEPT_HEADERS
            .iter()
            .filter_map(|name| Some((name.to_string(), head.headers().get(name)?.to_str().ok()?.to_owned())))
            .collect(),
        body: head.extensions().get::<WithoutSecrets>().map_or_else(|| body.to_vec(), |kept| kept.0.clone()),
    };
    let kept = async {
        let mut tx = owner.begin(services).await?;
        tx.idempotency().finish(key, claimed_until, &answer).await?;
        tx.commit().await
    };
    // The caller gets the response nevertheless, because the change was made.
    if let Err(error) = kept.await {
        tracing::error!(%error, "an answer could not be kept for its idempotency key");
    }
    Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(body))))
}
