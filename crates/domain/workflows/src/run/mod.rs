//! Runs: one execution of one version of a workflow.
//!
//! What comes next in a run is decided by a pure state machine ([`decide`]): state and fact in, recorded transitions
//! and commands out; no clock, no IO, no randomness that a run does not carry itself. Its state is nothing but its
//! transitions applied in order, so a run that was lost with its worker is rebuilt from what was committed.

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
    Command, Fact, FactKind, RunContext, RunError, RunStatus, StepError, StepErrorKind, StepStatus, Transition,
    TransitionRecord, UnknownStatus,
};
pub use quarantine::{OperateError, Quarantine, QuarantineAction, QuarantineKey, QuarantineReason, QuarantinedRun};
pub use record::{MAX_DEPTH, NewRun, Run, RunDetails, RunFilter};
pub use service::{CancelError, ReadError, Runs};
pub use start::{CheckedStart, MAX_KEY, StartError, StartRun, Started};
pub use state::{Corrupt, Phase, RunState, StepState};
pub use timeline::{AttemptView, StepView, timeline};
