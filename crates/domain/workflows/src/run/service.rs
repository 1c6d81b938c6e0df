//! What people and programs do with runs: start, read, cancel. Driving them is the engine's.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{SubsecRound, TimeDelta};
use serde_json::{Value, json};
use tidegate_kernel::{
    AuditEntry, Environment, Forbidden, Page, PageSize, Permission, RunId, Signal, SignalBus, StoreError, Topic,
    UnitOfWork, WorkflowId, WorkspaceScope,
};

use super::cache::PlanCache;
use super::context::{PlanSource, RunOrigin};
use super::ports::{KeyClaim, RunsTx, Startable};
use super::record::{MAX_DEPTH, NewRun, Run, RunDetails, RunFilter, digest};
use super::timeline::timeline;
use crate::expression::{Bindings, MAX_VALUE_DEPTH, is_too_deep};
use crate::input::InputProblem;
use crate::plan::Plan;

/// How long a dedupe key is known.
const KEYS_LAST: TimeDelta = TimeDelta::days(32);

/// The longest dedupe key and the longest concurrency key, in bytes.
pub const MAX_KEY: usize = 256;

/// What to start.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRun {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The input.
    pub input: Value,
    /// A second start of the workflow with the same key within 32 days is the same run.
    pub dedupe_key: Option<String>,
    /// What starts it: `{kind, …}`.
    pub trigger: Value,
    /// The event that starts it; null where none does.
    pub event: Value,
    /// How many runs led to the event.
    pub depth: u8,
}

impl StartRun {
    /// A start by a caller of the API.
    #[must_use]
    pub fn by_api(workflow: WorkflowId, input: Value, dedupe_key: Option<String>) -> Self {
        Self { workflow, input, dedupe_key, trigger: json!({"kind": "api"}), event: Value::Null, depth: 0 }
    }
}

/// A run that a start led to.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The run.
    pub run: Run,
    /// False where the dedupe key had started it before.
    pub created: bool,
}

/// Why a run was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such workflow.
    #[error("there is no such workflow")]
    NotFound,
    /// No version is published.
    #[error("no version of the workflow is published")]
    Unpublished,
    /// The input does not meet the workflow's schema.
    #[error("the input does not meet the workflow's schema")]
    InvalidInput(Vec<InputProblem>),
    /// The dedupe key is empty, too long or holds a NUL.
    #[error("a dedupe key has 1 to {MAX_KEY} bytes and no NUL")]
    InvalidKey,
    /// The dedupe key has started a run with another input.
    #[error("the dedupe key has started {0} with another input")]
    KeyReused(RunId),
    /// The workflow's concurrency key has no value for this input, or too long a one.
    #[error("the workflow's concurrency key cannot be made of this input: {0}")]
    ConcurrencyKey(String),
    /// Too many runs in a chain led to this one.
    #[error("{MAX_DEPTH} runs in a chain have led to this one; workflows that start each other end here")]
    TooDeep,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such run.
    #[error("there is no such run")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a run was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// The caller lacks the permission.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The workspace has no such run.
    #[error("there is no such run")]
    NotFound,
    /// It has ended.
    #[error("the run has ended")]
    Ended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The use cases of runs.
#[derive(Clone)]
pub struct Runs {
    store: Arc<dyn UnitOfWork<dyn RunsTx>>,
    plans: PlanCache,
    bus: Arc<dyn SignalBus>,
    env: Environment,
}

impl std::fmt::Debug for Runs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runs").finish_non_exhaustive()
    }
}

impl Runs {
    /// The use cases over `store`; the engine hears of new work through `bus`.
    #[must_use]
    pub fn new(store: Arc<dyn UnitOfWork<dyn RunsTx>>, bus: Arc<dyn SignalBus>, env: Environment) -> Self {
        Self { store, plans: PlanCache::default(), bus, env }
    }

    /// Starts a run of the published version.
    ///
    /// # Errors
    /// [`StartError`]; nothing was started then.
    pub async fn start(&self, scope: &WorkspaceScope, start: StartRun) -> Result<Started, StartError> {
        scope.require(Permission::RunsExecute)?;
        let mut tx = self.store.begin(scope).await?;
        let started = self.start_in(&mut *tx, start).await?;
        if started.created {
            tx.commit().await?;
            self.wake(scope);
        }
        Ok(started)
    }

    /// Starts a run as part of a larger unit of work; the caller checks that it may, commits, and calls [`Runs::wake`].
    ///
    /// # Errors
    /// [`StartError`]; the transaction can go on without the run, except after [`StartError::Store`].
    pub async fn start_in(&self, tx: &mut dyn RunsTx, start: StartRun) -> Result<Started, StartError> {
        if start.depth > MAX_DEPTH {
            return Err(StartError::TooDeep);
        }
        if start.dedupe_key.as_ref().is_some_and(|key| !(1..=MAX_KEY).contains(&key.len()) || key.contains('\0')) {
            return Err(StartError::InvalidKey);
        }
        let version = match tx.plans().startable(start.workflow).await? {
            None => return Err(StartError::NotFound),
            Some(Startable::Unpublished) => return Err(StartError::Unpublished),
            Some(Startable::Version(version)) => version,
        };
        let plan = self.plan_in(tx, start.workflow, version).await?.ok_or(StartError::Unpublished)?;
        if is_too_deep(&start.input) {
            let detail = format!("the input nests more than {MAX_VALUE_DEPTH} deep");
            return Err(StartError::InvalidInput(vec![InputProblem { pointer: String::new(), detail }]));
        }
        let problems = plan.inputs.problems(&start.input);
        if !problems.is_empty() {
            return Err(StartError::InvalidInput(problems));
        }
        let id = RunId::generate(&self.env);
        // As stores keep it, so that the answer is what is read later.
        let now = self.env.now().trunc_subsecs(6);
        if let Some(key) = &start.dedupe_key {
            let input = digest(&start.input);
            let claim = tx.runs().claim_key(start.workflow, key, id, input, now, now - KEYS_LAST).await?;
            if let KeyClaim::Known { run, input: known } = claim {
                if known != input {
                    return Err(StartError::KeyReused(run));
                }
                // A key outlives its run only where the run was erased by retention.
                let run = tx.runs().find(run).await?.ok_or(StartError::KeyReused(run))?;
                return Ok(Started { run, created: false });
            }
        }
        let new = NewRun {
            id,
            workflow: start.workflow,
            version,
            trigger: start.trigger,
            event: start.event,
            input: start.input,
            dedupe_key: start.dedupe_key,
            depth: start.depth,
            concurrency: None,
            created_at: now,
        };
        let new = NewRun { concurrency: concurrency(&plan, &new)?, ..new };
        tx.runs().add(&new).await?;
        Ok(Started { run: pending(new), created: true })
    }

    /// Tells the engine that the workspace has work. Call it after the commit.
    pub fn wake(&self, scope: &WorkspaceScope) {
        self.bus.publish(Signal::new(Topic::WorkReady, &scope.workspace()));
    }

    /// A run with its steps.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn get(&self, scope: &WorkspaceScope, id: RunId) -> Result<RunDetails, ReadError> {
        scope.require(Permission::RunsRead)?;
        let mut tx = self.store.begin(scope).await?;
        let run = tx.runs().find(id).await?.ok_or(ReadError::NotFound)?;
        let transitions = tx.runs().transitions(id).await?;
        let plan = self.plan_in(&mut *tx, run.workflow, run.version).await?;
        let steps = plan.map(|plan| timeline(&plan, &transitions)).unwrap_or_default();
        Ok(RunDetails { run, steps })
    }

    /// A run without its steps.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn peek(&self, scope: &WorkspaceScope, id: RunId) -> Result<Run, ReadError> {
        scope.require(Permission::RunsRead)?;
        self.store.begin(scope).await?.runs().find(id).await?.ok_or(ReadError::NotFound)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// [`ReadError`], never `NotFound`.
    pub async fn list(
        &self,
        scope: &WorkspaceScope,
        filter: &RunFilter,
        after: Option<RunId>,
        size: PageSize,
    ) -> Result<Page<Run, RunId>, ReadError> {
        scope.require(Permission::RunsRead)?;
        Ok(self.store.begin(scope).await?.runs().list(filter, after, size).await?)
    }

    /// Asks for the end of a run. It ends as soon as its worker hears of it.
    ///
    /// # Errors
    /// [`CancelError`].
    pub async fn cancel(&self, scope: &WorkspaceScope, id: RunId) -> Result<Run, CancelError> {
        scope.require(Permission::RunsExecute)?;
        let mut tx = self.store.begin(scope).await?;
        let run = tx.runs().find(id).await?.ok_or(CancelError::NotFound)?;
        if run.status.is_terminal() {
            return Err(CancelError::Ended);
        }
        tx.runs().request_cancel(id, self.env.now()).await?;
        tx.audit().record(AuditEntry::new("run.cancel_requested", id)).await?;
        tx.commit().await?;
        self.bus.publish(Signal::new(Topic::WorkReady, &id));
        Ok(run)
    }

    async fn plan_in(
        &self,
        tx: &mut dyn RunsTx,
        workflow: WorkflowId,
        version: i32,
    ) -> Result<Option<Arc<Plan>>, StoreError> {
        if let Some(plan) = self.plans.get(workflow, version) {
            return Ok(Some(plan));
        }
        let plan = tx.plans().plan(workflow, version).await?;
        if let Some(plan) = &plan {
            self.plans.put(workflow, version, plan.clone());
        }
        Ok(plan)
    }
}

#[async_trait]
impl PlanSource for Runs {
    async fn plan(
        &self,
        scope: &WorkspaceScope,
        workflow: WorkflowId,
        version: i32,
    ) -> Result<Option<Arc<Plan>>, StoreError> {
        if let Some(plan) = self.plans.get(workflow, version) {
            return Ok(Some(plan));
        }
        let mut tx = self.store.begin(scope).await?;
        self.plan_in(&mut *tx, workflow, version).await
    }
}

/// The workflow's concurrency key for this run, with its limit.
fn concurrency(plan: &Plan, run: &NewRun) -> Result<Option<(String, u32)>, StartError> {
    let Some(concurrency) = &plan.concurrency else { return Ok(None) };
    let origin = RunOrigin {
        run: run.id,
        created_at: run.created_at,
        workflow: run.workflow,
        version: run.version,
        trigger: run.trigger.clone(),
        event: run.event.clone(),
        inputs: run.input.clone(),
    };
    let context = origin.context(&plan.name);
    let bindings = Bindings {
        inputs: Some(&context.inputs),
        event: Some(&context.event),
        run: Some(&context.run),
        workflow: Some(&context.workflow),
        trigger: Some(&context.trigger),
        ..Bindings::default()
    };
    let value = concurrency.key.evaluate(&bindings).map_err(|error| StartError::ConcurrencyKey(error.to_string()))?;
    let key = match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    if key.len() > MAX_KEY || key.contains('\0') {
        return Err(StartError::ConcurrencyKey(format!("it may have {MAX_KEY} bytes and no NUL")));
    }
    Ok(Some((key, concurrency.limit)))
}

fn pending(new: NewRun) -> Run {
    Run {
        id: new.id,
        workflow: new.workflow,
        version: new.version,
        status: super::RunStatus::Pending,
        trigger: new.trigger,
        input: new.input,
        outputs: Value::Null,
        error: None,
        created_at: new.created_at,
        started_at: None,
        finished_at: None,
        dedupe_key: new.dedupe_key,
    }
}
