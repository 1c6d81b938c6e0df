//! Times in ids: a UUIDv7 begins with the milliseconds of its creation (RFC 9562, section 5.7).

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The smallest id that can be made at `at`. Ids sort by time, so bounds of time become bounds of ids, which prune
/// partitions.
pub(crate) fn first_id(at: DateTime<Utc>) -> Uuid {
    let millis = u128::try_from(at.timestamp_millis().clamp(0, (1 << 48) - 1)).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}
