//! A pattern as read.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_kernel::{EventId, Page, PatternId, Position};

use super::key::{Dimension, PatternKind};
use super::sequence::SEQUENCE_WINDOW;
use super::session::MAX_SESSION_SUBJECTS;

/// The minimum support of a pattern in lists; a product requirement.
pub const MIN_SUPPORT: i64 = 3;

/// The numbers behind a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PatternFacts {
    /// Something happens often.
    Frequency {
        /// The dimension.
        dimension: Dimension,
        /// The counted value.
        value: String,
        /// The number of days on which it happened.
        days: i64,
        /// The number of days with any event.
        active_days: i64,
        /// The number of all events.
        all_events: i64,
    },
    /// One actor's `from` followed by `to`.
    Sequence {
        /// The earlier subject.
        from: String,
        /// The later subject.
        to: String,
        /// How often an actor touched `from`.
        from_touches: i64,
        /// The mean time between both, in milliseconds, rounded down.
        mean_gap_ms: i64,
    },
    /// Two subjects in the same sessions.
    CoOccurrence {
        /// The subject with fewer sessions. If it changes, the consequent usually changes too.
        antecedent: String,
        /// The other subject.
        consequent: String,
        /// The number of sessions with the antecedent.
        antecedent_sessions: i64,
        /// The number of sessions with the consequent.
        consequent_sessions: i64,
        /// The number of all sessions that are not oversized.
        all_sessions: i64,
    },
}

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// The id; the same pattern in the same workspace always has the same id.
    pub id: PatternId,
    /// How often it happened: the number of events for a frequency, of sessions for a co-occurrence.
    pub support: i64,
    /// The numbers.
    pub facts: PatternFacts,
    /// When it happened first.
    pub first_seen: DateTime<Utc>,
    /// When it happened last.
    pub last_seen: DateTime<Utc>,
    /// The latest events that show it, newest first.
    pub evidence: Vec<EventId>,
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(part: i64, whole: i64) -> f64 {
    if whole <= 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl PatternFacts {
    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> PatternKind {
        match self {
            Self::Frequency { .. } => PatternKind::Frequency,
            Self::Sequence { .. } => PatternKind::Sequence,
            Self::CoOccurrence { .. } => PatternKind::CoOccurrence,
        }
    }

    /// The first subject: the value of a frequency, the earlier one of a sequence, the antecedent of a pair.
    #[must_use]
    pub fn first_subject(&self) -> &str {
        match self {
            Self::Frequency { value, .. } => value,
            Self::Sequence { from, .. } => from,
            Self::CoOccurrence { antecedent, .. } => antecedent,
        }
    }

    /// How often it happened, and how often it could have happened. The confidence is their ratio.
    ///
    /// - Frequency: the days on which it happened, of the days with any event.
    /// - Sequence: how often `to` came next, of how often `from` was touched.
    /// - Co-occurrence: the sessions with both, of the sessions with the antecedent.
    #[must_use]
    pub const fn trials(&self, support: i64) -> (i64, i64) {
        match self {
            Self::Frequency { days, active_days, .. } => (*days, *active_days),
            Self::Sequence { from_touches, .. } => (support, *from_touches),
            Self::CoOccurrence { antecedent_sessions, .. } => (support, *antecedent_sessions),
        }
    }
}

impl Pattern {
    /// How often it happened as a share of how often it could have happened, from 0 to 1. See [`PatternFacts::trials`].
    #[must_use]
    pub fn confidence(&self) -> f64 {
        let (hits, of) = self.facts.trials(self.support);
        ratio(hits, of)
    }

    /// How many times more often both occur together than if they were independent: P(A∧B) / (P(A)·P(B)). Called
    /// interest in Brin et al., "Dynamic itemset counting and implication rules for market basket data" (1997).
    #[must_use]
    pub fn lift(&self) -> Option<f64> {
        match &self.facts {
            PatternFacts::CoOccurrence { antecedent_sessions, consequent_sessions, all_sessions, .. } => {
                let expected = ratio(*antecedent_sessions, *all_sessions) * ratio(*consequent_sessions, *all_sessions);
                (expected > 0.0).then(|| ratio(self.support, *all_sessions) / expected)
            }
            _ => None,
        }
    }

    /// One sentence with the names and the counts.
    #[must_use]
    pub fn description(&self) -> String {
        let support = self.support;
        match &self.facts {
            PatternFacts::Frequency { dimension, value, days, active_days, .. } => {
                let what = match dimension {
                    Dimension::All => "Something happened".to_owned(),
                    Dimension::Extension => format!("`.{value}` files were touched"),
                    Dimension::Tool => format!("The tool `{value}` was used"),
                    Dimension::Hour => format!("Between {value}:00 and {value}:59 UTC something happened"),
                    Dimension::Subject => format!("`{value}` was touched"),
                };
                format!("{what} {support} times, on {days} of {active_days} active days.")
            }
            PatternFacts::Sequence { from, to, from_touches, mean_gap_ms } => format!(
                "After `{from}`, the same person went on to `{to}` {support} of {from_touches} times, {} later on average.",
                seconds(*mean_gap_ms)
            ),
            PatternFacts::CoOccurrence { antecedent, consequent, antecedent_sessions, .. } => format!(
                "`{antecedent}` and `{consequent}` change together: in {support} of the {antecedent_sessions} sessions with `{antecedent}`."
            ),
        }
    }

    /// The names and counts of the description, as an object.
    #[must_use]
    pub fn params(&self) -> Value {
        match &self.facts {
            PatternFacts::Frequency { dimension, value, days, active_days, all_events } => json!({
                "dimension": dimension.as_str(), "value": value, "days": days, "active_days": active_days,
                "share": ratio(self.support, *all_events),
            }),
            PatternFacts::Sequence { from, to, from_touches, mean_gap_ms } => json!({
                "from": from, "to": to, "from_count": from_touches, "mean_gap_s": ratio(*mean_gap_ms, 1000),
                "within_s": SEQUENCE_WINDOW.num_seconds(),
            }),
            PatternFacts::CoOccurrence {
                antecedent,
                consequent,
                antecedent_sessions,
                consequent_sessions,
                all_sessions,
            } => json!({
                "antecedent": antecedent, "consequent": consequent, "subjects": [antecedent, consequent],
                "antecedent_sessions": antecedent_sessions, "consequent_sessions": consequent_sessions,
                "sessions": all_sessions,
            }),
        }
    }
}

fn seconds(millis: i64) -> String {
    match millis {
        ..1_000 => format!("{millis} ms"),
        1_000..120_000 => format!("{} s", millis / 1_000),
        _ => format!("{} min", millis / 60_000),
    }
}

/// A filter for patterns.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternFilter {
    /// Only patterns of these kinds.
    pub kinds: Vec<PatternKind>,
    /// The minimum confidence.
    pub min_confidence: f64,
}

impl Default for PatternFilter {
    /// Matches all patterns.
    fn default() -> Self {
        Self { kinds: PatternKind::ALL.to_vec(), min_confidence: 0.0 }
    }
}

/// The sort key of a pattern in lists: by support and then by id, both descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PatternPlace {
    /// The support.
    pub support: i64,
    /// The id.
    pub id: PatternId,
}

/// A page of patterns, and the data from which it was computed.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedPatterns {
    /// The patterns.
    pub page: Page<Pattern, PatternPlace>,
    /// The result equals a recount of all events up to this position.
    pub watermark: Position,
    /// The number of oversized sessions, which made no pairs.
    pub oversized_sessions: i64,
}

impl ListedPatterns {
    /// Notes for the reader about what the list does not include.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let sessions = match self.oversized_sessions {
            ..1 => return Vec::new(),
            1 => "1 session has".to_owned(),
            n => format!("{n} sessions have"),
        };
        vec![format!("{sessions} over {MAX_SESSION_SUBJECTS} subjects and make no pairs.")]
    }
}
