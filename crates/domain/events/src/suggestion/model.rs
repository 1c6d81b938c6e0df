//! A suggestion, and what it is made of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidegate_kernel::{EventId, Page, PatternId, Position, SuggestionId, WorkflowId, WorkspaceId};

use crate::pattern::key::{UnknownName, derived_id};
use crate::pattern::{PatternFacts, PatternKey, Term};

/// The least confidence with which anything is suggested, in millionths (requirements, E5).
pub const MIN_CONFIDENCE: i64 = 300_000;

/// What became of a suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SuggestionStatus {
    /// Waiting for an answer.
    Open,
    /// Made into a workflow.
    Applied,
    /// Refused; it is never offered again.
    Dismissed,
}

impl SuggestionStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Open, Self::Applied, Self::Dismissed];

    /// The name, as shown and stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Applied => "applied",
            Self::Dismissed => "dismissed",
        }
    }
}

impl fmt::Display for SuggestionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SuggestionStatus {
    type Err = UnknownName;
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// A pattern that a suggestion could be made of, with its numbers as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The pattern.
    pub pattern: PatternId,
    /// What it counts.
    pub key: PatternKey,
    /// How often it happened.
    pub support: i64,
    /// The numbers behind it.
    pub facts: PatternFacts,
}

impl Candidate {
    /// The subject whose growth lowers the confidence: the one that the others depend on. [`Term::NONE`] stands for the
    /// number of active days.
    #[must_use]
    pub fn basis(&self) -> Term {
        match &self.facts {
            PatternFacts::Frequency { .. } => Term::NONE,
            PatternFacts::Sequence { from, .. } => Term::of(from),
            PatternFacts::CoOccurrence { antecedent, .. } => Term::of(antecedent),
        }
    }
}

/// What a rule says about a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Follows from the workspace, the rule and the pattern.
    pub id: SuggestionId,
    /// The rule.
    pub rule: String,
    /// The pattern with its numbers.
    pub candidate: Candidate,
    /// The lower bound of its share, in millionths.
    pub confidence: i64,
    /// Whether that and the support are enough to offer it. One that was offered before and is no longer good enough is
    /// kept with its confidence, but not listed while it is below [`MIN_CONFIDENCE`].
    pub good: bool,
}

impl Offer {
    /// The id of what `rule` suggests about `pattern` in `workspace`.
    #[must_use]
    pub fn id(workspace: WorkspaceId, rule: &str, pattern: PatternId) -> SuggestionId {
        SuggestionId::from_uuid(derived_id(&[
            b"suggestion",
            workspace.as_uuid().as_bytes(),
            rule.as_bytes(),
            pattern.as_uuid().as_bytes(),
        ]))
    }
}

/// A suggestion as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// Its id.
    pub id: SuggestionId,
    /// The rule that made it.
    pub rule: String,
    /// The pattern behind it.
    pub pattern: PatternId,
    /// How often the pattern had happened when this was last looked at.
    pub support: i64,
    /// The numbers at that time.
    pub facts: PatternFacts,
    /// The lower bound of its share, in millionths.
    pub confidence: i64,
    /// What became of it.
    pub status: SuggestionStatus,
    /// The workflow that it was made into.
    pub workflow: Option<WorkflowId>,
    /// The latest events that show the pattern.
    pub evidence: Vec<EventId>,
}

/// Which suggestions are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestionFilter {
    /// Of these statuses.
    pub statuses: Vec<SuggestionStatus>,
    /// At least this confidence, in millionths. Open ones are never listed below [`MIN_CONFIDENCE`].
    pub min_confidence: i64,
}

impl Default for SuggestionFilter {
    /// All of them.
    fn default() -> Self {
        Self { statuses: SuggestionStatus::ALL.to_vec(), min_confidence: 0 }
    }
}

/// The place of a suggestion in the list: by confidence and then by id, both falling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SuggestionPlace {
    /// The confidence in millionths.
    pub confidence: i64,
    /// The id.
    pub id: SuggestionId,
}

/// A page of suggestions, and what it was computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSuggestions {
    /// The suggestions.
    pub page: Page<Suggestion, SuggestionPlace>,
    /// The answer follows from the events up to here.
    pub watermark: Position,
}
