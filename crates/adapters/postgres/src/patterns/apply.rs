//! Adds a delta to the counters: one statement per table, with rows in the order of its key.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{Error, PgConnection};
use tidegate_events::pattern::{Delta, Dimension, MIN_SUPPORT, PatternKey, Term};
use tidegate_kernel::WorkspaceId;
use uuid::Uuid;

pub(super) async fn texts(sql: &mut PgConnection, workspace: WorkspaceId, delta: &Delta) -> Result<(), Error> {
    sqlx::query(
        "insert into pattern_term (workspace_id, term, text)
         select $1, u.term, u.text from unnest($2::uuid[], $3::text[]) u (term, text)
         where not exists (select from pattern_term t where t.workspace_id = $1 and t.term = u.term offset 0)
         on conflict do nothing",
    )
    .bind(workspace.as_uuid())
    .bind(delta.terms.keys().map(|term| term.as_uuid()).collect::<Vec<Uuid>>())
    .bind(delta.terms.values().map(String::as_str).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

pub(super) async fn days(sql: &mut PgConnection, workspace: WorkspaceId, delta: &Delta) -> Result<(), Error> {
    let (keys, counts) = (|| delta.days.keys(), || delta.days.values());
    sqlx::query(
        "insert into pattern_day (workspace_id, dimension, value, day, events, first_at, last_at, last_event)
         select $1, u.* from unnest($2::text[], $3::uuid[], $4::date[], $5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::uuid[]) u
         on conflict (workspace_id, dimension, value, day) do update set
             events = pattern_day.events + excluded.events,
             first_at = least(pattern_day.first_at, excluded.first_at),
             last_at = greatest(pattern_day.last_at, excluded.last_at),
             last_event = case when (excluded.last_at, excluded.last_event) > (pattern_day.last_at, pattern_day.last_event)
                 then excluded.last_event else pattern_day.last_event end",
    )
    .bind(workspace.as_uuid())
    .bind(keys().map(|key| key.dimension.as_str()).collect::<Vec<_>>())
    .bind(keys().map(|key| key.value.as_uuid()).collect::<Vec<_>>())
    .bind(keys().map(|key| key.day).collect::<Vec<NaiveDate>>())
    .bind(counts().map(|count| count.events).collect::<Vec<_>>())
    .bind(counts().map(|count| count.first_at).collect::<Vec<DateTime<Utc>>>())
    .bind(counts().map(|count| count.last_at).collect::<Vec<DateTime<Utc>>>())
    .bind(counts().map(|count| count.last_event.as_uuid()).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

pub(super) async fn members(sql: &mut PgConnection, workspace: WorkspaceId, delta: &Delta) -> Result<(), Error> {
    if !delta.members.is_empty() {
        sqlx::query(
            "insert into pattern_member (workspace_id, session, subject, at, event_id)
             select $1, u.* from unnest($2::uuid[], $3::uuid[], $4::timestamptz[], $5::uuid[]) u
             on conflict (workspace_id, session, subject) do update set at = excluded.at, event_id = excluded.event_id
             where (excluded.at, excluded.event_id) < (pattern_member.at, pattern_member.event_id)",
        )
        .bind(workspace.as_uuid())
        .bind(delta.members.iter().map(|member| member.session.as_uuid()).collect::<Vec<_>>())
        .bind(delta.members.iter().map(|member| member.subject.as_uuid()).collect::<Vec<_>>())
        .bind(delta.members.iter().map(|member| member.at).collect::<Vec<DateTime<Utc>>>())
        .bind(delta.members.iter().map(|member| member.event.as_uuid()).collect::<Vec<_>>())
        .execute(&mut *sql)
        .await?;
    }
    if !delta.oversized.is_empty() {
        sqlx::query(
            "insert into pattern_oversized (workspace_id, session) select $1, u from unnest($2::uuid[]) u on conflict do nothing",
        )
        .bind(workspace.as_uuid())
        .bind(delta.oversized.iter().map(|session| session.as_uuid()).collect::<Vec<_>>())
        .execute(sql)
        .await?;
    }
    Ok(())
}

pub(super) async fn links(sql: &mut PgConnection, workspace: WorkspaceId, delta: &Delta) -> Result<(), Error> {
    if delta.links.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into pattern_link (workspace_id, actor, at, subject, event_id, session)
         select $1, u.* from unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::uuid[]) u",
    )
    .bind(workspace.as_uuid())
    .bind(delta.links.iter().map(|link| link.actor.as_uuid()).collect::<Vec<_>>())
    .bind(delta.links.iter().map(|link| link.place.at).collect::<Vec<DateTime<Utc>>>())
    .bind(delta.links.iter().map(|link| link.place.subject.as_uuid()).collect::<Vec<_>>())
    .bind(delta.links.iter().map(|link| link.place.event.as_uuid()).collect::<Vec<_>>())
    .bind(delta.links.iter().map(|link| link.session.map(Term::as_uuid)).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

pub(super) async fn subjects(sql: &mut PgConnection, workspace: WorkspaceId, delta: &Delta) -> Result<(), Error> {
    if delta.subjects.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into pattern_subject (workspace_id, subject, sessions, touches)
         select $1, u.* from unnest($2::uuid[], $3::bigint[], $4::bigint[]) u
         on conflict (workspace_id, subject) do update set
             sessions = pattern_subject.sessions + excluded.sessions, touches = pattern_subject.touches + excluded.touches",
    )
    .bind(workspace.as_uuid())
    .bind(delta.subjects.keys().map(|subject| subject.as_uuid()).collect::<Vec<_>>())
    .bind(delta.subjects.values().map(|change| change.sessions).collect::<Vec<_>>())
    .bind(delta.subjects.values().map(|change| change.touches).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

pub(super) async fn totals(sql: &mut PgConnection, workspace: WorkspaceId, delta: &Delta) -> Result<(), Error> {
    sqlx::query(
        "insert into pattern_totals (workspace_id, events, active_days, sessions, oversized_sessions) values ($1, $2, $3, $4, $5)
         on conflict (workspace_id) do update set
             events = pattern_totals.events + excluded.events,
             active_days = pattern_totals.active_days + excluded.active_days,
             sessions = pattern_totals.sessions + excluded.sessions,
             oversized_sessions = pattern_totals.oversized_sessions + excluded.oversized_sessions",
    )
    .bind(workspace.as_uuid())
    .bind(delta.totals.events)
    .bind(delta.totals.active_days)
    .bind(delta.totals.sessions)
    .bind(delta.totals.oversized_sessions)
    .execute(sql)
    .await
    .map(drop)
}

/// Writes patterns and returns those of the changed ones that are shown now.
pub(super) async fn patterns(
    sql: &mut PgConnection,
    workspace: WorkspaceId,
    delta: &Delta,
) -> Result<Vec<PatternKey>, Error> {
    let mut rows: Vec<(Uuid, &PatternKey)> =
        delta.patterns.keys().map(|key| (key.id(workspace).as_uuid(), key)).collect();
    rows.sort_unstable_by_key(|(id, _)| *id);
    let changes = || rows.iter().filter_map(|(_, key)| delta.patterns.get(key));
    let counted: Vec<(Uuid, i64)> = sqlx::query_as(
        "with added as (
             insert into pattern (workspace_id, id, kind, dimension, a, b, support, days, gap_ms)
             select $1, u.* from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::bigint[], $8::bigint[], $9::bigint[]) u
             on conflict (workspace_id, id) do update set
                 support = pattern.support + excluded.support, days = pattern.days + excluded.days,
                 gap_ms = pattern.gap_ms + excluded.gap_ms
             returning id, support)
         select id, support from added where support >= $10 or support <= 0",
    )
    .bind(workspace.as_uuid())
    .bind(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, key)| key.kind().as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, key)| key.parts().0.map(Dimension::as_str)).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, key)| key.parts().1.as_uuid()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, key)| key.parts().2.as_uuid()).collect::<Vec<_>>())
    .bind(changes().map(|change| change.support).collect::<Vec<_>>())
    .bind(changes().map(|change| change.days).collect::<Vec<_>>())
    .bind(changes().map(|change| change.gap_ms).collect::<Vec<_>>())
    .bind(MIN_SUPPORT)
    .fetch_all(&mut *sql)
    .await?;
    let (shown, taken_back): (Vec<_>, Vec<_>) = counted.into_iter().partition(|(_, support)| *support > 0);
    if !taken_back.is_empty() {
        sqlx::query("select take_back_patterns($1, $2)")
            .bind(workspace.as_uuid())
            .bind(taken_back.into_iter().map(|(id, _)| id).collect::<Vec<_>>())
            .execute(sql)
            .await?;
    }
    let key_of = |id: &Uuid| rows.binary_search_by_key(id, |(id, _)| *id).ok().and_then(|nth| rows.get(nth));
    Ok(shown.iter().filter_map(|(id, _)| key_of(id)).map(|(_, key)| **key).collect())
}
