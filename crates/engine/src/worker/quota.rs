//! Reserves attempts of steps before they begin, so that no workspace begins more than its plan allows.
//!
//! A fact that lets attempts begin waits until the quota has answered. At most one question for each workspace is in
//! progress; the facts that arrive meanwhile are in the next one. What the plan does not allow is held: the steps try
//! again later, so nothing is lost. An attempt that was reserved and whose beginning could not be committed counts as
//! used until the period ends.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_kernel::{Meter, Quota, QuotaError, QuotaExceeded, Reservation, StoreError, WorkspaceId, WorkspaceScope};
use tidegate_workflows::run::{Allowance, FactKind};

use super::{Message, Worker};
use crate::live::describe;
use crate::model::{RunKey, Tenure};
use crate::panics::catch_store;

/// How long a step is held until it tries again, unless the period ends earlier.
const HELD: TimeDelta = TimeDelta::seconds(60);

/// The time between the tries of two runs of one workspace. However many runs are held, 20 of them try in a second.
const APART: TimeDelta = TimeDelta::milliseconds(50);

/// How long a step is held if the quota could not be asked.
const UNKNOWN: TimeDelta = TimeDelta::seconds(1);

/// A fact that waits for its reservation.
pub(super) struct Asked {
    key: RunKey,
    tenure: Tenure,
    kind: FactKind,
    /// The most attempts that can begin.
    attempts: u32,
}

/// The facts of one workspace that wait.
#[derive(Default)]
pub(super) struct Reserving {
    facts: Vec<Asked>,
    asking: bool,
}

/// The answer of the quota.
pub(super) struct Reserved {
    attempts: u32,
    reservation: Reservation,
    /// When a step that may not begin tries again.
    again_at: DateTime<Utc>,
}

impl Worker {
    /// Applies a fact, as soon as the attempts that can begin because of it are reserved.
    pub(super) fn apply_fact(&mut self, key: RunKey, kind: FactKind) {
        let Some(run) = self.runs.get(&key) else { return };
        let attempts = run.could_begin(&kind);
        if attempts == 0 {
            self.decide(key, kind, Allowance::UNLIMITED);
            return;
        }
        let asked = Asked { key, tenure: run.tenure, kind, attempts };
        self.reserving.entry(key.workspace).or_default().facts.push(asked);
        self.reserve(key.workspace);
    }

    fn reserve(&mut self, workspace: WorkspaceId) {
        let Some(waiting) = self.reserving.get_mut(&workspace).filter(|waiting| !waiting.asking) else { return };
        let facts = std::mem::take(&mut waiting.facts);
        let runs = facts.iter().filter_map(|asked| self.runs.get(&asked.key));
        let Some(request_id) = runs.map(|run| run.request_id.clone()).next() else {
            self.reserving.remove(&workspace);
            return;
        };
        waiting.asking = true;
        let wanted = facts.iter().map(|asked| i64::from(asked.attempts)).sum();
        let (quota, scope, now) = (Arc::clone(&self.quota), self.scope.enter(workspace, request_id), self.env.now());
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let result = catch_store(reserved(&*quota, &scope, wanted, now)).await;
            // Sending fails only if the worker has ended.
            let _ = sender.send(Message::Reserved { workspace, facts, result });
        });
    }

    /// Applies the facts that the quota has answered for.
    pub(super) fn reserved(&mut self, workspace: WorkspaceId, facts: Vec<Asked>, result: Result<Reserved, StoreError>) {
        let now = self.env.now();
        let Reserved { attempts, reservation, again_at } = result.unwrap_or_else(|error| {
            tracing::warn!(error = describe(&error), "the quota of a workspace could not be asked");
            Reserved { attempts: 0, reservation: Reservation::unlimited(), again_at: now + UNKNOWN }
        });
        let mut left = attempts;
        let mut last = self.held_until.remove(&workspace);
        for Asked { key, tenure, kind, .. } in facts {
            if self.runs.get(&key).is_none_or(|run| run.tenure != tenure) {
                continue;
            }
            let again_at = last.map_or(again_at, |last| again_at.max(last + APART));
            let decided = self.decide(key, kind, Allowance { attempts: left, again_at });
            left = left.saturating_sub(decided.begun);
            if decided.held {
                last = Some(again_at);
            }
        }
        reservation.commit_some(i64::from(attempts - left));
        if let (0, Some(last)) = (left, last) {
            self.held_until.insert(workspace, last);
        }
        self.reserving.entry(workspace).or_default().asking = false;
        self.reserve(workspace);
    }
}

/// Reserves `wanted` attempts, or as many as are left.
async fn reserved(
    quota: &dyn Quota,
    scope: &WorkspaceScope,
    wanted: i64,
    now: DateTime<Utc>,
) -> Result<Reserved, StoreError> {
    let mut amount = wanted;
    let mut again_at = now + HELD;
    while amount > 0 {
        match quota.reserve(scope, Meter::Steps, amount).await {
            Ok(reservation) => {
                let attempts = u32::try_from(amount).unwrap_or(u32::MAX);
                return Ok(Reserved { attempts, reservation, again_at });
            }
            Err(QuotaError::Exceeded(QuotaExceeded { limit, used, resets_at, .. })) => {
                // Others may hold what seems to be left.
                let left = limit.saturating_sub(used);
                amount = if left < amount { left } else { amount / 2 };
                again_at = resets_at.map_or(again_at, |resets_at| again_at.min(resets_at.max(now)));
            }
            Err(QuotaError::Store(error)) => return Err(error),
        }
    }
    Ok(Reserved { attempts: 0, reservation: Reservation::unlimited(), again_at })
}
