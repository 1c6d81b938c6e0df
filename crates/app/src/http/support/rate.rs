//! Rate limits on operations that are open to guessing, such as logging in.
//!
//! The headers are those of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy` has the limit, and `RateLimit`
//! what remains of it.

use std::net::IpAddr;

use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};

use super::caller::client_address;
use super::problem::{Problem, RATE_LIMITED};
use crate::Services;
use crate::tenancy::limits::Verdict;

/// The header with the limit.
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// The header with what remains of the limit.
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A request that was counted and is within the limit.
#[derive(Debug)]
pub struct Counted(Option<Verdict>);

/// Counts a request against the limit `name`.
///
/// # Errors
/// 429 with `Retry-After` if the limit of the address or the account is exceeded.
pub async fn count(
    request: &HttpRequest,
    services: &Services,
    name: &'static str,
    account: Option<&str>,
) -> Result<Counted, Problem> {
    check(services, name, client_address(request, services), account).await
}

/// Counts a request of a known account against the limit `name`, wherever it comes from: others behind the same address
/// are not concerned.
///
/// # Errors
/// 429 with `Retry-After` if the limit of the account is exceeded.
pub async fn count_account(services: &Services, name: &'static str, account: &str) -> Result<Counted, Problem> {
    check(services, name, None, Some(account)).await
}

async fn check(
    services: &Services,
    name: &'static str,
    address: Option<IpAddr>,
    account: Option<&str>,
) -> Result<Counted, Problem> {
    let counted = Counted(services.tenancy.limits.check(name, address, account).await);
    match &counted.0 {
        Some(verdict) if !verdict.decision.allowed => {
            metrics::counter!("rate_limit_refusals_total", "limit" => name).increment(1);
            let seconds = verdict.decision.reset_after.as_secs() + 1;
            let problem = Problem::new(&RATE_LIMITED, format!("Try again in {seconds} s."));
            Err(counted.on(problem).with_header(RETRY_AFTER, HeaderValue::from(seconds)))
        }
        _ => Ok(counted),
    }
}

impl Counted {
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let Some(Verdict { name, limit, decision }) = &self.0 else { return Vec::new() };
        let window = limit.period.as_secs().max(1);
        let reset = decision.reset_after.as_secs() + 1;
        [
            (RATE_LIMIT_POLICY, format!("\"{name}\";q={};w={window}", limit.n)),
            (RATE_LIMIT, format!("\"{name}\";r={};t={reset}", decision.remaining)),
        ]
        .into_iter()
        .filter_map(|(header, value)| Some((header, HeaderValue::from_str(&value).ok()?)))
        .collect()
    }

    /// Adds the rate limit headers to a problem.
    #[must_use]
    pub fn on(&self, problem: Problem) -> Problem {
        self.headers().into_iter().fold(problem, |problem, (name, value)| problem.with_header(name, value))
    }

    /// Adds the rate limit headers to a response.
    #[must_use]
    pub fn on_answer(&self, mut response: HttpResponse) -> HttpResponse {
        for (name, value) in self.headers() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
