//! The bodies of the catalogue of plans.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_billing::{Currency, Entitlements, Feature, Interval, Metered, Overage, PlanRecord, Price};
use tidegate_kernel::Limit;
use utoipa::ToSchema;
use validator::Validate;

use crate::http::support::schema;

/// A new version of a plan.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPlanVersion {
    /// The name of a plan, or of a new one.
    #[validate(length(max = 40, message = "a name has 1 to 40 lower-case letters and dashes"))]
    #[schema(example = "team", pattern = "^[a-z-]{1,40}$")]
    pub(super) name: String,
    /// The number: higher than that of every other version. The next one if absent.
    #[serde(default)]
    #[validate(range(min = 1))]
    #[schema(minimum = 1)]
    pub(super) version: Option<i32>,
    /// The title for display.
    #[validate(length(min = 1, max = 100))]
    #[schema(min_length = 1, max_length = 100)]
    pub(super) title: String,
    /// The ways to pay: one price for each interval and currency. A plan without a price cannot be bought.
    #[validate(length(max = 100))]
    #[schema(max_items = 100)]
    pub(super) prices: Vec<PriceBody>,
    /// What the plan allows.
    #[validate(nested)]
    pub(super) entitlements: EntitlementsBody,
}

/// What a draft becomes.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplacePlanVersion {
    /// The title for display.
    #[validate(length(min = 1, max = 100))]
    #[schema(min_length = 1, max_length = 100)]
    pub(super) title: String,
    /// The ways to pay: one price for each interval and currency.
    #[validate(length(max = 100))]
    #[schema(max_items = 100)]
    pub(super) prices: Vec<PriceBody>,
    /// What the plan allows.
    #[validate(nested)]
    pub(super) entitlements: EntitlementsBody,
}

/// The price of one interval.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceBody {
    /// How often the price is paid.
    #[schema(value_type = schema::PlanInterval)]
    interval: Interval,
    /// The currency (ISO 4217).
    #[schema(value_type = String, example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: Currency,
    /// Minor units of the currency, such as cents.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    amount: i64,
}

/// What a plan allows. A limit is a number, or null for unlimited; none is absent.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntitlementsBody {
    /// Each feature, and whether the plan has it.
    features: FeaturesBody,
    /// Bytes of all files.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 0))]
    #[schema(minimum = 0, required = true)]
    storage_bytes: Option<i64>,
    /// Bytes of the largest file.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 0))]
    #[schema(minimum = 0, required = true)]
    file_bytes: Option<i64>,
    /// Workflows that exist at the same time.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 0))]
    #[schema(minimum = 0, required = true)]
    workflows: Option<i64>,
    /// API requests per day.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 0))]
    #[schema(minimum = 0, required = true)]
    api_calls_per_day: Option<i64>,
    /// API requests per minute.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 0))]
    #[schema(minimum = 0, required = true)]
    requests_per_minute: Option<i64>,
    /// Members at the same time.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 0))]
    #[schema(minimum = 0, required = true)]
    members: Option<i64>,
    /// Runs that have not ended, at the same time.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 1))]
    #[schema(minimum = 1, required = true)]
    concurrent_runs: Option<i64>,
    /// Events added per month.
    #[validate(nested)]
    events_per_month: MeteredBody,
    /// Runs started per month.
    #[validate(nested)]
    runs_per_month: MeteredBody,
    /// Steps per month.
    #[validate(nested)]
    steps_per_month: MeteredBody,
}

/// The features that a plan has or lacks.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each feature is a member of its own in the API")]
pub struct FeaturesBody {
    /// Roles beside the four standard ones.
    custom_roles: bool,
    /// The audit log as a file.
    audit_export: bool,
    /// Restriction of a workspace to networks.
    network_policy: bool,
    /// Log-in through the customer's identity provider.
    single_sign_on: bool,
}

/// An amount per month, and what more of it costs.
#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MeteredBody {
    /// The amount that the price includes; null is unlimited.
    #[serde(deserialize_with = "Option::deserialize")]
    #[validate(range(min = 0))]
    #[schema(minimum = 0, required = true)]
    included: Option<i64>,
    /// The price of more; null if nothing more can be used.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    overage: Option<OverageBody>,
}

/// The price of usage beyond the included amount.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OverageBody {
    /// The number of units that `amounts` is for.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    per: i64,
    /// The price of `per` units in minor units, for each currency of the prices.
    #[schema(value_type = BTreeMap<String, i64>)]
    amounts: BTreeMap<Currency, i64>,
}

/// A version of a plan, for operators.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanVersionView {
    /// The name of the plan.
    #[schema(example = "team", pattern = "^[a-z-]{1,40}$")]
    name: String,
    /// The number of the version.
    #[schema(minimum = 1)]
    version: i32,
    /// The status. The newest published version of a plan is sold.
    #[schema(value_type = schema::PlanStatus)]
    status: &'static str,
    /// Grows with every change; also the `ETag` of the version.
    #[schema(minimum = 1)]
    revision: i32,
    /// Whether it shipped with the program.
    built_in: bool,
    /// The title for display.
    title: String,
    /// The ways to pay.
    prices: Vec<PriceBody>,
    /// What the plan allows.
    entitlements: EntitlementsBody,
    /// When it was created.
    created_at: DateTime<Utc>,
    /// When it was published.
    published_at: Option<DateTime<Utc>>,
    /// When it was retired.
    retired_at: Option<DateTime<Utc>>,
}

fn limit(at_most: Option<i64>) -> Limit {
    at_most.map_or(Limit::Unlimited, Limit::AtMost)
}

impl From<MeteredBody> for Metered {
    fn from(MeteredBody { included, overage }: MeteredBody) -> Self {
        let overage = overage.map(|OverageBody { per, amounts }| Overage { per, amounts });
        Self { included: limit(included), overage }
    }
}

impl From<Metered> for MeteredBody {
    fn from(Metered { included, overage }: Metered) -> Self {
        let overage = overage.map(|Overage { per, amounts }| OverageBody { per, amounts });
        Self { included: included.at_most(), overage }
    }
}

impl From<FeaturesBody> for BTreeMap<Feature, bool> {
    fn from(body: FeaturesBody) -> Self {
        let has = |feature: &Feature| match feature {
            Feature::CustomRoles => body.custom_roles,
            Feature::AuditExport => body.audit_export,
            Feature::NetworkPolicy => body.network_policy,
            Feature::SingleSignOn => body.single_sign_on,
        };
        Feature::ALL.iter().map(|feature| (*feature, has(feature))).collect()
    }
}

impl From<&Entitlements> for FeaturesBody {
    fn from(of: &Entitlements) -> Self {
        Self {
            custom_roles: of.has(Feature::CustomRoles),
            audit_export: of.has(Feature::AuditExport),
            network_policy: of.has(Feature::NetworkPolicy),
            single_sign_on: of.has(Feature::SingleSignOn),
        }
    }
}

impl From<EntitlementsBody> for Entitlements {
    fn from(body: EntitlementsBody) -> Self {
        Self {
            features: body.features.into(),
            storage_bytes: limit(body.storage_bytes),
            file_bytes: limit(body.file_bytes),
            workflows: limit(body.workflows),
            api_calls_per_day: limit(body.api_calls_per_day),
            requests_per_minute: limit(body.requests_per_minute),
            members: limit(body.members),
            concurrent_runs: limit(body.concurrent_runs),
            events_per_month: body.events_per_month.into(),
            runs_per_month: body.runs_per_month.into(),
            steps_per_month: body.steps_per_month.into(),
        }
    }
}

impl From<Entitlements> for EntitlementsBody {
    fn from(of: Entitlements) -> Self {
        Self {
            features: FeaturesBody::from(&of),
            storage_bytes: of.storage_bytes.at_most(),
            file_bytes: of.file_bytes.at_most(),
            workflows: of.workflows.at_most(),
            api_calls_per_day: of.api_calls_per_day.at_most(),
            requests_per_minute: of.requests_per_minute.at_most(),
            members: of.members.at_most(),
            concurrent_runs: of.concurrent_runs.at_most(),
            events_per_month: of.events_per_month.into(),
            runs_per_month: of.runs_per_month.into(),
            steps_per_month: of.steps_per_month.into(),
        }
    }
}

pub(super) fn prices(bodies: Vec<PriceBody>) -> Vec<Price> {
    bodies.into_iter().map(|PriceBody { interval, currency, amount }| Price { interval, currency, amount }).collect()
}

impl From<PlanRecord> for PlanVersionView {
    fn from(record: PlanRecord) -> Self {
        let PlanRecord { plan, status, revision, built_in, created_at, published_at, retired_at } = record;
        let price = |Price { interval, currency, amount }| PriceBody { interval, currency, amount };
        Self {
            name: plan.name,
            version: plan.version,
            status: status.as_str(),
            revision,
            built_in,
            title: plan.title,
            prices: plan.prices.into_iter().map(price).collect(),
            entitlements: plan.entitlements.into(),
            created_at,
            published_at,
            retired_at,
        }
    }
}
