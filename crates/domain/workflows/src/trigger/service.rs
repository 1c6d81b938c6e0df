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

/// How many versions' triggers are kept compiled.
const CAPACITY: usize = 1_000;

/// A run that a trigger starts, checked; or why the trigger has no input for it.
#[derive(Debug)]
struct PreparedStart {
    workflow: WorkflowId,
    ordinal: i16,
    start: Result<CheckedStart, String>,
}

/// A run that an event is to start, checked.
#[derive(Debug)]
pub struct CheckedRun {
    /// The trigger.
    pub trigger: ListeningTrigger,
    /// The event's place.
    pub position: Position,
    prepared: PreparedStart,
}

/// What is placed, by version; a version never changes.
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
    /// Triggers over `store`; what is due is found through `due`.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn TriggersTx>>,
        due: Arc<dyn DueTriggers>,
        runs: Runs,
        env: Environment,
    ) -> Self {
        Self { store, due, runs, env, versions: Arc::default() }
    }

    /// Up to `limit` triggers that wait for a time at or before `until`, the longest due first.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    pub async fn due(
        &self,
        scope: &SystemScope,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(WorkspaceId, TimeTrigger)>, StoreError> {
        self.due.due(scope, until, limit).await
    }

    /// Fires a trigger whose time has come, and says whether it did: of several servers that try, one does. The trigger
    /// moves on in the transaction that starts the run. Ticks that were missed are made up for by one run, for the last.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was changed.
    pub async fn fire(&self, scope: &WorkspaceScope, trigger: &TimeTrigger) -> Result<bool, StoreError> {
        let now = self.env.now();
        let placed = self.placed(scope, trigger.workflow, trigger.version).await?;
        let cron = placed.as_ref().and_then(|placed| match placed.nth(trigger.ordinal) {
            Some(Trigger::Cron(cron)) => Some((placed, cron)),
            _ => None,
        });
        let Some((placed, cron)) = cron else {
            // A version that this server cannot read: a newer one fires it.
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

    /// Whoever of the workspace waits for events of one of these types, as part of a larger unit of work.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    pub async fn listening_in(
        &self,
        tx: &mut dyn TriggersTx,
        types: &[String],
    ) -> Result<Vec<ListeningTrigger>, StoreError> {
        if types.is_empty() { Ok(Vec::new()) } else { tx.triggers().listening(types).await }
    }

    /// The workflows of these triggers, ready to be asked what an event starts. Versions that are not known yet are read
    /// one by one and compiled in between, so no connection is held meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
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

    /// Checks the inputs of runs that events are to start. It takes as long as inputs take, so it is called while no
    /// transaction is open.
    ///
    /// # Errors
    /// [`StoreError`] when a version could not be read.
    pub async fn check_due(&self, scope: &WorkspaceScope, due: Vec<DueRun>) -> Result<Vec<CheckedRun>, StoreError> {
        let mut checked = Vec::with_capacity(due.len());
        for DueRun { trigger, position, start } in due {
            let prepared = self.check(scope, trigger.workflow, trigger.version, trigger.ordinal, start).await?;
            checked.push(CheckedRun { trigger, position, prepared });
        }
        Ok(checked)
    }

    /// Starts a run that an event set off, as part of a larger unit of work, and says whether it is new: the caller commits
    /// and calls [`Triggers::wake`]. An event that has started the workflow before starts nothing again, and what keeps the
    /// run from starting is recorded. `None` where another version was published since the input was checked: the caller
    /// gives the transaction up and begins anew.
    ///
    /// # Errors
    /// [`StoreError`] when the run could not be stored; the transaction cannot go on then.
    pub async fn start_due_in(&self, tx: &mut dyn TriggersTx, due: CheckedRun) -> Result<Option<bool>, StoreError> {
        self.start_in(tx, due.prepared).await
    }

    /// The types of events that triggers of the workspace wait for.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read.
    pub async fn awaited_in(&self, tx: &mut dyn TriggersTx) -> Result<Vec<String>, StoreError> {
        tx.triggers().awaited().await
    }

    /// Tells the engine that the workspace has work. Call it after the commit.
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

    /// Starts one run and says whether it is new. What keeps it from starting goes into the audit log, where the owner of
    /// the workflow finds it. `None` where another version was published since it was checked.
    async fn start_in(&self, tx: &mut dyn TriggersTx, prepared: PreparedStart) -> Result<Option<bool>, StoreError> {
        let PreparedStart { workflow, ordinal, start } = prepared;
        let reason = match start {
            Err(reason) => reason,
            Ok(start) => match self.runs.start_in(tx, start).await {
                Ok(started) => return Ok(Some(started.created)),
                // The tick or the event has started it before, from another version's template.
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

    /// The triggers of a version; `None` where it is gone or cannot be read by this server.
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
