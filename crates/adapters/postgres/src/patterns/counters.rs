//! Reads the counters that new events change. Each is one query over arrays, whose cost grows only with its argument.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use tidegate_events::pattern::batch::{DayKey, Place};
use tidegate_events::pattern::{Delta, Gap, Link, MAX_SESSION_SUBJECTS, Member, PatternCounters, PatternKey, Term};
use tidegate_kernel::{EventId, StoreError};
use uuid::Uuid;

use super::{apply, broken};
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

#[derive(sqlx::FromRow)]
struct MemberRow {
    session: Uuid,
    subject: Uuid,
    at: DateTime<Utc>,
    event_id: Uuid,
}

#[derive(sqlx::FromRow)]
struct GapRow {
    nth: i64,
    before_at: Option<DateTime<Utc>>,
    before_subject: Option<Uuid>,
    before_event: Option<Uuid>,
    before_session: Option<Uuid>,
    after_at: Option<DateTime<Utc>>,
    after_subject: Option<Uuid>,
    after_event: Option<Uuid>,
    after_session: Option<Uuid>,
}

fn link(
    actor: Term,
    at: Option<DateTime<Utc>>,
    subject: Option<Uuid>,
    event: Option<Uuid>,
    session: Option<Uuid>,
) -> Option<Link> {
    let place = Place { at: at?, subject: Term::from_uuid(subject?), event: EventId::from_uuid(event?) };
    Some(Link { actor, place, session: session.map(Term::from_uuid) })
}

/// [`PatternCounters`] in one transaction.
pub(crate) struct PgPatternCounters<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl PatternCounters for PgPatternCounters<'_> {
    async fn members(&mut self, sessions: &BTreeSet<Term>) -> Result<Vec<Member>, StoreError> {
        if sessions.is_empty() {
            return Ok(Vec::new());
        }
        let workspace = self.0.workspace().as_uuid();
        let most = i64::try_from(MAX_SESSION_SUBJECTS + 1).unwrap_or(i64::MAX);
        let sessions: Vec<Uuid> = sessions.iter().map(|session| session.as_uuid()).collect();
        let rows: Vec<MemberRow> = sqlx::query_as(
            "select m.session, m.subject, m.at, m.event_id
             from unnest($2::uuid[]) s (session)
             cross join lateral (
                 select * from pattern_member m where m.workspace_id = $1 and m.session >= s.session and m.session <= s.session
                 order by m.session, m.subject limit $3) m",
        )
        .bind(workspace)
        .bind(sessions)
        .bind(most)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let member = |row: MemberRow| Member {
            session: Term::from_uuid(row.session),
            subject: Term::from_uuid(row.subject),
            at: row.at,
            event: EventId::from_uuid(row.event_id),
        };
        Ok(rows.into_iter().map(member).collect())
    }

    async fn gaps(&mut self, links: &[Link]) -> Result<BTreeMap<Link, Gap>, StoreError> {
        if links.is_empty() {
            return Ok(BTreeMap::new());
        }
        let workspace = self.0.workspace().as_uuid();
        let rows: Vec<GapRow> = sqlx::query_as(
            "select u.nth, b.at as before_at, b.subject as before_subject, b.event_id as before_event, b.session as before_session,
                    a.at as after_at, a.subject as after_subject, a.event_id as after_event, a.session as after_session
             from unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::uuid[]) with ordinality u (actor, at, subject, event_id, nth)
             left join lateral (
                 select * from pattern_link l
                 where l.workspace_id = $1 and l.actor = u.actor and (l.at, l.subject, l.event_id) < (u.at, u.subject, u.event_id)
                 order by l.at desc, l.subject desc, l.event_id desc limit 1) b on true
             left join lateral (
                 select * from pattern_link l
                 where l.workspace_id = $1 and l.actor = u.actor and (l.at, l.subject, l.event_id) > (u.at, u.subject, u.event_id)
                 order by l.at, l.subject, l.event_id limit 1) a on true",
        )
        .bind(workspace)
        .bind(links.iter().map(|link| link.actor.as_uuid()).collect::<Vec<_>>())
        .bind(links.iter().map(|link| link.place.at).collect::<Vec<_>>())
        .bind(links.iter().map(|link| link.place.subject.as_uuid()).collect::<Vec<_>>())
        .bind(links.iter().map(|link| link.place.event.as_uuid()).collect::<Vec<_>>())
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let mut gaps = BTreeMap::new();
        for row in rows {
            let asked = usize::try_from(row.nth - 1).ok().and_then(|nth| links.get(nth));
            let asked = asked.ok_or_else(|| broken("an answer to no question"))?;
            let gap = Gap {
                before: link(asked.actor, row.before_at, row.before_subject, row.before_event, row.before_session),
                after: link(asked.actor, row.after_at, row.after_subject, row.after_event, row.after_session),
            };
            gaps.insert(*asked, gap);
        }
        Ok(gaps)
    }

    async fn counted(&mut self, days: &BTreeSet<DayKey>) -> Result<BTreeSet<DayKey>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let asked: Vec<&DayKey> = days.iter().collect();
        let known: Vec<i64> = sqlx::query_scalar(
            "select u.nth from unnest($2::text[], $3::uuid[], $4::date[]) with ordinality u (dimension, value, day, nth)
             where exists (select from pattern_day d where d.workspace_id = $1
                 and d.dimension = u.dimension and d.value = u.value and d.day = u.day offset 0)",
        )
        .bind(workspace)
        .bind(asked.iter().map(|key| key.dimension.as_str()).collect::<Vec<_>>())
        .bind(asked.iter().map(|key| key.value.as_uuid()).collect::<Vec<_>>())
        .bind(asked.iter().map(|key| key.day).collect::<Vec<NaiveDate>>())
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let key = |nth: i64| usize::try_from(nth - 1).ok().and_then(|nth| asked.get(nth)).map(|key| **key);
        Ok(known.into_iter().filter_map(key).collect())
    }

    async fn apply(&mut self, delta: &Delta) -> Result<Vec<PatternKey>, StoreError> {
        let workspace = self.0.workspace();
        apply::texts(self.0.sqlx(), workspace, delta).await.map_err(store_error)?;
        apply::days(self.0.sqlx(), workspace, delta).await.map_err(store_error)?;
        apply::members(self.0.sqlx(), workspace, delta).await.map_err(store_error)?;
        apply::links(self.0.sqlx(), workspace, delta).await.map_err(store_error)?;
        apply::subjects(self.0.sqlx(), workspace, delta).await.map_err(store_error)?;
        apply::totals(self.0.sqlx(), workspace, delta).await.map_err(store_error)?;
        apply::patterns(self.0.sqlx(), workspace, delta).await.map_err(store_error)
    }
}
