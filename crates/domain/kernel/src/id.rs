//! Typed, prefixed, sortable identifiers.
//!
//! Internally an id is a UUIDv7 (RFC 9562, section 5.7), so ids sort by creation time and allow partition pruning. Its
//! public form is the prefix, an underscore and the 128 bits in lower-case Crockford base 32:
//! `wf_01jz3q9m0e7c2v5y8t4r6n1k0d`. An id has exactly one valid spelling; every other spelling is rejected.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;
use uuid::Uuid;

use crate::clock::Environment;

/// Why a text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an id such as `{prefix}_01jz3q9m0e7c2v5y8t4r6n1k0d`")]
pub struct IdError {
    /// The prefix of the expected kind.
    pub prefix: &'static str,
}

fn encode(prefix: &str, id: Uuid, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut buffer = [0; ulid::ULID_LEN];
    let text = Ulid(id.as_u128()).array_to_str(&mut buffer);
    text.make_ascii_lowercase();
    write!(f, "{prefix}_{text}")
}

fn decode(prefix: &'static str, text: &str) -> Result<Uuid, IdError> {
    let body = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or(IdError { prefix })?;
    let id = Ulid::from_string(body).map_err(|_| IdError { prefix })?;
    let mut buffer = [0; ulid::ULID_LEN];
    let canonical = id.array_to_str(&mut buffer);
    canonical.make_ascii_lowercase();
    if canonical != body {
        return Err(IdError { prefix });
    }
    Ok(Uuid::from_u128(id.0))
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of the id's public form.
            pub const PREFIX: &'static str = $prefix;

            /// A new id with the current time.
            #[must_use]
            pub fn generate(env: &Environment) -> Self {
                Self(env.uuid_v7())
            }

            /// The id with this UUID, as read from a store.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID, as written to a store.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode($prefix, self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                decode($prefix, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

typed_ids! {
    /// A person.
    UserId = "usr";
    /// A workspace: the tenant.
    WorkspaceId = "ws";
    /// A stored log-in: one family of refresh tokens.
    SessionId = "ses";
    /// A second factor of a person.
    FactorId = "fac";
    /// An API key.
    ApiKeyId = "key";
    /// An entry of the audit log.
    AuditId = "aud";
    /// An ingested event, as stored. The sender's own identity of the event is `source` and `id`.
    EventId = "evt";
    /// A pattern found in events.
    PatternId = "pat";
    /// A suggested workflow.
    SuggestionId = "sug";
    /// A workflow: the series of its versions.
    WorkflowId = "wf";
    /// One run of one version of a workflow.
    RunId = "run";
    /// A job: one piece of background work.
    JobId = "job";
    /// An uploaded file.
    FileId = "fil";
    /// A presigned upload. It has the same UUID as the file that it becomes.
    UploadId = "upl";
    /// An invoice.
    InvoiceId = "inv";
    /// A payment: an attempt to collect an invoice.
    PaymentId = "pay";
    /// A credit note.
    CreditNoteId = "cn";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_reads_back(bits: u128) {
            let id = RunId::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        }

        #[test]
        fn ids_sort_as_their_texts(a: u128, b: u128) {
            let (a, b) = (RunId::from_uuid(Uuid::from_u128(a)), RunId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_other_text_is_refused_without_a_panic(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<RunId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn another_kind_and_another_spelling_are_refused() {
        let id = RunId::from_uuid(Uuid::from_u128(7)).to_string();
        assert!(id.parse::<WorkflowId>().is_err());
        assert!(id.to_uppercase().parse::<RunId>().is_err());
        assert!(id.replace("run_0", "run_o").parse::<RunId>().is_err());
    }
}
