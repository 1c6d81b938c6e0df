//! A suggestion, and the data from which it is made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidegate_kernel::{EventId, Page, PatternId, Position, SuggestionId, WorkflowId, WorkspaceId};

use crate::pattern::key::{UnknownName, derived_id};
use crate::pattern::{PatternFacts, PatternKey, Term};

/// The minimum confidence of a suggestion, in millionths; a product requirement.
pub const MIN_CONFIDENCE: i64 = 300_000;

/// The status of a suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SuggestionStatus {
    /// Waits for a decision.
    Open,
    /// Was made into a workflow.
    Applied,
    /// Was dismissed; it is never suggested again.
    Dismissed,
}

impl SuggestionStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Open, Self::Applied, Self::Dismissed];

    /// The name in the API and in the store.
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

/// A pattern with its current counts, for which rules may make suggestions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The pattern.
    pub pattern: PatternId,
    /// What it counts.
    pub key: PatternKey,
    /// How often it happened.
    pub support: i64,
    /// The counts behind it.
    pub facts: PatternFacts,
}

impl Candidate {
    /// The subject whose growth lowers the confidence: the one that is the denominator of the share. [`Term::NONE`]
    /// stands for the number of active days.
    #[must_use]
    pub fn basis(&self) -> Term {
        match &self.facts {
            PatternFacts::Frequency { .. } => Term::NONE,
            PatternFacts::Sequence { from, .. } => Term::of(from),
            PatternFacts::CoOccurrence { antecedent, .. } => Term::of(antecedent),
        }
    }
}

/// The result of a rule for a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Derived from the workspace, the rule and the pattern.
    pub id: SuggestionId,
    /// The rule.
    pub rule: String,
    /// The pattern with its counts.
    pub candidate: Candidate,
    /// The lower bound of its share, in millionths.
    pub confidence: i64,
    /// Whether confidence and support are high enough for a suggestion. A stored suggestion that is no longer good
    /// keeps its updated confidence, and is not listed while that is below [`MIN_CONFIDENCE`].
    pub good: bool,
}

impl Offer {
    /// The id of the suggestion of `rule` for `pattern` in `workspace`.
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

/// A stored suggestion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// Its id.
    pub id: SuggestionId,
    /// The rule that made it.
    pub rule: String,
    /// The pattern behind it.
    pub pattern: PatternId,
    /// The pattern's support at the last update.
    pub support: i64,
    /// The counts at that time.
    pub facts: PatternFacts,
    /// The lower bound of its share, in millionths.
    pub confidence: i64,
    /// Its status.
    pub status: SuggestionStatus,
    /// The workflow that was made from it.
    pub workflow: Option<WorkflowId>,
    /// The latest events of the pattern.
    pub evidence: Vec<EventId>,
}

/// A filter for suggestions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestionFilter {
    /// Only suggestions with one of these statuses.
    pub statuses: Vec<SuggestionStatus>,
    /// The minimum confidence, in millionths. Open suggestions below [`MIN_CONFIDENCE`] are never listed.
    pub min_confidence: i64,
}

impl Default for SuggestionFilter {
    /// Matches all suggestions.
    fn default() -> Self {
        Self { statuses: SuggestionStatus::ALL.to_vec(), min_confidence: 0 }
    }
}

/// The sort key of a suggestion in lists: by confidence and then by id, both descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SuggestionPlace {
    /// The confidence in millionths.
    pub confidence: i64,
    /// The id.
    pub id: SuggestionId,
}

/// A page of suggestions, and the data from which it was computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSuggestions {
    /// The suggestions.
    pub page: Page<Suggestion, SuggestionPlace>,
    /// The result is based on the events up to this position.
    pub watermark: Position,
}
