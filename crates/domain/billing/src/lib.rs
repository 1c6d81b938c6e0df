//! Billing: plans, what they allow, and usage.
//!
//! - [`plan`] is the catalogue: versioned data that ships with the program.
//! - [`meter`] has the limits of plans by meter. [`quota`] reserves from them. [`calls`] counts API calls in memory and
//!   writes batches.
//! - [`ports`] has the obligations of a store. [`service`] answers what a workspace may use and has used.
//!
//! The row that assigns positions counts events. The statements that record runs and steps count those. Nothing is
//! estimated.

pub mod calls;
pub mod error;
pub mod meter;
pub mod plan;
pub mod ports;
pub mod quota;
pub mod service;

pub use calls::CallMeter;
pub use error::{CatalogueError, PlanError, UsageError};
pub use meter::{Usage, limit_of};
pub use plan::{Catalogue, Entitlements, Interval, Plan, PlanVersion, Price};
pub use ports::{BillingTx, BudgetLedger, CallCount, CallLedger, PlanLimits, PlanRepository, UsageRepository};
pub use quota::PlanQuota;
pub use service::Billing;
