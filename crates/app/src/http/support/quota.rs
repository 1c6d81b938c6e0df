//! Counts requests in a workspace against its plan.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use tidegate_kernel::{Meter, Quota, QuotaError, WorkspaceScope};

use super::problem::{DAILY_QUOTA_EXCEEDED, Problem};
use crate::Services;

/// What stays open when the requests of the day are used up, so that people can see why and change it: the first part of
/// the path after the workspace.
const ALWAYS_OPEN: &[&str] = &["usage", "subscription", "invoices", "ledger", "promo-codes"];

/// Counts a request.
///
/// # Errors
/// 429 with `Retry-After` if the plan allows no more requests on this day.
pub(super) async fn count_call(
    request: &HttpRequest,
    services: &Services,
    scope: &WorkspaceScope,
) -> Result<(), Problem> {
    if !is_always_open(request) {
        match services.billing.quota.reserve(scope, Meter::ApiCalls, 1).await {
            Ok(reservation) => reservation.commit(),
            Err(QuotaError::Exceeded(exceeded)) => {
                metrics::counter!("quota_refusals_total", "meter" => exceeded.meter.as_str()).increment(1);
                let left =
                    exceeded.resets_at.map_or(0, |at| (at - services.platform.env.now()).num_seconds().max(0)) + 1;
                let detail = format!("The plan allows {} requests a day. Try again in {left} s.", exceeded.limit);
                let problem = Problem::new(&DAILY_QUOTA_EXCEEDED, detail).with_quota(exceeded.into());
                return Err(problem.with_header(RETRY_AFTER, HeaderValue::from(left)));
            }
            Err(QuotaError::Store(error)) => return Err(error.into()),
        }
    }
    services.billing.calls.count(scope.workspace());
    Ok(())
}

fn is_always_open(request: &HttpRequest) -> bool {
    let pattern = request.match_pattern().unwrap_or_default();
    let area = pattern.split_once("/workspaces/{ws}/").and_then(|(_, rest)| rest.split('/').next());
    area.is_some_and(|area| ALWAYS_OPEN.contains(&area))
}
