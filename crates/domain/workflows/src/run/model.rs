//! The vocabulary of a run: statuses, facts, transitions and commands.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_kernel::RunId;

use crate::compiled::StepIndex;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every status, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether the status is final.
            #[must_use]
            pub const fn is_terminal(self) -> bool {
                !matches!(self, Self::Pending | Self::Running | Self::Waiting)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownStatus;
            fn from_str(text: &str) -> Result<Self, UnknownStatus> {
                Self::ALL.iter().copied().find(|status| status.as_str() == text).ok_or_else(|| UnknownStatus(text.to_owned()))
            }
        }
    )*};
}

/// A text that is not a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a status")]
pub struct UnknownStatus(pub String);

statuses! {
    /// The status of a run.
    RunStatus {
        /// It waits for a worker or is held back by a concurrency limit.
        Pending = "pending",
        /// At least one step attempt is running.
        Running = "running",
        /// No attempt is running, and a step waits for a timer.
        Waiting = "waiting",
        /// Every step was completed or skipped.
        Completed = "completed",
        /// A step failed for good.
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
        /// A step failed for good because its last attempt timed out.
        TimedOut = "timed_out",
    }

    /// The status of a step of a run.
    StepStatus {
        /// A step that it needs has not ended.
        Pending = "pending",
        /// An attempt is running.
        Running = "running",
        /// It waits for the end of its delay, or for the backoff before the next attempt.
        Waiting = "waiting",
        /// It has an output.
        Completed = "completed",
        /// It failed for good.
        Failed = "failed",
        /// The run ended before the step did.
        Cancelled = "cancelled",
        /// Its last attempt timed out.
        TimedOut = "timed_out",
        /// Its `if` was false.
        Skipped = "skipped",
    }
}

/// The kind of failure of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepErrorKind {
    /// A retry may succeed.
    Transient,
    /// Every retry would fail in the same way.
    Permanent,
    /// The attempt exceeded the step's `timeout`; a retry may succeed.
    TimedOut,
}

/// Why an attempt failed, for the owner of the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// A stable slug, such as `expression`, `unexpected-status`, `timed-out`.
    pub code: String,
    /// What happened and what to change. MUST NOT contain a secret or data of another workspace.
    pub message: String,
    /// Whether a retry can help.
    pub kind: StepErrorKind,
}

impl StepError {
    /// An error after which a retry may succeed.
    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), kind: StepErrorKind::Transient }
    }

    /// An error after which no retry can succeed.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), kind: StepErrorKind::Permanent }
    }

    /// The error of an attempt that exceeded its timeout.
    #[must_use]
    pub fn timed_out(after: Duration) -> Self {
        Self {
            code: "timed-out".to_owned(),
            message: format!("the attempt took longer than {after:?}"),
            kind: StepErrorKind::TimedOut,
        }
    }
}

/// Why a run did not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// The slug of the step's error, or `outputs`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// The id of the step that failed, if a step did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// The input of a run. It never changes, and expressions can read all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunContext {
    /// The run's id. It is also the seed for the jitter of retries.
    pub id: RunId,
    /// `inputs`.
    pub inputs: Value,
    /// `event`, or null.
    pub event: Value,
    /// `run`.
    pub run: Value,
    /// `workflow`.
    pub workflow: Value,
    /// `trigger`.
    pub trigger: Value,
}

/// A fact: something that happened, and when. A fact that no longer fits the state changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: FactKind,
    /// How many attempts may begin because of it.
    pub allowance: Allowance,
}

/// How many attempts of steps may begin, because the plan of a workspace limits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The number of attempts.
    pub attempts: u32,
    /// When a step that may not begin now tries again.
    pub again_at: DateTime<Utc>,
}

impl Allowance {
    /// No limit.
    pub const UNLIMITED: Self = Self { attempts: u32::MAX, again_at: DateTime::<Utc>::MAX_UTC };
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum FactKind {
    /// The run was admitted and may begin.
    Admitted,
    /// An attempt ended.
    AttemptEnded {
        /// The step.
        step: StepIndex,
        /// The number of the attempt, starting at 1.
        attempt: u32,
        /// Its output or its error.
        outcome: Result<Value, StepError>,
    },
    /// A timer that the run set is due.
    TimeCame {
        /// The step.
        step: StepIndex,
        /// The attempt that set the timer.
        attempt: u32,
    },
    /// A caller cancelled the run.
    CancelRequested,
}

/// A change of a run, recorded permanently.
///
/// The names and members are stored. They MUST NOT change; new ones may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Transition {
    /// The run began.
    RunStarted,
    /// An attempt began.
    StepStarted {
        /// The step.
        step: StepIndex,
        /// The number of the attempt, starting at 1.
        attempt: u32,
        /// The step's input. It is the same for every attempt, so only the first attempt records it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
    },
    /// A delay began.
    StepWaiting {
        /// The step.
        step: StepIndex,
        /// The step's input.
        input: Value,
        /// When the delay ends.
        until: DateTime<Utc>,
    },
    /// The next attempt of a step did not begin, because the plan of the workspace allows no more.
    StepHeld {
        /// The step.
        step: StepIndex,
        /// When it tries again.
        until: DateTime<Utc>,
    },
    /// A step was completed.
    StepCompleted {
        /// The step.
        step: StepIndex,
        /// The number of the attempt that completed it.
        attempt: u32,
        /// Its input, if no attempt was recorded before and the input differs from the output.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
        /// Its output.
        output: Value,
        /// Whether the attempt began and ended at once, so that nothing recorded its beginning.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_once: bool,
    },
    /// An attempt failed.
    StepFailed {
        /// The step.
        step: StepIndex,
        /// The number of the attempt.
        attempt: u32,
        /// The error.
        error: StepError,
        /// When the next attempt begins; `None` if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<DateTime<Utc>>,
        /// Whether the attempt began and ended at once, so that nothing recorded its beginning.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        at_once: bool,
    },
    /// The `if` of a step was false.
    StepSkipped {
        /// The step.
        step: StepIndex,
    },
    /// The run ended. Every step that had not ended is cancelled.
    RunEnded {
        /// The final status.
        status: RunStatus,
        /// The outputs; null if the run was not completed.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        outputs: Value,
        /// The error, if the run was not completed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<RunError>,
    },
}

impl Transition {
    /// The name under which it is stored.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted => "run_started",
            Self::StepStarted { .. } => "step_started",
            Self::StepWaiting { .. } => "step_waiting",
            Self::StepHeld { .. } => "step_held",
            Self::StepCompleted { .. } => "step_completed",
            Self::StepFailed { .. } => "step_failed",
            Self::StepSkipped { .. } => "step_skipped",
            Self::RunEnded { .. } => "run_ended",
        }
    }

    /// The step that it belongs to.
    #[must_use]
    pub const fn step(&self) -> Option<StepIndex> {
        match self {
            Self::StepStarted { step, .. }
            | Self::StepWaiting { step, .. }
            | Self::StepHeld { step, .. }
            | Self::StepCompleted { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepSkipped { step } => Some(*step),
            Self::RunStarted | Self::RunEnded { .. } => None,
        }
    }

    /// The attempt that it belongs to.
    #[must_use]
    pub const fn attempt(&self) -> Option<u32> {
        match self {
            Self::StepStarted { attempt, .. }
            | Self::StepCompleted { attempt, .. }
            | Self::StepFailed { attempt, .. } => Some(*attempt),
            Self::RunStarted
            | Self::StepWaiting { .. }
            | Self::StepHeld { .. }
            | Self::StepSkipped { .. }
            | Self::RunEnded { .. } => None,
        }
    }

    /// Whether it begins an attempt of a step. The meter for steps counts these transitions, each once.
    #[must_use]
    pub const fn begins_attempt(&self) -> bool {
        matches!(
            self,
            Self::StepStarted { .. }
                | Self::StepWaiting { .. }
                | Self::StepCompleted { at_once: true, .. }
                | Self::StepFailed { at_once: true, .. }
        )
    }
}

/// A transition with its sequence number in the run.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionRecord {
    /// The sequence number: starts at 0, without gaps.
    pub seq: u32,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The transition.
    pub transition: Transition,
}

/// Work outside the state machine. It MUST be executed only after the transitions of the same decision are committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Execute an attempt, and report the result with [`FactKind::AttemptEnded`].
    Execute {
        /// The step.
        step: StepIndex,
        /// The number of the attempt, starting at 1.
        attempt: u32,
        /// The step's input.
        input: Value,
        /// The timeout of the attempt.
        timeout: Duration,
    },
    /// Set a timer, and report it with [`FactKind::TimeCame`] when it is due.
    SetTimer {
        /// The step.
        step: StepIndex,
        /// The attempt that sets the timer.
        attempt: u32,
        /// When the timer is due.
        due: DateTime<Utc>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_is_stored_under_its_name_and_reads_back() {
        let failed = Transition::StepFailed {
            step: StepIndex(3),
            attempt: 2,
            error: StepError::transient("connect", "refused"),
            retry_at: None,
            at_once: false,
        };
        let stored = serde_json::to_value(&failed).unwrap();
        assert_eq!(stored["kind"], failed.kind());
        assert_eq!(stored["step"], 3);
        assert_eq!(serde_json::from_value::<Transition>(stored).unwrap(), failed);
    }

    #[test]
    fn statuses_read_back() {
        for status in RunStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        for status in StepStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
    }
}
