//! Counts requests in a workspace against its plan.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use chrono::TimeDelta;
use tidegate_kernel::{Limit, Meter, Quota, QuotaError, StoreError, WorkspaceScope};

use super::problem::{DAILY_QUOTA_EXCEEDED, Problem, QuotaView, RATE_LIMITED};
use crate::Services;
use crate::tenancy::limits::REQUESTS;

/// What stays open when the requests of the day are used up, so that people can see why and change it: the first part of
/// the path after the workspace.
const ALWAYS_OPEN: &[&str] = &[
    "usage",
    "subscription",
    "invoices",
    "credit-notes",
    "ledger",
    "promo-codes",
    "billing-details",
    "payment-method",
    "payments",
];

/// Counts a request.
///
/// # Errors
/// 429 with `Retry-After` if the plan allows no more requests in this minute or on this day. The request is not counted
/// then.
pub(super) async fn count_call(
    request: &HttpRequest,
    services: &Services,
    scope: &WorkspaceScope,
) -> Result<(), Problem> {
    if !is_always_open(request) {
        check_minute(services, scope).await?;
        match services.billing.quota.reserve(scope, Meter::ApiCalls, 1).await {
            Ok(reservation) => reservation.commit(),
            Err(QuotaError::Exceeded(exceeded)) => {
                metrics::counter!("quota_refusals_total", "meter" => exceeded.meter.as_str()).increment(1);
                let now = services.platform.env.now();
                let left = exceeded.resets_at.map_or(0, |at| (at - now).num_seconds().max(0)) + 1;
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

async fn check_minute(services: &Services, scope: &WorkspaceScope) -> Result<(), Problem> {
    let plan = services.billing.plans.plan_of(scope).await.map_err(StoreError::from)?;
    let Limit::AtMost(limit) = plan.entitlements.requests_per_minute else { return Ok(()) };
    let decision = services.tenancy.limits.check_workspace(scope.workspace(), limit).await;
    if decision.allowed {
        return Ok(());
    }
    metrics::counter!("rate_limit_refusals_total", "limit" => REQUESTS).increment(1);
    let seconds = decision.reset_after.as_secs() + 1;
    let resets_at = TimeDelta::from_std(decision.reset_after).ok().map(|left| services.platform.env.now() + left);
    let detail = format!("The plan allows {limit} requests a minute. Try again in {seconds} s.");
    let quota = QuotaView { meter: REQUESTS, limit, used: limit, resets_at };
    let problem = Problem::new(&RATE_LIMITED, detail).with_quota(quota);
    Err(problem.with_header(RETRY_AFTER, HeaderValue::from(seconds)))
}

fn is_always_open(request: &HttpRequest) -> bool {
    let pattern = request.match_pattern().unwrap_or_default();
    let area = pattern.split_once("/workspaces/{ws}/").and_then(|(_, rest)| rest.split('/').next());
    area.is_some_and(|area| ALWAYS_OPEN.contains(&area))
}
