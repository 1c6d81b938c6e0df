//! The keys of counters: terms, dimensions and pattern keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidegate_kernel::{PatternId, WorkspaceId};
use uuid::{Builder, Uuid};

/// A stand-in for a text (a path, an actor, a session, a tool): the first 128 bits of its SHA-256.
///
/// Counters and their indexes hold terms, so that a long path costs 16 bytes and has the same order everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(Uuid);

impl Term {
    /// No text, for keys without a second part.
    pub const NONE: Self = Self(Uuid::nil());

    /// The term of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Uuid::from_bytes(first_128_bits(Sha256::new().chain_update(text.as_bytes()))))
    }

    /// The term with these bits, as read from a store.
    #[must_use]
    pub const fn from_uuid(bits: Uuid) -> Self {
        Self(bits)
    }

    /// The bits, as written to a store.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

fn first_128_bits(hash: Sha256) -> [u8; 16] {
    let mut bits = [0; 16];
    bits.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    bits
}

/// An id that is derived from its parts, so that the same object always has the same id (RFC 9562, UUIDv8).
pub(crate) fn derived_id(parts: &[&[u8]]) -> Uuid {
    let hash = parts.iter().fold(Sha256::new(), |hash, part| {
        hash.chain_update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()).chain_update(part)
    });
    Builder::from_custom_bytes(first_128_bits(hash)).into_uuid()
}

/// The attribute by which a frequency pattern counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// All events. It is not a pattern itself, but the total of which the others are shares.
    All,
    /// The file extension.
    Extension,
    /// The tool that was used.
    Tool,
    /// The hour of the day in UTC, `00` to `23`.
    Hour,
    /// The subject of the event, such as a path.
    Subject,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 5] = [Self::All, Self::Extension, Self::Tool, Self::Hour, Self::Subject];

    /// The name in the API and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Extension => "extension",
            Self::Tool => "tool",
            Self::Hour => "hour",
            Self::Subject => "subject",
        }
    }
}

/// The kind of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PatternKind {
    /// Something happens often.
    Frequency,
    /// One actor touches one subject and next another one, within [`super::SEQUENCE_WINDOW`].
    Sequence,
    /// Two subjects change in the same sessions.
    CoOccurrence,
}

impl PatternKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Frequency, Self::Sequence, Self::CoOccurrence];

    /// The name in the API and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Frequency => "frequency",
            Self::Sequence => "sequence",
            Self::CoOccurrence => "co_occurrence",
        }
    }
}

/// A text that is not a value of the enumeration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not known here")]
pub struct UnknownName(pub String);

macro_rules! named {
    ($($name:ty),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                Self::ALL.into_iter().find(|value| value.as_str() == text).ok_or_else(|| UnknownName(text.to_owned()))
            }
        }
    )*};
}
named!(Dimension, PatternKind);

/// The identity of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PatternKey {
    /// Events whose `dimension` is `value`.
    Frequency {
        /// The dimension; never [`Dimension::All`].
        dimension: Dimension,
        /// The counted value.
        value: Term,
    },
    /// `from` followed by `to`.
    Sequence {
        /// The earlier subject.
        from: Term,
        /// The later subject.
        to: Term,
    },
    /// Both subjects in one session.
    CoOccurrence {
        /// The subject with the smaller term.
        low: Term,
        /// The other subject.
        high: Term,
    },
}

impl PatternKey {
    /// The pair of two different subjects, independent of their order.
    #[must_use]
    pub fn pair(one: Term, other: Term) -> Self {
        Self::CoOccurrence { low: one.min(other), high: one.max(other) }
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> PatternKind {
        match self {
            Self::Frequency { .. } => PatternKind::Frequency,
            Self::Sequence { .. } => PatternKind::Sequence,
            Self::CoOccurrence { .. } => PatternKind::CoOccurrence,
        }
    }

    /// The key as columns: dimension, first term, second term.
    #[must_use]
    pub const fn parts(&self) -> (Option<Dimension>, Term, Term) {
        match *self {
            Self::Frequency { dimension, value } => (Some(dimension), value, Term::NONE),
            Self::Sequence { from, to } => (None, from, to),
            Self::CoOccurrence { low, high } => (None, low, high),
        }
    }

    /// The key with these columns, or `None` if a frequency has no dimension.
    #[must_use]
    pub fn from_parts(kind: PatternKind, dimension: Option<Dimension>, a: Term, b: Term) -> Option<Self> {
        match kind {
            PatternKind::Frequency => dimension.map(|dimension| Self::Frequency { dimension, value: a }),
            PatternKind::Sequence => Some(Self::Sequence { from: a, to: b }),
            PatternKind::CoOccurrence => Some(Self::pair(a, b)),
        }
    }

    /// The id of this pattern in `workspace`. The same key always has the same id.
    #[must_use]
    pub fn id(&self, workspace: WorkspaceId) -> PatternId {
        let (dimension, a, b) = self.parts();
        PatternId::from_uuid(derived_id(&[
            b"pattern",
            workspace.as_uuid().as_bytes(),
            self.kind().as_str().as_bytes(),
            dimension.map_or("", Dimension::as_str).as_bytes(),
            a.0.as_bytes(),
            b.0.as_bytes(),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_from_workspace_and_key() {
        let (one, other) = (WorkspaceId::from_uuid(Uuid::from_u128(1)), WorkspaceId::from_uuid(Uuid::from_u128(2)));
        let (a, b) = (Term::of("a"), Term::of("b"));
        assert_eq!(PatternKey::pair(a, b).id(one), PatternKey::pair(b, a).id(one));
        assert_ne!(PatternKey::pair(a, b).id(one), PatternKey::pair(a, b).id(other));
        assert_ne!(PatternKey::Sequence { from: a, to: b }.id(one), PatternKey::Sequence { from: b, to: a }.id(one));
    }

    #[test]
    fn keys_survive_their_columns() {
        let (a, b) = (Term::of("a"), Term::of("b"));
        for key in [
            PatternKey::Frequency { dimension: Dimension::Hour, value: a },
            PatternKey::Sequence { from: b, to: a },
            PatternKey::pair(b, a),
        ] {
            let (dimension, a, b) = key.parts();
            assert_eq!(PatternKey::from_parts(key.kind(), dimension, a, b), Some(key));
        }
    }
}
