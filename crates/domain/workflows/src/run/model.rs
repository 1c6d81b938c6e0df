//! The words of a run: statuses, facts, transitions and commands.

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

            /// The text that callers see.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether nothing can follow.
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

/// A text that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a status")]
pub struct UnknownStatus(pub String);

statuses! {
    /// Where a run is.
    RunStatus {
        /// Nobody has taken it up yet, or a concurrency limit holds it back.
        Pending = "pending",
        /// At least one step is being worked on.
        Running = "running",
        /// Nothing is being worked on until a time comes.
        Waiting = "waiting",
        /// Every step ended as it should.
        Completed = "completed",
        /// A step failed for good.
        Failed = "failed",
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// A step failed for good because its time was over.
        TimedOut = "timed_out",
    }

    /// Where a step of a run is.
    StepStatus {
        /// What it needs has not ended.
        Pending = "pending",
        /// An attempt is being worked on.
        Running = "running",
        /// A delay, or the pause before the next attempt.
        Waiting = "waiting",
        /// It has an output.
        Completed = "completed",
        /// It failed for good.
        Failed = "failed",
        /// The run ended before the step did.
        Cancelled = "cancelled",
        /// Its last attempt took longer than allowed.
        TimedOut = "timed_out",
        /// Its `if` was false.
        Skipped = "skipped",
    }
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepErrorKind {
    /// It may pass when it is tried again.
    Transient,
    /// It fails the same way however often it is tried.
    Permanent,
    /// It took longer than the step's `timeout`; it may pass when it is tried again.
    TimedOut,
}

/// Why an attempt failed, in words for the owner of the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// A stable slug, such as `expression`, `unexpected-status`, `timed-out`.
    pub code: String,
    /// What happened and what to change; never a secret, never a value from elsewhere than the workspace.
    pub message: String,
    /// Whether trying again can help.
    pub kind: StepErrorKind,
}

impl StepError {
    /// An error that trying again can cure.
    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), kind: StepErrorKind::Transient }
    }

    /// An error that stays.
    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), kind: StepErrorKind::Permanent }
    }

    /// The time of an attempt was over.
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
    /// The id of the step that failed, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// What a run was started with. It never changes, and everything in it can be seen by expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct RunContext {
    /// The run; it seeds the jitter of its retries.
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

/// Something that happened, and when. A fact that does not fit the state any more changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub kind: FactKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum FactKind {
    /// The run was admitted: it may begin.
    Admitted,
    /// An attempt ended.
    AttemptEnded {
        /// Of this step.
        step: StepIndex,
        /// 1 for the first.
        attempt: u32,
        /// Its output, or why there is none.
        outcome: Result<Value, StepError>,
    },
    /// A time that the run asked for has come.
    TimeCame {
        /// For this step.
        step: StepIndex,
        /// The attempt that asked.
        attempt: u32,
    },
    /// Somebody wants the run to end.
    CancelRequested,
}

/// A change of a run, as it is recorded: once, for ever.
///
/// The names and members are stored; they may be added to, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Transition {
    /// The run began.
    RunStarted,
    /// An attempt began.
    StepStarted {
        /// Of this step.
        step: StepIndex,
        /// 1 for the first.
        attempt: u32,
        /// What the step was given; only with the first attempt, all have the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
    },
    /// A delay began.
    StepWaiting {
        /// Of this step.
        step: StepIndex,
        /// What the step was given.
        input: Value,
        /// When it ends.
        until: DateTime<Utc>,
    },
    /// A step has its output.
    StepCompleted {
        /// Which.
        step: StepIndex,
        /// With which attempt.
        attempt: u32,
        /// What it was given, where no attempt was recorded before and it is not the output itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
        /// What it made.
        output: Value,
    },
    /// An attempt failed.
    StepFailed {
        /// Of this step.
        step: StepIndex,
        /// Which.
        attempt: u32,
        /// Why.
        error: StepError,
        /// When the next one begins; `None` when there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<DateTime<Utc>>,
    },
    /// The `if` of a step was false.
    StepSkipped {
        /// Which.
        step: StepIndex,
    },
    /// The run ended; with it every step that had not, as cancelled.
    RunEnded {
        /// How.
        status: RunStatus,
        /// What it answers; null where it did not complete.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        outputs: Value,
        /// Why it did not complete.
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
            Self::StepCompleted { .. } => "step_completed",
            Self::StepFailed { .. } => "step_failed",
            Self::StepSkipped { .. } => "step_skipped",
            Self::RunEnded { .. } => "run_ended",
        }
    }

    /// The step that it is about.
    #[must_use]
    pub const fn step(&self) -> Option<StepIndex> {
        match self {
            Self::StepStarted { step, .. }
            | Self::StepWaiting { step, .. }
            | Self::StepCompleted { step, .. }
            | Self::StepFailed { step, .. }
            | Self::StepSkipped { step } => Some(*step),
            Self::RunStarted | Self::RunEnded { .. } => None,
        }
    }

    /// The attempt that it is about.
    #[must_use]
    pub const fn attempt(&self) -> Option<u32> {
        match self {
            Self::StepStarted { attempt, .. }
            | Self::StepCompleted { attempt, .. }
            | Self::StepFailed { attempt, .. } => Some(*attempt),
            Self::RunStarted | Self::StepWaiting { .. } | Self::StepSkipped { .. } | Self::RunEnded { .. } => None,
        }
    }

    /// Whether it ends an attempt of a step; these are what the meter for steps counts.
    #[must_use]
    pub const fn is_execution(&self) -> bool {
        matches!(self, Self::StepCompleted { .. } | Self::StepFailed { .. })
    }
}

/// A transition with its place in its run.
#[derive(Debug, Clone, PartialEq)]
pub struct TransitionRecord {
    /// 0 for the first, without gaps.
    pub seq: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub transition: Transition,
}

/// What has to be done outside the state machine. Done only once the transitions that came with it are committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Work on an attempt, and tell how it ended with [`FactKind::AttemptEnded`].
    Execute {
        /// Of this step.
        step: StepIndex,
        /// 1 for the first.
        attempt: u32,
        /// What it is given.
        input: Value,
        /// How long it may take.
        timeout: Duration,
    },
    /// Say when a time has come with [`FactKind::TimeCame`].
    SetTimer {
        /// For this step.
        step: StepIndex,
        /// The attempt that asks.
        attempt: u32,
        /// The time.
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
