//! The numbers behind patterns, and the events that are their evidence.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tidegate_events::pattern::{Dimension, PatternFacts, PatternKey, PatternKind, Term};
use tidegate_kernel::{EventId, PatternId, StoreError, WorkspaceId};
use uuid::Uuid;

use super::broken;
use crate::error::store_error;

/// For how many occurrences of a pattern both of its events are given as evidence.
const TIMES: i64 = 3;
/// For how many days of a frequency the day's last event is given as evidence.
const DAYS: i64 = 5;

/// A pattern with all numbers that its confidence is computed from. A query selects it with [`facts_of`].
#[derive(sqlx::FromRow)]
pub(super) struct FactsRow {
    id: Uuid,
    kind: String,
    dimension: Option<String>,
    a: Uuid,
    b: Uuid,
    support: i64,
    days: i64,
    gap_ms: i64,
    a_text: String,
    b_text: Option<String>,
    a_sessions: i64,
    b_sessions: i64,
    a_touches: i64,
    all_events: i64,
    active_days: i64,
    all_sessions: i64,
}

/// `select … from pattern p …`, followed by conditions on `p`; or from another source that has a `p`.
///
/// Each row beside a pattern is looked up by its key, whatever the statistics say. Without statistics, as in a new
/// database, the planner would read all terms and subjects to join them with a handful of patterns.
macro_rules! facts_of {
    ($rest:literal) => {
        facts_of!("pattern p", $rest)
    };
    ($from:literal, $rest:literal) => {
        concat!(
            "select p.id, p.kind, p.dimension, p.a, p.b, p.support, p.days, p.gap_ms, ta.text as a_text, tb.text as b_text,
                    coalesce(sa.sessions, 0) as a_sessions, coalesce(sb.sessions, 0) as b_sessions,
                    coalesce(sa.touches, 0) as a_touches,
                    w.events as all_events, w.active_days, w.sessions as all_sessions
             from ",
            $from,
            " join pattern_totals w on w.workspace_id = p.workspace_id
             cross join lateral (select t.text from pattern_term t
                 where t.workspace_id = p.workspace_id and t.term = p.a offset 0) ta
             left join lateral (select t.text from pattern_term t
                 where t.workspace_id = p.workspace_id and t.term = p.b offset 0) tb on true
             left join lateral (select s.sessions, s.touches from pattern_subject s
                 where s.workspace_id = p.workspace_id and s.subject = p.a offset 0) sa on true
             left join lateral (select s.sessions from pattern_subject s
                 where s.workspace_id = p.workspace_id and s.subject = p.b offset 0) sb on true
             ",
            $rest
        )
    };
}
pub(super) use facts_of;

/// A pattern's key and numbers.
pub(super) struct Known {
    pub(super) id: PatternId,
    pub(super) key: PatternKey,
    pub(super) support: i64,
    pub(super) facts: PatternFacts,
}

impl TryFrom<FactsRow> for Known {
    type Error = StoreError;
    fn try_from(row: FactsRow) -> Result<Self, StoreError> {
        let kind: PatternKind = row.kind.parse().map_err(|_| broken("an unknown kind of pattern"))?;
        let dimension: Option<Dimension> =
            row.dimension.map(|name| name.parse()).transpose().map_err(|_| broken("an unknown dimension"))?;
        let key = PatternKey::from_parts(kind, dimension, Term::from_uuid(row.a), Term::from_uuid(row.b))
            .ok_or_else(|| broken("a frequency without its dimension"))?;
        let b_text = || row.b_text.ok_or_else(|| broken("a term without its text"));
        let facts = match key {
            PatternKey::Frequency { dimension, .. } => PatternFacts::Frequency {
                dimension,
                value: row.a_text,
                days: row.days,
                active_days: row.active_days,
                all_events: row.all_events,
            },
            PatternKey::Sequence { .. } => PatternFacts::Sequence {
                from: row.a_text,
                to: b_text()?,
                from_touches: row.a_touches,
                mean_gap_ms: row.gap_ms / row.support.max(1),
            },
            PatternKey::CoOccurrence { .. } => {
                let mut sides = [(row.a_sessions, row.a_text), (row.b_sessions, b_text()?)];
                sides.sort();
                let [(antecedent_sessions, antecedent), (consequent_sessions, consequent)] = sides;
                PatternFacts::CoOccurrence {
                    antecedent,
                    consequent,
                    antecedent_sessions,
                    consequent_sessions,
                    all_sessions: row.all_sessions,
                }
            }
        };
        Ok(Self { id: PatternId::from_uuid(row.id), key, support: row.support, facts })
    }
}

/// When a pattern was seen, and the events that are its evidence.
#[derive(Debug, Clone, Default)]
pub(super) struct Sightings {
    pub(super) first_seen: DateTime<Utc>,
    pub(super) last_seen: DateTime<Utc>,
    pub(super) evidence: Vec<EventId>,
}

#[derive(sqlx::FromRow)]
struct SightingRow {
    nth: i64,
    first_seen: DateTime<Utc>,
    last_seen: DateTime<Utc>,
    event: Uuid,
    other: Option<Uuid>,
}

/// The sightings of `patterns`, in their order.
pub(super) async fn sightings(
    sql: &mut PgConnection,
    workspace: WorkspaceId,
    patterns: &[(PatternKey, &PatternFacts)],
) -> Result<Vec<Sightings>, StoreError> {
    let mut found = vec![Sightings::default(); patterns.len()];
    for kind in PatternKind::ALL {
        let mine: Vec<usize> = (0..patterns.len()).filter(|nth| kind_at(patterns, *nth) == Some(kind)).collect();
        if mine.is_empty() {
            continue;
        }
        let keys: Vec<(Option<Dimension>, Uuid, Uuid)> =
            mine.iter().filter_map(|nth| patterns.get(*nth)).map(|(key, facts)| columns(key, facts)).collect();
        for row in query(sql, workspace, kind, &keys).await.map_err(store_error)? {
            let nth = usize::try_from(row.nth - 1).ok().and_then(|nth| mine.get(nth));
            let Some(sighting) = nth.and_then(|nth| found.get_mut(*nth)) else { continue };
            if sighting.evidence.is_empty() {
                (sighting.first_seen, sighting.last_seen) = (row.first_seen, row.last_seen);
            }
            sighting.evidence.extend(row.other.into_iter().chain([row.event]).map(EventId::from_uuid));
        }
    }
    Ok(found)
}

fn kind_at(patterns: &[(PatternKey, &PatternFacts)], nth: usize) -> Option<PatternKind> {
    patterns.get(nth).map(|(key, _)| key.kind())
}

/// The columns to search by. Of a pair, the antecedent comes first, because fewer sessions have it.
fn columns(key: &PatternKey, facts: &PatternFacts) -> (Option<Dimension>, Uuid, Uuid) {
    if let PatternFacts::CoOccurrence { antecedent, consequent, .. } = facts {
        return (None, Term::of(antecedent).as_uuid(), Term::of(consequent).as_uuid());
    }
    let (dimension, a, b) = key.parts();
    (dimension, a.as_uuid(), b.as_uuid())
}

async fn query(
    sql: &mut PgConnection,
    workspace: WorkspaceId,
    kind: PatternKind,
    keys: &[(Option<Dimension>, Uuid, Uuid)],
) -> Result<Vec<SightingRow>, sqlx::Error> {
    let text = match kind {
        PatternKind::Frequency => {
            "select u.nth, f.first_at as first_seen, l.last_at as last_seen, l.last_event as event, null::uuid as other
             from unnest($2::text[], $3::uuid[], $4::uuid[]) with ordinality u (dimension, a, b, nth)
             cross join lateral (select d.first_at from pattern_day d
                 where d.workspace_id = $1 and d.dimension = u.dimension and d.value = u.a order by d.day limit 1) f
             cross join lateral (select d.day, d.last_at, d.last_event from pattern_day d
                 where d.workspace_id = $1 and d.dimension = u.dimension and d.value = u.a order by d.day desc limit $5) l
             order by u.nth, l.day desc"
        }
        PatternKind::Sequence => {
            "select u.nth, f.at as first_seen, l.to_at as last_seen, l.event_id as event, l.to_event as other
             from unnest($2::text[], $3::uuid[], $4::uuid[]) with ordinality u (dimension, a, b, nth)
             cross join lateral (select x.at from pattern_link x
                 cross join lateral (select n.* from pattern_link n where n.workspace_id = $1 and n.actor = x.actor
                     and (n.at, n.subject, n.event_id) > (x.at, x.subject, x.event_id)
                     order by n.at, n.subject, n.event_id limit 1) y
                 where x.workspace_id = $1 and x.subject = u.a and y.subject = u.b
                     and y.at <= x.at + interval '300 seconds' and (y.at > x.at or x.session is distinct from y.session or x.session is null)
                 order by x.at, x.event_id limit 1) f
             cross join lateral (select x.at, x.event_id, y.at as to_at, y.event_id as to_event from pattern_link x
                 cross join lateral (select n.* from pattern_link n where n.workspace_id = $1 and n.actor = x.actor
                     and (n.at, n.subject, n.event_id) > (x.at, x.subject, x.event_id)
                     order by n.at, n.subject, n.event_id limit 1) y
                 where x.workspace_id = $1 and x.subject = u.a and y.subject = u.b
                     and y.at <= x.at + interval '300 seconds' and (y.at > x.at or x.session is distinct from y.session or x.session is null)
                 order by x.at desc, x.event_id desc limit $5) l
             order by u.nth, l.at desc, l.event_id desc"
        }
        PatternKind::CoOccurrence => {
            "select u.nth, f.at as first_seen, l.at as last_seen, l.event_id as event, l.other
             from unnest($2::text[], $3::uuid[], $4::uuid[]) with ordinality u (dimension, a, b, nth)
             cross join lateral (select x.at from pattern_member x
                 where x.workspace_id = $1 and x.subject = u.a
                     and exists (select from pattern_member y
                         where y.workspace_id = $1 and y.session >= x.session and y.session <= x.session and y.subject = u.b
                         order by y.session, y.subject limit 1 offset 0)
                     and not exists (select from pattern_oversized o where o.workspace_id = $1 and o.session = x.session offset 0)
                 order by x.at, x.event_id limit 1) f
             cross join lateral (select x.at, x.event_id, y.event_id as other from pattern_member x
                 cross join lateral (select n.event_id from pattern_member n
                     where n.workspace_id = $1 and n.session >= x.session and n.session <= x.session and n.subject = u.b
                     order by n.session, n.subject limit 1) y
                 where x.workspace_id = $1 and x.subject = u.a
                     and not exists (select from pattern_oversized o where o.workspace_id = $1 and o.session = x.session offset 0)
                 order by x.at desc, x.event_id desc limit $5) l
             order by u.nth, l.at desc, l.event_id desc"
        }
    };
    sqlx::query_as(text)
        .bind(workspace.as_uuid())
        .bind(keys.iter().map(|(dimension, _, _)| dimension.map(Dimension::as_str)).collect::<Vec<_>>())
        .bind(keys.iter().map(|(_, a, _)| *a).collect::<Vec<_>>())
        .bind(keys.iter().map(|(_, _, b)| *b).collect::<Vec<_>>())
        .bind(if kind == PatternKind::Frequency { DAYS } else { TIMES })
        .fetch_all(sql)
        .await
}
