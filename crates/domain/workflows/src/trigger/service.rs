//! Starts runs for triggers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tidegate_kernel::{
    AuditEntry, Environment, Position, StoreError, SystemScope, UnitOfWork, WorkflowId, WorkspaceId, WorkspaceScope,
};

use super::listeners::{DueRun, Listeners, Placed, input};
use super::ports::{DueTriggers, ListeningTrigger, TimeTrigger, TriggersTx};
use super::{CronTrigger, Trigger};
use crate::run::{CheckedStart, Runs, StartError, StartRun};

/// The maximum number of cached versions.
const CAPACITY: usize = 1_000;

/// A checked start of a run, or why the trigger has no input for it.
#[derive(Debug)]
struct PreparedStart {
    workflow: WorkflowId,
    ordinal: i16,
    start: Result<CheckedStart, String>,
}

/// A checked start of a run by an event.
#[derive(Debug)]
pub struct CheckedRun {
    /// The trigger.
    pub trigger: ListeningTrigger,
    /// The event's position.
    pub position: Position,
    prepared: PreparedStart,
}

/// Cached triggers by version. A version never changes.
type Versions = HashMap<(WorkflowId, i32), Arc<Placed>>;

/// Starts runs for triggers.
#[derive(Clone)]
pub struct Triggers {
    store: Arc<dyn UnitOfWork<dyn TriggersTx>>,
    due: Arc<dyn DueTriggers>,
    runs: Runs,
    env: Environment,
    versions: Arc<RwLock<Versions>>,
}

impl std::fmt::Debug for Triggers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Triggers").finish_non_exhaustive()
    }
}

impl Triggers {
    /// Triggers over `store`. `due` finds due triggers.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn TriggersTx>>,
        due: Arc<dyn DueTriggers>,
        runs: Runs,
        env: Environment,
    ) -> Self {
        Self { store, due, runs, env, versions: Arc::default() }
    }

    /// Returns up to `limit` triggers that are due at or before `until`, the longest due first.
    ///
    /// # Errors
    /// [`StoreError`] if the triggers could not be read.
    pub async fn due(
        &self,
        scope: &SystemScope,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(WorkspaceId, TimeTrigger)>, StoreError> {
        self.due.due(scope, until, limit).await
    }

    /// Fires a due trigger, and returns whether it did. If several servers try, one of them fires it: the transaction
    /// that starts the run also advances the trigger. One run, for the last missed time, makes up for all missed times.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was changed.
    pub async fn fire(&self, scope: &WorkspaceScope, trigger: &TimeTrigger) -> Result<bool, StoreError> {
        let now = self.env.now();
        let placed = self.placed(scope, trigger.workflow, trigger.version).await?;
        let cron = placed.as_ref().and_then(|placed| match placed.nth(trigger.ordinal) {
            Some(Trigger::Cron(cron)) => Some((placed, cron)),
            _ => None,
        });
        let Some((placed, cron)) = cron else {
            // This server cannot read the version. A newer server fires the trigger.
            return Ok(false);
        };
        let at = cron.schedule.last_due(trigger.due, now).unwrap_or(trigger.due);
        let start = cron_start(cron, &placed.name, trigger, at);
        let prepared = self.check(scope, trigger.workflow, trigger.version, trigger.ordinal, start).await?;
        let mut tx = self.store.begin(scope).await?;
        if !tx.triggers().advance(trigger, cron.schedule.next_after(now)).await? {
            return Ok(false);
        }
        let Some(started) = self.start_in(&mut *tx, prepared).await? else { return Ok(false) };
        tx.commit().await?;
        if started {
            self.runs.wake(scope);
        }
        Ok(true)
    }

    /// The triggers of the workspace for events of these types, as part of a larger transaction.
    ///
    /// # Errors
    /// [`StoreError`] if the triggers could not be read.
    pub async fn listening_in(
        &self,
        tx: &mut dyn TriggersTx,
        types: &[String],
    ) -> Result<Vec<ListeningTrigger>, StoreError> {
        if types.is_empty() { Ok(Vec::new()) } else { tx.triggers().listening(types).await }
    }

    /// Loads the workflows of these triggers, so that they can be matched with events. Versions that are not cached are
    /// read one by one and compiled in between, so no connection is held during compilation.
    ///
    /// # Errors
    /// [`StoreError`] if a version could not be read.
    pub async fn listeners(
        &self,
        scope: &WorkspaceScope,
        listening: &[ListeningTrigger],
    ) -> Result<Listeners, StoreError> {
        let mut listeners = Listeners::default();
        for triggers in listening.chunk_by(|one, other| one.workflow == other.workflow) {
            let (workflow, version) = (triggers[0].workflow, triggers[0].version);
            let placed = self.placed(scope, workflow, version).await?;
            listeners.add(workflow, triggers.to_vec(), placed);
        }
        Ok(listeners)
    }

    /// Checks the inputs of runs that events should start. The caller MUST NOT hold a transaction, because a check can
    /// take long.
    ///
    /// # Errors
    /// [`StoreError`] if a version could not be read.
    pub async fn check_due(&self, scope: &WorkspaceScope, due: Vec<DueRun>) -> Result<Vec<CheckedRun>, StoreError> {
        let mut checked = Vec::with_capacity(due.len());
        for DueRun { trigger, position, start } in due {
            let prepared = self.check(scope, trigger.workflow, trigger.version, trigger.ordinal, start).await?;
            checked.push(CheckedRun { trigger, position, prepared });
        }
        Ok(checked)
    }

    /// Starts a run for an event as part of a larger transaction. The caller commits and calls [`Triggers::wake`].
    ///
    /// Returns whether the run is new; an event starts a workflow at most once. If the run cannot be started, the
    /// reason is recorded in the audit log. Returns `None` if another version was published since the check: the caller
    /// then has to roll the transaction back and start again.
    ///
    /// # Errors
    /// [`StoreError`] if the run could not be stored. The caller then has to roll the transaction back.
    pub async fn start_due_in(&self, tx: &mut dyn TriggersTx, due: CheckedRun) -> Result<Option<bool>, StoreError> {
        self.start_in(tx, due.prepared).await
    }

    /// The event types for which triggers of the workspace wait.
    ///
    /// # Errors
    /// [`StoreError`] if they could not be read.
    pub async fn awaited_in(&self, tx: &mut dyn TriggersTx) -> Result<Vec<String>, StoreError> {
        tx.triggers().awaited().await
    }

    /// Signals to the engine that the workspace has work. Call it after the commit.
    pub fn wake(&self, scope: &WorkspaceScope) {
        self.runs.wake(scope);
    }

    async fn check(
        &self,
        scope: &WorkspaceScope,
        workflow: WorkflowId,
        version: i32,
        ordinal: i16,
        start: Result<StartRun, String>,
    ) -> Result<PreparedStart, StoreError> {
        let start = match start {
            Ok(start) => Ok(self.runs.check(scope, start, version).await?),
            Err(reason) => Err(reason),
        };
        Ok(PreparedStart { workflow, ordinal, start })
    }

    /// Starts one run and returns whether it is new. If it cannot be started, the reason is recorded in the audit log
    /// for the owner of the workflow. Returns `None` if another version was published since the check.
    async fn start_in(&self, tx: &mut dyn TriggersTx, prepared: PreparedStart) -> Result<Option<bool>, StoreError> {
        let PreparedStart { workflow, ordinal, start } = prepared;
        let reason = match start {
            Err(reason) => reason,
            Ok(start) => match self.runs.start_in(tx, start).await {
                Ok(started) => return Ok(Some(started.created)),
                // The same tick or event already started the run, with an input from another version.
                Err(StartError::KeyReused(_)) => return Ok(Some(false)),
                Err(StartError::Store(error)) => return Err(error),
                Err(StartError::Superseded { .. }) => return Ok(None),
                Err(StartError::InvalidInput(problems)) => {
                    let told = problems.iter().take(3).map(|problem| format!("{} {}", problem.pointer, problem.detail));
                    format!("the input does not meet the schema: {}", told.collect::<Vec<_>>().join("; "))
                }
                Err(error) => error.to_string(),
            },
        };
        let entry = AuditEntry::new("workflow.trigger_failed", workflow);
        tx.audit().record(entry.with(json!({"trigger": ordinal, "reason": reason}))).await?;
        Ok(Some(false))
    }

    /// The triggers of a version; `None` if it is gone or this server cannot read it.
    async fn placed(
        &self,
        scope: &WorkspaceScope,
        workflow: WorkflowId,
        version: i32,
    ) -> Result<Option<Arc<Placed>>, StoreError> {
        if let Some(known) = self.known(workflow, version) {
            return Ok(Some(known));
        }
        let document = self.store.begin(scope).await?.documents().document(workflow, version).await?;
        let Some(document) = document else { return Ok(None) };
        let Ok(definition) = self.runs.compile(document).await? else { return Ok(None) };
        let placed = Arc::new(Placed { name: definition.name, triggers: definition.triggers });
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        if versions.len() >= CAPACITY {
            versions.clear();
        }
        versions.insert((workflow, version), Arc::clone(&placed));
        Ok(Some(placed))
    }

    fn known(&self, workflow: WorkflowId, version: i32) -> Option<Arc<Placed>> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner).get(&(workflow, version)).cloned()
    }
}

fn cron_start(cron: &CronTrigger, name: &str, trigger: &TimeTrigger, at: DateTime<Utc>) -> Result<StartRun, String> {
    let at = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let cause = json!({"kind": "cron", "scheduled_at": at, "trigger": trigger.ordinal});
    let input = input(&cron.input, name, (trigger.workflow, trigger.version), &cause, &Value::Null)?;
    Ok(StartRun {
        workflow: trigger.workflow,
        input,
        dedupe_key: Some(format!("cron:{}:{at}", trigger.ordinal)),
        trigger: cause,
        event: Value::Null,
        depth: 0,
    })
}
