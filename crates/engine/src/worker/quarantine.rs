//! Quarantine: a run that cannot be driven is set aside with its error, so that its shard and the other runs continue.

use std::sync::Arc;

use tidegate_kernel::StoreError;
use tidegate_workflows::run::{QuarantineReason, RunError, RunStatus, Transition};

use super::measures::Question;
use super::{Message, Worker};
use crate::live::{Undrivable, describe};
use crate::model::{ClaimedRun, Committed, Departure, ForcedEnd, Gate, RunKey, RunRequest, SetAside, Tenure};

/// Whether the store can never make this write, rather than being unavailable for the moment.
pub(super) const fn is_refusal(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(_) | StoreError::Internal(_))
}

impl Worker {
    /// Quarantines a run in memory. Its attempts are aborted, and its uncommitted transitions are discarded.
    pub(super) fn give_up(&mut self, key: RunKey, why: Undrivable) {
        let Some(mut run) = self.runs.remove(&key) else { return };
        run.abort();
        self.timers.retain(|timer| timer.key != key);
        let left = run.departures(&mut self.gates);
        let mut requests = run.answered();
        requests.extend(self.requests.remove(&key).unwrap_or_default().iter().map(|request| request.id));
        self.quarantine(run.tenure, key, why, requests, left);
    }

    /// Quarantines a claimed run that cannot be loaded.
    pub(super) fn refuse_claimed(&mut self, run: &ClaimedRun, why: Undrivable) {
        let left = self.departures_of(run);
        self.refuse_leased(run.key, run.tenure, left, why);
    }

    /// Quarantines a leased run whose rows cannot be read. Only its gates are known.
    pub(super) fn refuse_unread(&mut self, key: RunKey, tenure: Tenure, holds: Vec<Gate>, error: String) {
        let leave = |gate: Gate| Departure { places: self.gates.hand_over(tenure.shard, key.workspace, &gate), gate };
        let left = holds.into_iter().map(leave).collect();
        self.refuse_leased(key, tenure, left, Undrivable { reason: QuarantineReason::Unreadable, error });
    }

    /// Quarantines a leased run that is not in memory.
    pub(super) fn refuse_leased(&mut self, key: RunKey, tenure: Tenure, left: Vec<Departure>, why: Undrivable) {
        let requests = self.requests.remove(&key).unwrap_or_default().iter().map(|request| request.id).collect();
        self.quarantine(tenure, key, why, requests, left);
    }

    /// The gates that a claimed run leaves if it ends before it was loaded.
    pub(super) fn departures_of(&mut self, run: &ClaimedRun) -> Vec<Departure> {
        let limit = |gate: &Gate| match &run.concurrency {
            Some((own, limit)) if own == gate => Some(*limit),
            _ if *gate == Gate::workspace() => run.run_limit,
            _ => None,
        };
        let leave = |gate: &Gate| Departure {
            places: self.gates.depart(run.tenure.shard, run.key.workspace, gate, limit(gate)),
            gate: gate.clone(),
        };
        run.holds.iter().map(leave).collect()
    }

    fn quarantine(
        &mut self,
        tenure: Tenure,
        key: RunKey,
        Undrivable { reason, error }: Undrivable,
        requests: Vec<uuid::Uuid>,
        left: Vec<Departure>,
    ) {
        let run = SetAside { tenure, key, reason, error, at: self.env.now(), requests, left };
        tracing::error!(
            workspace_id = %run.key.workspace, run = %run.key.run, reason = %run.reason, error = run.error,
            "a run is put into quarantine"
        );
        metrics::counter!("engine_runs_quarantined_total", "reason" => run.reason.as_str()).increment(1);
        self.set_aside.push(run);
    }

    /// Stores which runs are quarantined.
    pub(super) fn start_set_aside(&mut self) {
        if self.setting_aside || self.set_aside.is_empty() {
            return;
        }
        self.setting_aside = true;
        let runs = Arc::new(std::mem::take(&mut self.set_aside));
        let (store, scope, worker, asked) = (self.store.clone(), self.scope.clone(), self.id, Arc::clone(&runs));
        self.ask(Question::SetAside, async move { store.set_aside(&scope, worker, &asked).await }, move |result| {
            Message::SetAside { runs, result }
        });
    }

    pub(super) fn was_set_aside(&mut self, runs: &[SetAside], result: Result<Committed, StoreError>) {
        self.setting_aside = false;
        let committed = match result {
            Ok(committed) => committed,
            Err(error) if is_refusal(&error) => {
                // The runs keep their leases, so that this worker does not claim them again.
                for run in runs {
                    tracing::error!(error = describe(&error), run = %run.key.run, "a run cannot even be set aside");
                }
                return;
            }
            Err(error) => {
                self.measures.failed(Question::SetAside);
                tracing::warn!(error = describe(&error), "runs could not be set aside");
                self.forget_all(runs.iter().map(|run| run.tenure));
                return;
            }
        };
        for run in runs {
            if !committed.won.contains(&run.key) {
                self.forget_all(std::iter::once(run.tenure));
            } else if self.tenures.get(&run.tenure.shard) == Some(&run.tenure) {
                for departure in &run.left {
                    self.gates.leave(run.key.workspace, departure);
                }
            }
        }
        self.let_through(committed.promoted);
    }

    /// Ends a quarantined run, as an operator requested.
    pub(super) fn end_quarantined(&mut self, request: RunRequest) {
        let Some(tenure) = self.tenures.get(&request.shard).copied() else { return };
        if !self.ending.insert(request.id) {
            return;
        }
        let message = "an operator ended the run, since the engine could not drive it".to_owned();
        let error = RunError { code: "quarantined".to_owned(), message, step: None };
        let transition = Transition::RunEnded {
            status: RunStatus::Failed,
            outputs: serde_json::Value::Null,
            error: Some(error.clone()),
        };
        let end = ForcedEnd { tenure, key: request.key, request: request.id, at: self.env.now(), transition, error };
        let (store, scope, worker) = (self.store.clone(), self.scope.clone(), self.id);
        self.ask(
            Question::EndQuarantined,
            async move { store.end_quarantined(&scope, worker, &[end]).await },
            move |result| Message::Ended { request, result },
        );
    }

    pub(super) fn ended(&mut self, request: &RunRequest, result: Result<Vec<RunKey>, StoreError>) {
        self.ending.remove(&request.id);
        match result {
            Ok(ended) => {
                for key in ended {
                    self.endings.notify(key.run);
                }
            }
            // The request is kept, and a later look returns it again.
            Err(error) => {
                tracing::error!(error = describe(&error), run = %request.key.run, "a run in quarantine could not be ended");
            }
        }
    }
}
