//! Billing: plans, what they allow, and what has been used.
//!
//! - [`plan`] is the catalogue, versioned data that ships with the program.
//! - [`meter`] is what is counted and over which period; [`calls`] counts API calls in memory, batch by batch.
//! - [`ports`] is what a store must do, [`service`] answers what a workspace may use and has used.
//!
//! Events are counted by the row that gives them their positions, runs and steps by the statement that records them.
//! Nothing here estimates.

pub mod calls;
pub mod error;
pub mod meter;
pub mod plan;
pub mod ports;
pub mod service;

pub use calls::CallMeter;
pub use error::{CatalogueError, PlanError, UsageError};
pub use meter::{Meter, Period, Usage};
pub use plan::{Catalogue, Entitlements, Interval, Plan, PlanVersion, Price};
pub use ports::{BillingTx, CallCount, CallLedger, PlanRepository, UsageRepository};
pub use service::Billing;
