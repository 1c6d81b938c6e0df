//! Starting runs.
//!
//! An input is checked before there is a transaction, since checking may take a while and a database connection is rarer
//! than a thread. The transaction that starts the run sees whether the version is still the published one.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate_kernel::{Forbidden, Permission, RunId, StoreError, WorkflowId, WorkspaceScope};

use super::context::{CompiledWorkflows, RunOrigin};
use super::ports::{KeyClaim, RunsTx};
use super::record::{MAX_DEPTH, NewRun, Run, digest};
use super::service::Runs;
use crate::compiled::CompiledWorkflow;
use crate::compute::compute;
use crate::definition::{Definition, DefinitionError};
use crate::expression::{Bindings, MAX_VALUE_DEPTH, is_too_deep};
use crate::input::InputProblem;
use crate::model::Document;

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
    /// Another version was published after the input was checked; nothing was done, and it has to be checked again.
    #[error("version {version} was published meanwhile")]
    Superseded {
        /// What to start.
        start: Box<StartRun>,
        /// The version that is published now.
        version: i32,
    },
    /// Too many runs in a chain led to this one.
    #[error("{MAX_DEPTH} runs in a chain have led to this one; workflows that start each other end here")]
    TooDeep,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A start with everything found out about it that takes no transaction.
#[derive(Debug)]
pub struct CheckedStart {
    run: RunId,
    created_at: DateTime<Utc>,
    /// The version that the input was checked against.
    version: i32,
    start: StartRun,
    /// Key and limit of the workflow's concurrency; or why the run cannot be started.
    verdict: Result<Option<(String, u32)>, StartError>,
}

/// How often a start is checked again because another version was published meanwhile.
const ATTEMPTS: usize = 3;

impl Runs {
    /// Starts a run of the published version.
    ///
    /// # Errors
    /// [`StartError`] when the caller lacks `runs:execute`, there is no published version, the input does not meet its schema, or the
    /// dedupe key belongs to another input; nothing was started then.
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

    /// Checks what takes no transaction, and holds none: the input against the schema of `version`, which should be the
    /// published one, and the concurrency key. What is found is told by [`Runs::start_in`].
    ///
    /// # Errors
    /// [`StoreError`] where the version could not be read.
    pub async fn check(
        &self,
        scope: &WorkspaceScope,
        start: StartRun,
        version: i32,
    ) -> Result<CheckedStart, StoreError> {
        let run = RunId::generate(&self.env);
        // As stores keep it, so that the answer is what is read later.
        let created_at = self.env.now().trunc_subsecs(6);
        let checked = |start, verdict| CheckedStart { run, created_at, version, start, verdict };
        let Some(compiled) = self.compiled(scope, start.workflow, version).await? else {
            return Ok(checked(start, Err(StartError::Unpublished)));
        };
        let is_quick = compiled.concurrency.is_none() && compiled.inputs.is_quick(&start.input);
        let check = move || {
            let verdict = verdict(&compiled, &start, run, created_at, version);
            (start, verdict)
        };
        let (start, verdict) = if is_quick { check() } else { compute(&*self.pool, check).await? };
        Ok(checked(start, verdict))
    }

    /// Starts a run as part of a larger unit of work; the caller checks that it may, commits, and calls [`Runs::wake`].
    ///
    /// # Errors
    /// [`StartError`] as for [`Runs::start`]; the transaction can go on without the run, except after [`StartError::Store`].
    pub async fn start_in(&self, tx: &mut dyn RunsTx, checked: CheckedStart) -> Result<Started, StartError> {
        let CheckedStart { run, created_at, version, start, verdict } = checked;
        // Whether the version is the published one is part of keeping the run, unless something has to be told or done before.
        let asked = verdict.is_err() || start.dedupe_key.is_some();
        if asked {
            let published = startable(tx, start.workflow).await?;
            if published != version {
                return Err(StartError::Superseded { start: Box::new(start), version: published });
            }
        }
        let concurrency = verdict?;
        if let Some(key) = &start.dedupe_key {
            let input = digest(&start.input);
            let since = created_at - KEYS_LAST;
            let claim = tx.runs().claim_key(start.workflow, key, run, input, created_at, since).await?;
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
        Ok(Started { run: pending(new), created: true })
    }

    /// Compiles a document that was kept.
    pub(crate) async fn compile(&self, document: Document) -> Result<Result<Definition, DefinitionError>, StoreError> {
        let steps = Arc::clone(&self.steps);
        compute(&*self.pool, move || Definition::compile(&document.source, document.format, &steps)).await
    }

    /// The version that is published, read in a transaction of its own.
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
        // It compiled when it was kept, so this is a server older than the document.
        let definition = self.compile(document).await?.map_err(|error| StoreError::Internal(Box::new(error)))?;
        self.cache.put(workflow, version, Arc::clone(&definition.compiled));
        Ok(Some(definition.compiled))
    }
}

/// The concurrency key and its limit, where the run may be started.
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

/// The version that is published.
async fn startable(tx: &mut dyn RunsTx, workflow: WorkflowId) -> Result<i32, StartError> {
    let workflow = tx.workflows().find(workflow).await?.ok_or(StartError::NotFound)?;
    workflow.published.ok_or(StartError::Unpublished)
}

/// What was asked for, of a run that was not kept.
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
