//! The life of a version of a plan: draft, published, retired.
//!
//! A draft can be replaced and deleted. A published version never changes; the newest published version of a plan is
//! sold. A retired version is not sold any more. Who has it keeps it.

use chrono::{DateTime, Utc};

use super::plan::Plan;
use crate::names::names;

names! {
    /// The status of a version of a plan.
    PlanStatus {
        /// It can be changed, and nobody can have it.
        Draft = "draft";
        /// It never changes. It is sold if it is the newest one.
        Published = "published";
        /// It never changes and is not sold.
        Retired = "retired";
    }
}

/// A version of a plan with its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRecord {
    /// The version.
    pub plan: Plan,
    /// Its status.
    pub status: PlanStatus,
    /// Grows with every change of a draft and of the status.
    pub revision: i32,
    /// Whether it shipped with the program.
    pub built_in: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
    /// When it was retired.
    pub retired_at: Option<DateTime<Utc>>,
}

impl PlanRecord {
    /// A new draft.
    #[must_use]
    pub const fn draft(plan: Plan, built_in: bool, now: DateTime<Utc>) -> Self {
        Self {
            plan,
            status: PlanStatus::Draft,
            revision: 1,
            built_in,
            created_at: now,
            published_at: None,
            retired_at: None,
        }
    }

    /// A version that ships with the program, beside the `others` of its plan. It is published, unless operators
    /// manage the plan: then it is a draft, so that an upgrade of the program changes no price of theirs.
    #[must_use]
    pub fn built_in(plan: Plan, others: &[Self], now: DateTime<Utc>) -> Self {
        let draft = Self::draft(plan, true, now);
        let untouched = others.iter().all(|other| other.built_in && other.status == PlanStatus::Published);
        if untouched { draft.published(now) } else { draft }
    }

    /// It, published.
    #[must_use]
    pub fn published(self, now: DateTime<Utc>) -> Self {
        Self { status: PlanStatus::Published, revision: self.revision + 1, published_at: Some(now), ..self }
    }

    /// It, retired.
    #[must_use]
    pub fn retired(self, now: DateTime<Utc>) -> Self {
        Self { status: PlanStatus::Retired, revision: self.revision + 1, retired_at: Some(now), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn a_newer_program_does_not_sell_over_the_heads_of_operators() {
        let now = "2026-11-28T00:00:00Z".parse().unwrap();
        let catalogue = Catalogue::built_in().unwrap();
        let first = catalogue.newest("starter").unwrap().clone();
        let newer = Plan { version: 2, ..first.clone() };
        let shipped = PlanRecord::built_in(first.clone(), &[], now);
        assert_eq!(shipped.status, PlanStatus::Published);
        let status = |others: &[PlanRecord]| PlanRecord::built_in(newer.clone(), others, now).status;
        assert_eq!(status(std::slice::from_ref(&shipped)), PlanStatus::Published);
        assert_eq!(status(&[shipped.clone().retired(now)]), PlanStatus::Draft);
        assert_eq!(status(&[PlanRecord::draft(first, false, now)]), PlanStatus::Draft);
    }
}
