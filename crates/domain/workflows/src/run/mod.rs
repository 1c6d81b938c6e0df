//! Runs: one execution of one version of a workflow.
//!
//! A pure state machine ([`decide()`]) decides what happens next in a run: state and fact in, transitions and commands
//! out. It has no clock, no IO, and no randomness except a seed from the run itself. The state is the result of
//! applying the transitions in order, so a run whose worker crashed is rebuilt from its committed transitions.

mod backoff;
mod cache;
mod context;
mod decide;
mod model;
pub mod ports;
mod quarantine;
mod record;
mod service;
mod start;
mod state;
mod timeline;

#[cfg(test)]
mod simulation;

pub use context::{CompiledWorkflows, NoWorkflows, RunOrigin};
pub use decide::{DecideError, Decision, decide};
pub use model::{
    Allowance, Command, Fact, FactKind, RunContext, RunError, RunStatus, StepError, StepErrorKind, StepStatus,
    Transition, TransitionRecord, UnknownStatus,
};
pub use quarantine::{OperateError, Quarantine, QuarantineAction, QuarantineKey, QuarantineReason, QuarantinedRun};
pub use record::{MAX_DEPTH, NewRun, Run, RunDetails, RunFilter};
pub use service::{CancelError, ReadError, Runs};
pub use start::{CheckedStart, MAX_KEY, StartError, StartRun, Started};
pub use state::{Corrupt, Phase, RunState, StepState};
pub use timeline::{AttemptView, StepView, WaitsFor, timeline};
