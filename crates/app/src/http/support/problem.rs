//! Error responses: problem+json (RFC 9457) with a stable type, the request id and the exact field.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tidegate_kernel::{Forbidden, Meter, Permission, QuotaExceeded, RequestId, StoreError};
use tidegate_postgres::DatabaseAway;
use utoipa::ToSchema;

use super::schema;

/// The media type of every error response.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One kind of problem. Its slug is part of the API and never changes.
#[derive(Debug, PartialEq, Eq)]
pub struct ProblemType {
    /// The `code`, and the last part of the `type`.
    pub slug: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The summary, the same for every occurrence.
    pub title: &'static str,
}

macro_rules! problem_types {
    ($($name:ident = $status:literal $slug:literal $title:literal;)*) => {
        $(#[doc = $title] pub const $name: ProblemType = ProblemType { slug: $slug, status: $status, title: $title };)*
        /// Every kind of problem, by status.
        #[cfg(test)]
        const PROBLEM_TYPES: &[&ProblemType] = &[$(&$name,)*];
    };
}

problem_types! {
    BAD_REQUEST = 400 "bad-request" "The request cannot be read";
    MALFORMED_BODY = 400 "malformed-body" "The body cannot be read";
    INVALID_QUERY = 400 "invalid-query" "A query parameter is not valid";
    INVALID_CURSOR = 400 "invalid-cursor" "The cursor is not valid for this list";
    INVALID_SIGNATURE = 400 "invalid-signature" "The signature is not valid";
    INVALID_LINK = 400 "invalid-link" "The link of the mail is not valid";
    UNAUTHENTICATED = 401 "unauthenticated" "A valid access token or API key is needed";
    INVALID_CREDENTIALS = 401 "invalid-credentials" "The e-mail or the password is wrong";
    INVALID_REFRESH_TOKEN = 401 "invalid-refresh-token" "The refresh token is not valid";
    SECOND_FACTOR_REQUIRED = 401 "second-factor-required" "A second factor is needed";
    INVALID_CHALLENGE = 401 "invalid-challenge" "The log-in has to begin again";
    INVALID_CODE = 401 "invalid-code" "The code is wrong";
    STEP_UP_REQUIRED = 401 "step-up-required" "You have to prove again who you are";
    REFRESH_REUSED = 401 "refresh-reused" "The refresh token was used before";
    INVOICE_OPEN = 402 "invoice-open" "An invoice must be paid first";
    QUOTA_EXCEEDED = 402 "quota-exceeded" "The plan's quota is used up";
    FORBIDDEN = 403 "forbidden" "The permission is missing";
    EMAIL_UNVERIFIED = 403 "email-unverified" "The e-mail address is not verified";
    SECOND_FACTOR_POLICY = 403 "second-factor-policy" "The workspace admits nobody without a second factor";
    PERSON_REQUIRED = 403 "person-required" "A person is needed, not an API key";
    NOT_FOUND = 404 "not-found" "There is nothing here that you can see";
    METHOD_NOT_ALLOWED = 405 "method-not-allowed" "The method is not supported here";
    NOT_ACCEPTABLE = 406 "not-acceptable" "The response cannot be sent in an accepted form";
    CONFLICT = 409 "conflict" "The request conflicts with the current state";
    EMAIL_TAKEN = 409 "email-taken" "The e-mail address has an account already";
    SLUG_TAKEN = 409 "slug-taken" "Another workspace has this slug";
    NAME_TAKEN = 409 "name-taken" "The workspace has another one of this name";
    PLAN_TOO_SMALL = 409 "plan-too-small" "The workspace uses more than the plan allows";
    LAST_OWNER = 409 "last-owner" "A workspace keeps at least one owner";
    FILE_STATE = 409 "file-state" "The file is in another state than this needs";
    NOTHING_UPLOADED = 409 "nothing-uploaded" "Nothing was sent to the URL of the upload";
    UPLOAD_COMPLETED = 409 "upload-completed" "The upload is complete already";
    UPLOAD_IN_PROGRESS = 409 "upload-in-progress" "Another request is completing the upload";
    CANNOT_PRESIGN = 409 "cannot-presign" "The object store cannot presign requests";
    IDEMPOTENCY_IN_FLIGHT = 409 "idempotency-in-flight" "A request with this key is still under way";
    UPLOAD_EXPIRED = 410 "upload-expired" "The time of the upload is over";
    PRECONDITION_FAILED = 412 "precondition-failed" "The resource has changed since it was read";
    BODY_TOO_LARGE = 413 "body-too-large" "The body is too large";
    FILE_TOO_LARGE = 413 "file-too-large" "The plan allows no file of this size";
    UNSUPPORTED_MEDIA_TYPE = 415 "unsupported-media-type" "The content type is not supported";
    RANGE_NOT_SATISFIABLE = 416 "range-not-satisfiable" "The range lies beyond the end";
    INVALID = 422 "invalid" "The content is not valid";
    IDEMPOTENCY_MISMATCH = 422 "idempotency-mismatch" "This key came with another request before";
    PRECONDITION_REQUIRED = 428 "precondition-required" "If-Match is needed so that no change is lost";
    DAILY_QUOTA_EXCEEDED = 429 "daily-quota-exceeded" "The plan's requests of the day are used up";
    FILE_TYPE_REFUSED = 422 "file-type-refused" "Files of this type are refused, or the type is not what the content is";
    RATE_LIMITED = 429 "rate-limited" "Too many requests";
    INTERNAL = 500 "internal" "Something failed on our side";
    NO_OBJECT_STORE = 501 "no-object-store" "This installation has no object store";
    UNAVAILABLE = 503 "unavailable" "The service cannot answer just now";
    TIMEOUT = 503 "timeout" "The request took too long";
}

/// A wrong field.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field in the body, or the name of a query parameter.
    pub pointer: String,
    /// What to change.
    pub detail: String,
    /// Line in the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl FieldError {
    /// An error at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), ..Self::default() }
    }
}

/// An error response.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: &'static ProblemType,
    detail: String,
    errors: Vec<FieldError>,
    quota: Option<Box<QuotaView>>,
    challenge: Option<Box<ChallengeView>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this kind; `detail` says what happened this time and what to change.
    pub fn new(kind: &'static ProblemType, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), quota: None, challenge: None, headers: Vec::new() }
    }

    /// The response for everything that the caller may not see, whether it exists or not.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(&NOT_FOUND, "It does not exist, or you have no access to it.")
    }

    /// A 422 with these wrong fields.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => one.detail.clone(),
            many => format!("{} fields are not valid.", many.len()),
        };
        Self { errors, ..Self::new(&INVALID, detail) }
    }

    /// The same problem with the wrong fields that caused it.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The same problem with a response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same problem with the limit that refused the request.
    #[must_use]
    pub fn with_quota(mut self, quota: QuotaView) -> Self {
        self.quota = Some(Box::new(quota));
        self
    }

    /// The same problem with the challenge that goes on with a log-in.
    #[must_use]
    pub fn with_challenge(mut self, challenge: ChallengeView) -> Self {
        self.challenge = Some(Box::new(challenge));
        self
    }

    /// The body, with the id of the request.
    pub(crate) fn body(&self, request_id: Option<&RequestId>) -> ProblemBody {
        ProblemBody {
            r#type: format!("/problems/{}", self.kind.slug),
            title: self.kind.title.to_owned(),
            status: self.kind.status,
            code: self.kind.slug.to_owned(),
            detail: self.detail.clone(),
            request_id: request_id.map(|id| id.as_str().to_owned()),
            errors: self.errors.clone(),
            quota: self.quota.as_deref().copied(),
            challenge: self.challenge.as_deref().cloned(),
        }
    }
}

/// An error (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// `/problems/<code>`; it never changes.
    #[schema(example = "/problems/not-found")]
    r#type: String,
    /// A summary of the problem type.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The last part of `type`.
    #[schema(value_type = schema::Code)]
    code: String,
    /// What happened in this case, and what to change.
    detail: String,
    /// The request's id, to quote when you ask for help; also in `X-Request-Id`.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    request_id: Option<String>,
    /// The wrong fields that caused it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The limit that refused it, for the codes `quota-exceeded`, `daily-quota-exceeded` and `rate-limited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaView>,
    /// How a log-in goes on, for the code `second-factor-required`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    challenge: Option<ChallengeView>,
}

/// How a log-in goes on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ProblemChallenge)]
pub struct ChallengeView {
    /// The secret to send with the code.
    pub(crate) challenge: String,
    /// The kinds of factors that the person has; a recovery code is always possible.
    pub(crate) factors: Vec<&'static str>,
    /// Seconds until the log-in has to begin again.
    pub(crate) expires_in: i64,
}

/// A limit that refused a request.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = ProblemQuota)]
pub struct QuotaView {
    /// What is limited; more may be added.
    #[schema(value_type = schema::Limited)]
    pub(crate) meter: &'static str,
    /// The limit.
    #[schema(minimum = 0)]
    pub(crate) limit: i64,
    /// What is used of it.
    #[schema(minimum = 0)]
    pub(crate) used: i64,
    /// When the count begins at zero again; null if it does not, as with members.
    pub(crate) resets_at: Option<DateTime<Utc>>,
}

impl From<QuotaExceeded> for QuotaView {
    fn from(exceeded: QuotaExceeded) -> Self {
        let QuotaExceeded { meter, limit, used, resets_at } = exceeded;
        Self { meter: meter.as_str(), limit, used, resets_at }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.slug, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The envelope writes the body, since it knows the request's id.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code()).finish();
        for (name, value) in &self.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<Forbidden> for Problem {
    fn from(error: Forbidden) -> Self {
        let also = match error.0 {
            Permission::BillingWrite => ", and a verified e-mail address",
            _ => "",
        };
        Self::new(&FORBIDDEN, format!("This needs the permission `{}`{also}.", error.0))
    }
}

impl From<QuotaExceeded> for Problem {
    fn from(exceeded: QuotaExceeded) -> Self {
        // Ingest counts each refused event.
        if exceeded.meter != Meter::Events {
            metrics::counter!("quota_refusals_total", "meter" => exceeded.meter.as_str()).increment(1);
        }
        let QuotaExceeded { meter, limit, used, resets_at } = exceeded;
        let what = meter.as_str().replace('_', " ");
        let detail = match resets_at {
            Some(at) => {
                let at = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                format!("The plan allows {limit} {what} in this period, which ends at {at}; {used} are used.")
            }
            None => {
                format!("The plan allows {limit} {what}; {used} are used. Remove some, or change the plan.")
            }
        };
        Self::new(&QUOTA_EXCEEDED, detail).with_quota(exceeded.into())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(source) => {
                // The circuit breaker has already logged that the database is away.
                if !source.is::<DatabaseAway>() {
                    tracing::warn!(error = %source, "the store is unavailable");
                }
                Self::new(&UNAVAILABLE, "The database cannot be reached just now; try again.")
                    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            StoreError::Conflict(constraint) => {
                tracing::error!(%constraint, "a constraint refused a write that the use case should have prevented");
                Self::internal()
            }
            StoreError::Internal(source) => {
                tracing::error!(error = %source, "the store failed");
                Self::internal()
            }
        }
    }
}

impl Problem {
    /// A defect of the server. The log has the cause; the response never has it.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(&INTERNAL, "The failure was logged. Quote the request id when you ask about it.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_unique_and_documented() {
        let documented = include_str!("../../../../../docs/problems.md");
        for (index, kind) in PROBLEM_TYPES.iter().enumerate() {
            assert!(PROBLEM_TYPES[..index].iter().all(|other| other.slug != kind.slug), "{} stands twice", kind.slug);
            let row = format!("| `{}` | {} | {} |", kind.slug, kind.status, kind.title);
            assert!(documented.contains(&row), "docs/problems.md lacks the row {row}");
        }
    }
}
