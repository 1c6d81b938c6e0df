//! Starting runs.
//!
//! The input is checked before a transaction is opened, because a check can take long and database connections are
//! scarcer than threads. The transaction that starts the run confirms that the version is still the published one.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate_kernel::{
    Forbidden, Meter, Permission, QuotaError, QuotaExceeded, Reservation, RunId, StoreError, WorkflowId, WorkspaceScope,
};

use super::context::{CompiledWorkflows, RunOrigin};
use super::ports::RunsTx;
use super::record::{MAX_DEPTH, NewRun, Run, digest};
use super::service::Runs;
use crate::compiled::CompiledWorkflow;
use crate::compute::compute;
use crate::definition::{Definition, DefinitionError};
use crate::expression::{Bindings, MAX_VALUE_DEPTH, is_too_deep};
use crate::input::InputProblem;
use crate::model::Document;

/// How long a dedupe key is remembered.
const KEYS_LAST: TimeDelta = TimeDelta::days(32);

/// The maximum length of a dedupe key and of a concurrency key, in bytes.
pub const MAX_KEY: usize = 256;

/// The start of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRun {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The input.
    pub input: Value,
    /// The dedupe key. A second start of the workflow with the same key within 32 days returns the first run.
    pub dedupe_key: Option<String>,
    /// What starts it: `{kind, …}`.
    pub trigger: Value,
    /// The event that starts it, or null.
    pub event: Value,
    /// The length of the chain of runs that led to the event.
    pub depth: u8,
}

impl StartRun {
    /// A start by a caller of the API.
    #[must_use]
    pub fn by_api(workflow: WorkflowId, input: Value, dedupe_key: Option<String>) -> Self {
        Self { workflow, input, dedupe_key, trigger: json!({"kind": "api"}), event: Value::Null, depth: 0 }
    }
}

/// The result of a start.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// The run.
    pub run: Run,
    /// False if an earlier start with the same dedupe key created the run.
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
    /// The input does not match the workflow's schema.
    #[error("the input does not meet the workflow's schema")]
    InvalidInput(Vec<InputProblem>),
    /// The dedupe key is empty, too long or contains a NUL.
    #[error("a dedupe key has 1 to {MAX_KEY} bytes and no NUL")]
    InvalidKey,
    /// The dedupe key was used before with a different input.
    #[error("the dedupe key has started {0} with another input")]
    KeyReused(RunId),
    /// The workflow's concurrency key cannot be evaluated with this input, or is too long.
    #[error("the workflow's concurrency key cannot be made of this input: {0}")]
    ConcurrencyKey(String),
    /// Another version was published after the check. Nothing was changed; the input has to be checked again.
    #[error("version {version} was published meanwhile")]
    Superseded {
        /// The start to check again.
        start: Box<StartRun>,
        /// The version that is published now.
        version: i32,
    },
    /// The chain of runs that led to this one is too long.
    #[error("{MAX_DEPTH} runs in a chain have led to this one; workflows that start each other end here")]
    TooDeep,
    /// The plan of the workspace does not allow another run.
    #[error(transparent)]
    QuotaExceeded(QuotaExceeded),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A start with the results of all checks that need no transaction.
#[derive(Debug)]
pub struct CheckedStart {
    run: RunId,
    created_at: DateTime<Utc>,
    /// The version that the input was checked against.
    version: i32,
    start: StartRun,
    /// The workflow's concurrency key and limit, or why the run cannot be started.
    verdict: Result<Option<(String, u32)>, StartError>,
    /// The run that is reserved of the plan's quota.
    reservation: Result<Reservation, QuotaExceeded>,
}

/// How often a start is checked if new versions keep being published.
const ATTEMPTS: usize = 3;

impl Runs {
    /// Starts a run of the published version.
    ///
    /// # Errors
    /// [`StartError`] if the caller lacks `runs:execute`, no version is published, the input does not match the schema,
    /// the dedupe key was used with a different input, or the plan does not allow another run. Nothing was started then.
    pub async fn start(&self, scope: &WorkspaceScope, mut start: StartRun) -> Result<Started, StartError> {
        scope.require(Permission::RunsExecute)?;
        let mut version = match self.cache.published(scope.workspace(), start.workflow) {
            Some(version) => version,
            None => self.published(scope, start.workflow).await?,
        };
        let mut attempt = 1;
        loop {
            let checked = self.check(scope, start, version).await?;
            let mut tx = self.store.begin(scope).await?;
            match self.start_in(&mut *tx, checked).await {
                Ok(started) => {
                    if started.created {
                        tx.commit().await?;
                        self.wake(scope);
                    }
                    return Ok(started);
                }
                Err(StartError::Superseded { start: again, version: published }) if attempt < ATTEMPTS => {
                    attempt += 1;
                    (start, version) = (*again, published);
                    self.cache.publish(scope.workspace(), start.workflow, version);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Performs the checks that need no transaction: the input against the schema of `version`, which should be the
    /// published version, the concurrency key, and the quota, of which a run is reserved. The caller MUST NOT hold a transaction. [`Runs::start_in`] returns
    /// the result.
    ///
    /// # Errors
    /// [`StoreError`] if the version or the quota could not be read.
    pub async fn check(
        &self,
        scope: &WorkspaceScope,
        start: StartRun,
        version: i32,
    ) -> Result<CheckedStart, StoreError> {
        let run = RunId::generate(&self.env);
        // With the precision of stores, so that the returned value equals the stored one.
        let created_at = self.env.now().trunc_subsecs(6);
        let reservation = match self.quota.reserve(scope, Meter::Runs, 1).await {
            Ok(reservation) => Ok(reservation),
            Err(QuotaError::Exceeded(exceeded)) => Err(exceeded),
            Err(QuotaError::Store(error)) => return Err(error),
        };
        let checked =
            |start, verdict, reservation| CheckedStart { run, created_at, version, start, verdict, reservation };
        let Some(compiled) = self.compiled(scope, start.workflow, version).await? else {
            return Ok(checked(start, Err(StartError::Unpublished), reservation));
        };
        let is_quick = compiled.concurrency.is_none() && compiled.inputs.is_quick(&start.input);
        let check = move || {
            let verdict = verdict(&compiled, &start, run, created_at, version);
            (start, verdict)
        };
        let (start, verdict) = if is_quick { check() } else { compute(&*self.pool, check).await? };
        Ok(checked(start, verdict, reservation))
    }

    /// Starts a run as part of a larger transaction. The caller checks the permission, commits, and calls
    /// [`Runs::wake`].
    ///
    /// # Errors
    /// [`StartError`] as for [`Runs::start`]. The transaction can continue without the run, except after
    /// [`StartError::Store`].
    pub async fn start_in(&self, tx: &mut dyn RunsTx, checked: CheckedStart) -> Result<Started, StartError> {
        let CheckedStart { run, created_at, version, start, verdict, reservation } = checked;
        // Storing the run also confirms the published version, unless an error or a dedupe key has to be handled first.
        let asked = verdict.is_err() || start.dedupe_key.is_some();
        if asked {
            let published = startable(tx, start.workflow).await?;
            if published != version {
                return Err(StartError::Superseded { start: Box::new(start), version: published });
            }
        }
        let concurrency = verdict?;
        if let Some(key) = &start.dedupe_key {
            let (input, since) = (digest(&start.input), created_at - KEYS_LAST);
            // Without a quota no key is claimed, but a run that exists already is still returned.
            let known = match &reservation {
                Ok(_) => tx.runs().claim_key(start.workflow, key, run, input, created_at, since).await?,
                Err(_) => tx.runs().find_key(start.workflow, key, since).await?,
            };
            if let Some(known) = known {
                if known.input != input {
                    return Err(StartError::KeyReused(known.run));
                }
                // A key outlives its run only if retention erased the run.
                let run = tx.runs().find(known.run).await?.ok_or(StartError::KeyReused(known.run))?;
                return Ok(Started { run, created: false });
            }
        }
        let reservation = reservation.map_err(StartError::QuotaExceeded)?;
        let new = NewRun {
            id: run,
            workflow: start.workflow,
            version,
            trigger: start.trigger,
            event: start.event,
            input: start.input,
            dedupe_key: start.dedupe_key,
            depth: start.depth,
            concurrency,
            created_at,
        };
        if asked {
            tx.runs().add(&new).await?;
        } else if !tx.runs().add_if_published(&new).await? {
            let version = startable(tx, new.workflow).await?;
            return Err(StartError::Superseded { start: Box::new(again(new)), version });
        }
        tx.hold(reservation);
        Ok(Started { run: pending(new), created: true })
    }

    /// Compiles a stored document.
    pub(crate) async fn compile(&self, document: Document) -> Result<Result<Definition, DefinitionError>, StoreError> {
        let steps = Arc::clone(&self.steps);
        compute(&*self.pool, move || Definition::compile(&document.source, document.format, &steps)).await
    }

    /// Reads the published version in a separate transaction.
    async fn published(&self, scope: &WorkspaceScope, workflow: WorkflowId) -> Result<i32, StartError> {
        let mut tx = self.store.begin(scope).await?;
        let version = startable(&mut *tx, workflow).await?;
        self.cache.publish(scope.workspace(), workflow, version);
        Ok(version)
    }
}

#[async_trait]
impl CompiledWorkflows for Runs {
    async fn compiled(
        &self,
        scope: &WorkspaceScope,
        workflow: WorkflowId,
        version: i32,
    ) -> Result<Option<Arc<CompiledWorkflow>>, StoreError> {
        if let Some(compiled) = self.cache.get(workflow, version) {
            return Ok(Some(compiled));
        }
        let document = self.store.begin(scope).await?.workflows().document(workflow, version).await?;
        let Some(document) = document else { return Ok(None) };
        // The document compiled when it was stored, so it needs a newer server than this one.
        let definition = self.compile(document).await?.map_err(|error| StoreError::Internal(Box::new(error)))?;
        self.cache.put(workflow, version, Arc::clone(&definition.compiled));
        Ok(Some(definition.compiled))
    }
}

/// The concurrency key and its limit, or why the run cannot be started.
fn verdict(
    compiled: &CompiledWorkflow,
    start: &StartRun,
    run: RunId,
    created_at: DateTime<Utc>,
    version: i32,
) -> Result<Option<(String, u32)>, StartError> {
    if start.depth > MAX_DEPTH {
        return Err(StartError::TooDeep);
    }
    if start.dedupe_key.as_ref().is_some_and(|key| !(1..=MAX_KEY).contains(&key.len()) || key.contains('\0')) {
        return Err(StartError::InvalidKey);
    }
    if is_too_deep(&start.input) {
        let detail = format!("the input nests more than {MAX_VALUE_DEPTH} deep");
        return Err(StartError::InvalidInput(vec![InputProblem { pointer: String::new(), detail }]));
    }
    let problems = compiled.inputs.problems(&start.input);
    if !problems.is_empty() {
        return Err(StartError::InvalidInput(problems));
    }
    concurrency(compiled, start, run, created_at, version)
}

/// The workflow's concurrency key for this run, with its limit.
fn concurrency(
    compiled: &CompiledWorkflow,
    start: &StartRun,
    run: RunId,
    created_at: DateTime<Utc>,
    version: i32,
) -> Result<Option<(String, u32)>, StartError> {
    let Some(concurrency) = &compiled.concurrency else { return Ok(None) };
    let origin = RunOrigin {
        run,
        created_at,
        workflow: start.workflow,
        version,
        trigger: start.trigger.clone(),
        event: start.event.clone(),
        inputs: start.input.clone(),
    };
    let context = origin.context(&compiled.name);
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

/// The published version.
async fn startable(tx: &mut dyn RunsTx, workflow: WorkflowId) -> Result<i32, StartError> {
    let workflow = tx.workflows().find(workflow).await?.ok_or(StartError::NotFound)?;
    workflow.published.ok_or(StartError::Unpublished)
}

/// Turns a run that was not stored back into its start.
fn again(new: NewRun) -> StartRun {
    let NewRun { workflow, trigger, event, input, dedupe_key, depth, .. } = new;
    StartRun { workflow, trigger, event, input, dedupe_key, depth }
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
