//! Quotas of the meters with a period, exact across processes.
//!
//! A reservation must not be a row update: all requests of a workspace would queue at one row. So each process leases a
//! budget, a number of units that the store has granted to it and to nobody else, and reserves from it in memory. The
//! store grants no more than the limit, so the processes together cannot exceed it, whatever is killed.
//!
//! - A budget grows with the demand: a grant asks for twice the units of the last second, at most [`LARGEST`].
//! - A budget shrinks near the limit: a grant is at most 1/[`SHARE`] of what remains, or what the caller needs now. Below
//!   [`SHARE`] units each reservation is a grant of its own.
//! - What a process has not used for a second goes back to the store.
//!
//! The bounds: the limit is never exceeded. A process that is killed loses its budget until the period ends. A
//! reservation can be refused although units remain, but only those that other processes hold and return within a
//! second or two: at most [`LARGEST`] for each process, and no more than 1/[`SHARE`] of the rest at the time of its grant.

mod budget;
mod service;

#[cfg(test)]
mod tests;

pub use budget::{Grant, GrantRequest, Returned, granted_units};
pub use service::PlanQuota;

/// The largest grant, unless one reservation needs more.
pub const LARGEST: i64 = 1_024;

/// A grant is at most this share of what remains of the limit.
pub const SHARE: i64 = 64;
