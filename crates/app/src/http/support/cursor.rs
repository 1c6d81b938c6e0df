//! Signed cursors. A cursor is bound to the workspace and to the list with its filters, and expires after a day.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Environment, Page};
use utoipa::ToSchema;

use super::problem::{INVALID_CURSOR, Problem};
use crate::secrets::{MasterSecret, keyed_digest};

/// The lifetime of a cursor.
const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// The length of the truncated signature, in bytes: 128 bits.
const SIGNATURE: usize = 16;

/// Signs and verifies cursors.
#[derive(Clone)]
pub struct Cursors {
    key: [u8; 32],
    env: Environment,
}

/// A list of items.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed<K> {
    k: K,
    t: i64,
}

impl Cursors {
    /// Cursors that are signed with a key from the installation's secret.
    #[must_use]
    pub fn new(secret: &MasterSecret, env: Environment) -> Self {
        Self { key: secret.derive("cursor"), env }
    }

    /// The response for a page. `list` is what the cursor is bound to: the workspace, the list's name and its filters.
    pub fn list<T, K: Serialize>(&self, page: Page<T, K>, list: &impl Serialize) -> List<T> {
        let next_cursor = page.next.map(|key| self.seal(&key, list));
        List { items: page.items, next_cursor }
    }

    fn seal<K: Serialize>(&self, key: &K, list: &impl Serialize) -> String {
        let sealed = Sealed { k: key, t: self.env.now().timestamp() };
        let mut bytes = serde_json::to_vec(&sealed).unwrap_or_default();
        let signature = self.sign(&bytes, list);
        bytes.extend_from_slice(&signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The key in a cursor that was signed for `list`.
    ///
    /// # Errors
    /// 400 if the cursor was changed, was made for another list or workspace, or is over a day old.
    pub fn open<K: DeserializeOwned>(&self, cursor: &str, list: &impl Serialize) -> Result<K, Problem> {
        let refused = || {
            Problem::new(
                &INVALID_CURSOR,
                "Use a cursor only with the list, the workspace and the filters it came from, within 24 hours; start again without one.",
            )
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
        let (payload, signature) = bytes.split_at_checked(bytes.len().saturating_sub(SIGNATURE)).ok_or_else(refused)?;
        // Compares keyed digests of both sides, so that the time of the comparison reveals nothing.
        let expected = self.sign(payload, list);
        if keyed_digest(&self.key, &[signature]) != keyed_digest(&self.key, &[&expected]) {
            return Err(refused());
        }
        let sealed: Sealed<K> = serde_json::from_slice(payload).map_err(|_| refused())?;
        let age = self.env.now().timestamp() - sealed.t;
        if (0..=LIFETIME.num_seconds()).contains(&age) { Ok(sealed.k) } else { Err(refused()) }
    }

    /// [`Cursors::open`] for an optional parameter.
    ///
    /// # Errors
    /// The same as [`Cursors::open`].
    pub fn open_optional<K: DeserializeOwned>(
        &self,
        cursor: Option<&str>,
        list: &impl Serialize,
    ) -> Result<Option<K>, Problem> {
        cursor.map(|cursor| self.open(cursor, list)).transpose()
    }

    fn sign(&self, payload: &[u8], list: &impl Serialize) -> [u8; SIGNATURE] {
        let list = serde_json::to_vec(list).unwrap_or_default();
        let length = payload.len().to_be_bytes();
        let mut signature = [0; SIGNATURE];
        signature.copy_from_slice(&keyed_digest(&self.key, &[&length, payload, &list])[..SIGNATURE]);
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use tidegate_kernel::{Clock, Entropy};

    struct Hands(AtomicI64);
    impl Clock for Hands {
        fn now(&self) -> chrono::DateTime<chrono::Utc> {
            chrono::DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0).unwrap()
        }
    }
    struct Zeros;
    impl Entropy for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_list_for_a_day_and_for_nothing_else() {
        let hands = Arc::new(Hands(AtomicI64::new(1_000_000)));
        let secret = MasterSecret::new(&"s".repeat(32)).unwrap();
        let cursors = Cursors::new(&secret, Environment::new(hands.clone(), Arc::new(Zeros)));
        let cursor = cursors.seal(&42_i64, &("ws_1", "events", "type=a"));
        assert_eq!(cursors.open::<i64>(&cursor, &("ws_1", "events", "type=a")).unwrap(), 42);
        for other in [("ws_2", "events", "type=a"), ("ws_1", "runs", "type=a"), ("ws_1", "events", "type=b")] {
            assert!(cursors.open::<i64>(&cursor, &other).is_err());
        }
        for bad in ["", "x", "!!!", &cursor[1..], &format!("{cursor}A"), &"A".repeat(10_000)] {
            assert!(cursors.open::<i64>(bad, &("ws_1", "events", "type=a")).is_err(), "{bad}");
        }
        hands.0.fetch_add(24 * 3600 + 1, Ordering::Relaxed);
        assert!(cursors.open::<i64>(&cursor, &("ws_1", "events", "type=a")).is_err());
    }
}
