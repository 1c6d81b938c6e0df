//! The list of events.

use std::collections::BTreeSet;

use sqlx::{Postgres, QueryBuilder};
use tidegate_events::{EventFilter, StoredEvent};
use tidegate_kernel::{EventId, PageSize, Position, StoreError};
use uuid::Uuid;

use super::row::{WHOLE, WholeRow};
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

/// The most values of a filter that each get an index scan of their own. With more values, one scan filters by all of
/// them.
const MOST_BRANCHES: usize = 16;

pub(super) async fn head(tx: &mut PgTx<Tenant>) -> Result<Position, StoreError> {
    let workspace = tx.workspace().as_uuid();
    let position: Option<i64> = sqlx::query_scalar("select position from workspace_head where workspace_id = $1")
        .bind(workspace)
        .fetch_optional(tx.sqlx())
        .await
        .map_err(store_error)?;
    Ok(position.map_or(Position::START, Position))
}

pub(super) async fn find(tx: &mut PgTx<Tenant>, ids: &[EventId]) -> Result<Vec<StoredEvent>, StoreError> {
    let workspace = tx.workspace().as_uuid();
    let ids: Vec<Uuid> = ids.iter().map(EventId::as_uuid).collect();
    // One lookup for each id, in the order of the primary key, which no other index has.
    let mut query = QueryBuilder::<Postgres>::new("select e.* from (select distinct unnest(");
    query.push_bind(ids).push("::uuid[]) as id) k cross join lateral (select ").push(WHOLE);
    query.push(" from event where workspace_id = ").push_bind(workspace);
    query.push(" and id >= k.id and id <= k.id order by id limit 1) e order by e.id");
    let rows: Vec<WholeRow> = query.build_query_as().fetch_all(tx.sqlx()).await.map_err(store_error)?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn list(
    tx: &mut PgTx<Tenant>,
    filter: &EventFilter,
    before: Option<EventId>,
    size: PageSize,
) -> Result<Vec<StoredEvent>, StoreError> {
    let workspace = tx.workspace().as_uuid();
    let limit = i64::from(size.get()) + 1;
    // The index has the events of one value in the order of the list. So each value is a scan of its own that stops at
    // the limit.
    let (column, values) = driver(filter);
    let mut query = QueryBuilder::<Postgres>::new("");
    for (nth, value) in values.iter().enumerate() {
        query.push(if nth == 0 { "(select " } else { " union all (select " });
        query.push(WHOLE).push(" from event where workspace_id = ").push_bind(workspace);
        if let Some(value) = value {
            query.push(" and ").push(column).push(" = ").push_bind(*value);
        }
        if let Some(before) = before {
            query.push(" and id < ").push_bind(before.as_uuid());
        }
        conditions(&mut query, filter, column);
        query.push(" order by id desc limit ").push_bind(limit).push(")");
    }
    if values.len() > 1 {
        query.push(" order by id desc limit ").push_bind(limit);
    }
    // The best plan depends on the width of a range, so a query with a range is planned with its values; others are
    // prepared once.
    let has_range = filter.from.is_some() || filter.to.is_some() || !filter.subject_prefixes.is_empty();
    let query = query.build_query_as::<WholeRow>().persistent(!has_range);
    let rows = query.fetch_all(tx.sqlx()).await.map_err(store_error)?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The column whose values are scanned one by one, and those values. Without one, a single scan reads everything.
fn driver(filter: &EventFilter) -> (&'static str, Vec<Option<&str>>) {
    for (column, values) in [("actor", &filter.actors), ("type", &filter.types)] {
        let distinct: BTreeSet<&str> = values.iter().map(String::as_str).collect();
        if (1..=MOST_BRANCHES).contains(&distinct.len()) {
            return (column, distinct.into_iter().map(Some).collect());
        }
    }
    ("", vec![None])
}

/// Adds every condition except that of the driving column.
fn conditions(query: &mut QueryBuilder<Postgres>, filter: &EventFilter, driver: &str) {
    let equal =
        [("actor", &filter.actors), ("type", &filter.types), ("source", &filter.sources), ("tool", &filter.tools)];
    for (column, values) in equal {
        if !values.is_empty() && column != driver {
            query.push(" and ").push(column).push(" = any(").push_bind(values).push(")");
        }
    }
    if let Some(from) = filter.from {
        query.push(" and time >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" and time < ").push_bind(to);
    }
    for (nth, prefix) in filter.subject_prefixes.iter().enumerate() {
        query.push(if nth == 0 { " and (" } else { " or " });
        // The column compares by bytes, so every text with this prefix lies between the prefix and its successor.
        query.push("(subject >= ").push_bind(prefix);
        if let Some(end) = successor(prefix) {
            query.push(" and subject < ").push_bind(end);
        }
        query.push(")");
    }
    if !filter.subject_prefixes.is_empty() {
        query.push(")");
    }
}

/// The smallest text that is greater than every text that begins with `prefix`; `None` if every text is smaller.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // UTF-8 sorts in the order of code points. Surrogates are not valid in a text.
        let next = match u32::from(last) + 1 {
            0xD800 => 0xE000,
            next => next,
        };
        if let Some(next) = char::from_u32(next) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn a_successor_is_beyond_everything_that_begins_so() {
        assert_eq!(successor("src/").as_deref(), Some("src0"));
        assert_eq!(successor("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(successor("a\u{10FFFF}\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10FFFF}"), None);
        assert_eq!(successor(""), None);
        assert!(*"src/\u{10FFFF}x" < *successor("src/").unwrap());
    }
}
