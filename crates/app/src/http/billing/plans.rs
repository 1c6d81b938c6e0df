//! The plans that can be bought.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use tidegate_billing::{EntitlementName, Entitlements, Feature, Metered, Overage, Plan, Price};
use tidegate_kernel::Page;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::Services;
use crate::http::support::cursor::List;
use crate::http::support::problem::Problem;
use crate::http::support::schema;

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(list_plans);
}

/// A plan.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanView {
    /// The name by which a plan is chosen.
    #[schema(example = "free")]
    name: String,
    /// Grows with every change of the plan. A workspace keeps the version that it has.
    #[schema(minimum = 1)]
    version: i32,
    /// The title for display.
    title: String,
    /// The ways to pay: one price for each interval and currency. The first is the one to show.
    #[schema(min_items = 1)]
    prices: Vec<PriceView>,
    /// What the plan allows.
    entitlements: EntitlementsView,
}

/// The price of one interval.
#[derive(Debug, Serialize, ToSchema)]
pub struct PriceView {
    /// How often the price is paid.
    #[schema(value_type = schema::PlanInterval)]
    interval: &'static str,
    /// The currency (ISO 4217).
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: &'static str,
    /// Minor units of the currency, such as cents.
    #[schema(minimum = 0)]
    amount: i64,
}

impl From<&Price> for PriceView {
    fn from(price: &Price) -> Self {
        Self { interval: price.interval.as_str(), currency: price.currency.code(), amount: price.amount }
    }
}

/// What a plan allows. A limit is a number that usage cannot pass; null means unlimited.
#[derive(Debug, Serialize, ToSchema)]
pub struct EntitlementsView {
    /// The features, and whether the plan has them; more may be added.
    features: BTreeMap<&'static str, bool>,
    /// Bytes of all files.
    #[schema(minimum = 0)]
    storage_bytes: Option<i64>,
    /// Bytes of the largest file.
    #[schema(minimum = 0)]
    file_bytes: Option<i64>,
    /// Events added per month.
    #[schema(minimum = 0)]
    events_per_month: Option<i64>,
    /// Workflows that exist at the same time.
    #[schema(minimum = 0)]
    workflows: Option<i64>,
    /// Runs started per month.
    #[schema(minimum = 0)]
    runs_per_month: Option<i64>,
    /// Steps per month.
    #[schema(minimum = 0)]
    steps_per_month: Option<i64>,
    /// API requests per day.
    #[schema(minimum = 0)]
    api_calls_per_day: Option<i64>,
    /// API requests per minute.
    #[schema(minimum = 0)]
    requests_per_minute: Option<i64>,
    /// Members at the same time.
    #[schema(minimum = 0)]
    members: Option<i64>,
    /// Runs that have not ended, at the same time.
    #[schema(minimum = 0)]
    concurrent_runs: Option<i64>,
    /// Amounts that the price includes and that usage may pass at a price. They have no limit.
    metered: Vec<MeteredView>,
}

/// An amount that the price includes, and the price of more.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeteredView {
    /// The name of the limit that it replaces.
    #[schema(example = "events_per_month", pattern = "^[a-z_]+$")]
    name: &'static str,
    /// The amount that the price of the plan includes.
    #[schema(minimum = 0)]
    included: i64,
    /// The number of units that the amounts of `overage` are for.
    #[schema(minimum = 1)]
    per: i64,
    /// The price of `per` more units, in minor units, by currency.
    overage: BTreeMap<&'static str, i64>,
}

impl MeteredView {
    fn new(name: EntitlementName, metered: &Metered) -> Option<Self> {
        let Overage { per, amounts } = metered.overage.as_ref()?;
        let overage = amounts.iter().map(|(currency, amount)| (currency.code(), *amount)).collect();
        Some(Self { name: name.as_str(), included: metered.included.at_most()?, per: *per, overage })
    }
}

impl From<&Entitlements> for EntitlementsView {
    fn from(entitlements: &Entitlements) -> Self {
        let limit = |name| entitlements.limit(name).at_most();
        let metered = |name: &EntitlementName| MeteredView::new(*name, entitlements.metered(*name)?);
        Self {
            features: Feature::ALL.iter().map(|feature| (feature.as_str(), entitlements.has(*feature))).collect(),
            storage_bytes: limit(EntitlementName::StorageBytes),
            file_bytes: limit(EntitlementName::FileBytes),
            events_per_month: limit(EntitlementName::EventsPerMonth),
            workflows: limit(EntitlementName::Workflows),
            runs_per_month: limit(EntitlementName::RunsPerMonth),
            steps_per_month: limit(EntitlementName::StepsPerMonth),
            api_calls_per_day: limit(EntitlementName::ApiCallsPerDay),
            requests_per_minute: limit(EntitlementName::RequestsPerMinute),
            members: limit(EntitlementName::Members),
            concurrent_runs: limit(EntitlementName::ConcurrentRuns),
            metered: EntitlementName::ALL.iter().filter_map(metered).collect(),
        }
    }
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        Self {
            name: plan.name.clone(),
            version: plan.version,
            title: plan.title.clone(),
            prices: plan.prices.iter().map(PriceView::from).collect(),
            entitlements: EntitlementsView::from(&plan.entitlements),
        }
    }
}

/// List the plans in their newest versions.
#[utoipa::path(tag = "billing", responses((status = 200, description = "Plans", body = List<PlanView>)))]
#[get("/plans")]
pub async fn list_plans(services: web::Data<Services>) -> Result<HttpResponse, Problem> {
    let items = services.billing.plans.sold().await?.current().map(PlanView::from).collect();
    Ok(HttpResponse::Ok().json(services.cursors.list(Page { items, next: None::<()> }, &"plans")))
}
