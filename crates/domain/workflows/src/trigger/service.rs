//! Starts runs for triggers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tidegate_kernel::{
    AuditEntry, Environment, EventId, Position, StoreError, SystemScope, UnitOfWork, WorkflowId, WorkspaceId,
    WorkspaceScope,
};

use super::ports::{DueTriggers, ListeningTrigger, TimeTrigger, TriggersTx};
use super::{CronTrigger, Trigger};
use crate::definition::Definition;
use crate::expression::{Bindings, ValueTemplate};
use crate::run::{Runs, StartError, StartRun};

/// How many versions' triggers are kept compiled.
const CAPACITY: usize = 1_000;

/// An event that may set triggers off.
#[derive(Debug, Clone)]
pub struct Occurrence {
    /// Tidegate's id of it.
    pub id: EventId,
    /// Its place in the workspace's order.
    pub position: Position,
    /// How many runs led to it.
    pub depth: u8,
    /// The event as a CloudEvent.
    pub document: Value,
}

/// The name and the triggers of a version.
#[derive(Debug)]
struct Placed {
    name: String,
    triggers: Vec<Trigger>,
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
        let mut tx = self.store.begin(scope).await?;
        let now = self.env.now();
        let placed = self.placed(&mut *tx, trigger.workflow, trigger.version).await?;
        let cron = placed.as_ref().and_then(|placed| match nth(&placed.triggers, trigger.ordinal) {
            Some(Trigger::Cron(cron)) => Some((placed, cron)),
            _ => None,
        });
        let Some((placed, cron)) = cron else {
            // A version that this server cannot read: a newer one fires it.
            return Ok(false);
        };
        if !tx.triggers().advance(trigger, cron.schedule.next_after(now)).await? {
            return Ok(false);
        }
        let start =
            cron_start(cron, &placed.name, trigger, cron.schedule.last_due(trigger.due, now).unwrap_or(trigger.due));
        let started = self.start(&mut *tx, trigger.workflow, trigger.ordinal, start).await?;
        tx.commit().await?;
        if started {
            self.runs.wake(scope);
        }
        Ok(true)
    }

    /// Starts the runs that `occurrences` set off, as part of a larger unit of work, and says how many: the caller commits
    /// and calls [`Triggers::wake`]. An event that was followed before starts nothing again.
    ///
    /// # Errors
    /// [`StoreError`]; the transaction cannot go on then.
    pub async fn follow_in(&self, tx: &mut dyn TriggersTx, occurrences: &[Occurrence]) -> Result<usize, StoreError> {
        let types: Vec<String> = kinds(occurrences);
        let listening = if types.is_empty() { Vec::new() } else { tx.triggers().listening(&types).await? };
        let mut started = 0;
        for trigger in &listening {
            let Some(placed) = self.placed(tx, trigger.workflow, trigger.version).await? else { continue };
            let Some(Trigger::Event(event)) = nth(&placed.triggers, trigger.ordinal) else { continue };
            for occurrence in occurrences.iter().filter(|occurrence| occurrence.position > trigger.after) {
                // A filter without a value for this event is one that the event does not pass.
                if event.admits(&occurrence.document).unwrap_or(false) {
                    let start = event_start(&event.input, &placed.name, trigger, occurrence);
                    started += usize::from(self.start(tx, trigger.workflow, trigger.ordinal, start).await?);
                }
            }
        }
        Ok(started)
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

    /// Starts one run. What keeps it from starting goes into the audit log, where the owner of the workflow finds it.
    async fn start(
        &self,
        tx: &mut dyn TriggersTx,
        workflow: WorkflowId,
        ordinal: i16,
        start: Result<StartRun, String>,
    ) -> Result<bool, StoreError> {
        let reason = match start {
            Err(reason) => reason,
            Ok(start) => match self.runs.start_in(tx.as_runs(), start).await {
                Ok(started) => return Ok(started.created),
                Err(StartError::Store(error)) => return Err(error),
                Err(StartError::InvalidInput(problems)) => {
                    let told = problems.iter().take(3).map(|problem| format!("{} {}", problem.pointer, problem.detail));
                    format!("the input does not meet the schema: {}", told.collect::<Vec<_>>().join("; "))
                }
                Err(error) => error.to_string(),
            },
        };
        let entry = AuditEntry::new("workflow.trigger_failed", workflow);
        tx.as_runs().audit().record(entry.with(json!({"trigger": ordinal, "reason": reason}))).await?;
        Ok(false)
    }

    /// The triggers of a version; `None` where it is gone or cannot be read by this server.
    async fn placed(
        &self,
        tx: &mut dyn TriggersTx,
        workflow: WorkflowId,
        version: i32,
    ) -> Result<Option<Arc<Placed>>, StoreError> {
        let known = self.versions.read().unwrap_or_else(PoisonError::into_inner).get(&(workflow, version)).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(document) = tx.documents().document(workflow, version).await? else { return Ok(None) };
        let Ok(definition) = Definition::compile(&document.source, document.format) else { return Ok(None) };
        let placed = Arc::new(Placed { name: definition.name, triggers: definition.triggers });
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        if versions.len() >= CAPACITY {
            versions.clear();
        }
        versions.insert((workflow, version), Arc::clone(&placed));
        Ok(Some(placed))
    }
}

fn nth(triggers: &[Trigger], ordinal: i16) -> Option<&Trigger> {
    triggers.get(usize::try_from(ordinal).ok()?)
}

fn kinds(occurrences: &[Occurrence]) -> Vec<String> {
    let mut types: Vec<String> =
        occurrences.iter().filter_map(|o| o.document.get("type")?.as_str().map(str::to_owned)).collect();
    types.sort_unstable();
    types.dedup();
    types
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

fn event_start(
    template: &ValueTemplate,
    name: &str,
    trigger: &ListeningTrigger,
    occurrence: &Occurrence,
) -> Result<StartRun, String> {
    let cause = json!({"kind": "event", "event_id": occurrence.id, "trigger": trigger.ordinal});
    let input = input(template, name, (trigger.workflow, trigger.version), &cause, &occurrence.document)?;
    Ok(StartRun {
        workflow: trigger.workflow,
        input,
        dedupe_key: Some(format!("event:{}:{}", trigger.ordinal, occurrence.id)),
        trigger: cause,
        event: occurrence.document.clone(),
        depth: occurrence.depth,
    })
}

fn input(
    template: &ValueTemplate,
    name: &str,
    (id, version): (WorkflowId, i32),
    trigger: &Value,
    event: &Value,
) -> Result<Value, String> {
    let workflow = json!({"id": id, "name": name, "version": version});
    let bindings =
        Bindings { event: Some(event), trigger: Some(trigger), workflow: Some(&workflow), ..Bindings::default() };
    template.evaluate(&bindings).map_err(|error| format!("the input cannot be made: {error}"))
}
