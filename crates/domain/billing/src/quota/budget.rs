//! The budget of one process for one workspace, meter and period.

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{Meter, Period, WorkspaceId};

use super::{LARGEST, SHARE};

/// A request for units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantRequest {
    /// The meter.
    pub meter: Meter,
    /// The period.
    pub period: Period,
    /// The units without which the grant is of no use; at least 1.
    pub needed: i64,
    /// The units that the process would like to have; at least `needed`.
    pub wanted: i64,
    /// The limit of the period.
    pub limit: i64,
}

/// The answer of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The units that were granted: 0, or at least the needed ones.
    pub units: i64,
    /// The units of the period that are used or granted to anybody.
    pub used: i64,
}

/// Units that a process gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Returned {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The meter.
    pub meter: Meter,
    /// The first instant of the period.
    pub period_start: DateTime<Utc>,
    /// The number of units.
    pub units: i64,
}

/// How many units a store grants when `used` of the limit are used or granted: 0 if fewer remain than are needed.
#[must_use]
pub fn granted_units(request: &GrantRequest, used: i64) -> i64 {
    let remaining = request.limit.saturating_sub(used);
    if remaining < request.needed { 0 } else { request.needed.max(request.wanted.min(remaining / SHARE)) }
}

/// How long a refusal of the store is repeated without asking again: a caller that does not stop costs no queries.
const REFUSAL_LASTS: TimeDelta = TimeDelta::seconds(1);

/// What the store did not grant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// The units that were needed.
    pub(super) needed: i64,
    /// The limit at that time.
    pub(super) limit: i64,
    /// The units that were used.
    pub(super) used: i64,
    /// When it was refused.
    pub(super) at: DateTime<Utc>,
}

/// Units that this process may still reserve, and the demand for them.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Granted and neither used nor reserved.
    free: i64,
    /// Reserved in this second.
    recent: i64,
    /// Reserved in the second before.
    before: i64,
    /// The last refusal.
    refusal: Option<Refusal>,
}

impl Budget {
    /// Reserves from the free units, all or nothing.
    pub(super) fn reserve(&mut self, amount: i64) -> bool {
        if self.free < amount {
            return false;
        }
        self.free -= amount;
        self.recent = self.recent.saturating_add(amount);
        true
    }

    /// Remembers a refusal.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
    }

    /// The units that are used, if the store would refuse so much again.
    pub(super) fn refused(&self, amount: i64, limit: i64, now: DateTime<Utc>) -> Option<i64> {
        let (needed, _) = self.demand(amount);
        let refusal = self
            .refusal
            .filter(|refusal| needed >= refusal.needed && limit == refusal.limit && now - refusal.at < REFUSAL_LASTS);
        refusal.map(|refusal| refusal.used)
    }

    /// Takes back a reservation that was released, or a grant.
    pub(super) fn add(&mut self, units: i64) {
        self.free = self.free.saturating_add(units);
    }

    /// The units to ask for, so that `amount` can be reserved: what is missing, and what should be there.
    pub(super) fn demand(&self, amount: i64) -> (i64, i64) {
        let needed = amount.saturating_sub(self.free).max(1);
        (needed, needed.max(self.recent.max(self.before).saturating_mul(2).min(LARGEST)))
    }

    /// Ends a second: takes out the units that the demand does not justify.
    pub(super) fn end_second(&mut self) -> i64 {
        let keep = self.recent.saturating_mul(2);
        self.before = std::mem::take(&mut self.recent);
        let unused = (self.free - keep).max(0);
        self.free -= unused;
        unused
    }

    /// Takes out all free units.
    pub(super) fn take_all(&mut self) -> i64 {
        std::mem::take(&mut self.free)
    }

    /// Whether nothing would be lost if the budget were forgotten.
    pub(super) const fn is_idle(&self) -> bool {
        self.free == 0 && self.recent == 0 && self.before == 0
    }
}
