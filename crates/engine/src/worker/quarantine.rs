//! Runs that cannot be driven: each is set aside with its error, so that its shard and its neighbours go on.

use tidegate_kernel::StoreError;
use tidegate_workflows::run::{DecideError, QuarantineReason, RunError, RunStatus, Transition};

use super::{Message, Worker};
use crate::model::{ClaimedRun, Committed, Departure, ForcedEnd, Gate, RunKey, RunSignal, SetAside, Tenure};

/// Whether the store says that a write cannot be made, rather than that it could not be made just now.
pub(super) const fn is_refusal(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(_) | StoreError::Internal(_))
}

/// The error and what caused it, for operators.
pub(super) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Why a run whose next step cannot be decided is set aside.
pub(super) const fn reason(error: &DecideError) -> QuarantineReason {
    match error {
        DecideError::UnknownSemantics(_) => QuarantineReason::Unsupported,
        DecideError::Corrupt(_) => QuarantineReason::Unreadable,
    }
}

impl Worker {
    /// Gives a run in hand up. What it does is aborted, and nothing of it that is not committed will be.
    pub(super) fn give_up(&mut self, key: RunKey, reason: QuarantineReason, error: String) {
        let Some(mut run) = self.runs.remove(&key) else { return };
        run.abort();
        self.timers.retain(|timer| timer.key != key);
        let left = run.departures(&mut self.gates);
        let mut signals = run.answered();
        signals.extend(self.signals.remove(&key).unwrap_or_default().iter().map(|signal| signal.id));
        self.quarantine(SetAside { tenure: run.tenure, key, reason, error, at: self.env.now(), signals, left });
    }

    /// Sets a run aside that was claimed and cannot be taken into hand.
    pub(super) fn refuse_claimed(&mut self, run: &ClaimedRun, reason: QuarantineReason, error: String) {
        let left = self.departures_of(run);
        self.refuse_leased(run.key, run.tenure, left, reason, error);
    }

    /// Sets a run aside of which no more is known than that it is leased, and which gates it has passed.
    pub(super) fn refuse_unread(&mut self, key: RunKey, tenure: Tenure, holds: Vec<Gate>, error: String) {
        let leave = |gate: Gate| Departure { places: self.gates.hand_over(tenure.shard, key.workspace, &gate), gate };
        let left = holds.into_iter().map(leave).collect();
        self.refuse_leased(key, tenure, left, QuarantineReason::Unreadable, error);
    }

    /// Sets a run aside that was never in hand.
    pub(super) fn refuse_leased(
        &mut self,
        key: RunKey,
        tenure: Tenure,
        left: Vec<Departure>,
        reason: QuarantineReason,
        error: String,
    ) {
        let signals = self.signals.remove(&key).unwrap_or_default().iter().map(|signal| signal.id).collect();
        self.quarantine(SetAside { tenure, key, reason, error, at: self.env.now(), signals, left });
    }

    /// What a run that was claimed leaves when it goes without having been taken into hand.
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

    fn quarantine(&mut self, run: SetAside) {
        tracing::error!(
            workspace_id = %run.key.workspace, run = %run.key.run, reason = %run.reason, error = run.error,
            "a run is put into quarantine"
        );
        metrics::counter!("engine_runs_quarantined_total", "reason" => run.reason.as_str()).increment(1);
        self.set_aside.push(run);
    }

    /// Writes down which runs are set aside.
    pub(super) fn start_set_aside(&mut self) {
        if self.setting_aside || self.set_aside.is_empty() {
            return;
        }
        self.setting_aside = true;
        let runs = std::mem::take(&mut self.set_aside);
        let (store, scope, sender, worker) = (self.store.clone(), self.scope.clone(), self.sender.clone(), self.id);
        tokio::spawn(async move {
            let result = store.set_aside(&scope, worker, &runs).await;
            let _ = sender.send(Message::SetAside { runs, result });
        });
    }

    pub(super) fn was_set_aside(&mut self, runs: Vec<SetAside>, result: Result<Committed, StoreError>) {
        self.setting_aside = false;
        let committed = match result {
            Ok(committed) => committed,
            Err(error) if is_refusal(&error) => {
                // They stay under their leases, so that this worker does not claim them again.
                for run in &runs {
                    tracing::error!(error = describe(&error), run = %run.key.run, "a run cannot even be set aside");
                }
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "runs could not be set aside");
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

    /// Ends a run in quarantine because an operator wants it.
    pub(super) fn end_quarantined(&mut self, signal: RunSignal) {
        let Some(tenure) = self.tenures.get(&signal.shard).copied() else { return };
        if !self.ending.insert(signal.id) {
            return;
        }
        let message = "an operator ended the run, since the engine could not drive it".to_owned();
        let error = RunError { code: "quarantined".to_owned(), message, step: None };
        let transition = Transition::RunEnded {
            status: RunStatus::Failed,
            outputs: serde_json::Value::Null,
            error: Some(error.clone()),
        };
        let end = ForcedEnd { tenure, key: signal.key, signal: signal.id, at: self.env.now(), transition, error };
        let (store, scope, sender, worker) = (self.store.clone(), self.scope.clone(), self.sender.clone(), self.id);
        tokio::spawn(async move {
            let result = store.end_quarantined(&scope, worker, &[end]).await;
            let _ = sender.send(Message::Ended { signal, result });
        });
    }

    pub(super) fn ended(&mut self, signal: &RunSignal, result: Result<Vec<RunKey>, StoreError>) {
        self.ending.remove(&signal.id);
        match result {
            Ok(ended) => {
                for key in ended {
                    self.endings.tell(key.run);
                }
            }
            // The signal stays, and is found again by a later look.
            Err(error) => {
                tracing::error!(error = describe(&error), run = %signal.key.run, "a run in quarantine could not be ended");
            }
        }
    }
}
