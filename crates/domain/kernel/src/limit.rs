//! The limit of a countable thing.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a catalogue spells [`Limit::Unlimited`].
const UNLIMITED: &str = "unlimited";

/// How much is allowed. In a catalogue it is a non-negative integer or `"unlimited"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Any amount.
    Unlimited,
    /// At most this amount, which is not negative.
    AtMost(i64),
}

impl Limit {
    /// The largest amount; `None` if any is allowed.
    #[must_use]
    pub const fn at_most(self) -> Option<i64> {
        match self {
            Self::Unlimited => None,
            Self::AtMost(limit) => Some(limit),
        }
    }

    /// Whether `amount` is allowed.
    #[must_use]
    pub const fn allows(self, amount: i64) -> bool {
        match self {
            Self::Unlimited => true,
            Self::AtMost(limit) => amount <= limit,
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unlimited => serializer.serialize_str(UNLIMITED),
            Self::AtMost(limit) => serializer.serialize_i64(*limit),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl Visitor<'_> for Read {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an integer from 0 to {}, or {UNLIMITED:?}", i64::MAX)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Limit, E> {
                i64::try_from(value)
                    .map(Limit::AtMost)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Limit, E> {
                u64::try_from(value)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
                    .and_then(|value| self.visit_u64(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit, E> {
                if text == UNLIMITED {
                    Ok(Limit::Unlimited)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
        }

        deserializer.deserialize_any(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_an_integer_or_unlimited() {
        for (json, limit) in [
            ("0", Limit::AtMost(0)),
            ("9223372036854775807", Limit::AtMost(i64::MAX)),
            ("\"unlimited\"", Limit::Unlimited),
        ] {
            assert_eq!(serde_json::from_str::<Limit>(json).unwrap(), limit);
            assert_eq!(serde_json::to_string(&limit).unwrap(), json);
        }
        for json in ["-1", "null", "1.5", "\"many\"", "9223372036854775808", "\"-1\""] {
            let error = serde_json::from_str::<Limit>(json).unwrap_err().to_string();
            assert!(error.contains("integer from 0"), "{json}: {error}");
        }
        assert!(Limit::AtMost(3).allows(3) && !Limit::AtMost(3).allows(4) && Limit::Unlimited.allows(i64::MAX));
    }
}
