//! The statement of a list of files.

use chrono::Duration;
use sqlx::{Postgres, QueryBuilder};
use tidegate_files::{FileFilter, FileState};
use uuid::Uuid;

use super::row::COLUMNS;
use crate::audit::actor_columns;
use crate::ids::first_id;

/// The most by which the time in a file's id differs from its time: both are read from the clock, one after the other.
const SLACK: Duration = Duration::minutes(1);

/// The statement for a filter. Each value of the narrowest filter is one range of an index in the order of the page,
/// which row comparisons bound on both sides. The other filters are checked file by file.
pub(super) fn statement(
    workspace: Uuid,
    filter: &FileFilter,
    before: Option<Uuid>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let to = filter.to.map_or(Uuid::max(), |to| first_id(to + SLACK));
    let before = before.map_or(to, |before| before.min(to));
    let from = filter.from.map_or(Uuid::nil(), |from| first_id(from - SLACK));
    let states: Vec<&str> = match filter.states.as_slice() {
        [] => vec![FileState::Uploaded.as_str()],
        states => states.iter().map(|state| state.as_str()).collect(),
    };
    let mut query = QueryBuilder::new("select ");
    query.push(COLUMNS).push(" from ");
    let column = if !filter.uploaded_by.is_empty() {
        let ids: Vec<Option<Uuid>> = filter.uploaded_by.iter().map(|actor| actor_columns(*actor).1).collect();
        query.push("(select distinct unnest(").push_bind(ids).push("::uuid[]) as value) w cross join ");
        "uploader_id"
    } else if !filter.types.is_empty() {
        query.push("(select distinct unnest(").push_bind(filter.types.clone());
        query.push("::text[]) collate \"C\" as value) w cross join ");
        "content_type"
    } else {
        query.push("(select distinct unnest(").push_bind(states.clone());
        query.push("::text[]) collate \"C\" as value) w cross join ");
        "state"
    };
    query.push("lateral (select * from file where workspace_id = ").push_bind(workspace);
    for (operator, bound) in [(" < ", before), (" >= ", from)] {
        query.push(" and (").push(column).push(", id)").push(operator).push("(w.value, ").push_bind(bound).push(")");
    }
    if column != "state" {
        query.push(" and state = any (").push_bind(states).push(")");
    }
    if column == "uploader_id" && !filter.types.is_empty() {
        query.push(" and content_type = any (").push_bind(filter.types.clone()).push(")");
    }
    if let Some(prefix) = &filter.name_prefix {
        query.push(" and starts_with(name, ").push_bind(prefix.clone()).push(")");
    }
    if let Some(from) = filter.from {
        query.push(" and created_at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" and created_at < ").push_bind(to);
    }
    query.push(" order by ").push(column).push(" desc, id desc limit ").push_bind(limit);
    query.push(") f order by f.id desc limit ").push_bind(limit);
    query
}
