//! Suggestions: detection writes them and people answer them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tidegate_events::pattern::{PatternFacts, PatternKey, Term};
use tidegate_events::suggestion::model::MIN_CONFIDENCE;
use tidegate_events::suggestion::{
    Candidate, ListedSuggestions, Offer, Suggestion, SuggestionFilter, SuggestionLedger, SuggestionPlace,
    SuggestionRepository, SuggestionStatus,
};
use tidegate_kernel::{EventId, Page, PageSize, PatternId, StoreError, SuggestionId, WorkflowId, WorkspaceId};
use uuid::Uuid;

use super::broken;
use super::facts::{FactsRow, Known, facts_of, sightings};
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

/// The columns of a suggestion, with the key of its pattern if the pattern still exists.
macro_rules! suggestion_rows {
    ($rest:literal) => {
        concat!(
            "select s.id, s.rule, s.pattern_id, s.confidence, s.support, s.facts, s.status, s.workflow_id,
                    p.kind, p.dimension, p.a, p.b
             from suggestion s left join pattern p on p.workspace_id = s.workspace_id and p.id = s.pattern_id
             ",
            $rest
        )
    };
}

#[derive(sqlx::FromRow)]
struct SuggestionRow {
    id: Uuid,
    rule: String,
    pattern_id: Uuid,
    confidence: i64,
    support: i64,
    facts: Vec<u8>,
    status: String,
    workflow_id: Option<Uuid>,
    kind: Option<String>,
    dimension: Option<String>,
    a: Option<Uuid>,
    b: Option<Uuid>,
}

impl SuggestionRow {
    fn key(&self) -> Option<PatternKey> {
        let dimension = self.dimension.as_ref().and_then(|name| name.parse().ok());
        PatternKey::from_parts(
            self.kind.as_ref()?.parse().ok()?,
            dimension,
            Term::from_uuid(self.a?),
            Term::from_uuid(self.b?),
        )
    }

    fn suggestion(self) -> Result<Suggestion, StoreError> {
        let facts: PatternFacts =
            serde_json::from_slice(&self.facts).map_err(|_| broken("facts that cannot be read"))?;
        Ok(Suggestion {
            id: SuggestionId::from_uuid(self.id),
            rule: self.rule,
            pattern: PatternId::from_uuid(self.pattern_id),
            support: self.support,
            facts,
            confidence: self.confidence,
            status: self.status.parse().map_err(|_| broken("an unknown status of a suggestion"))?,
            workflow: self.workflow_id.map(WorkflowId::from_uuid),
            evidence: Vec::new(),
        })
    }
}

/// [`SuggestionLedger`] in one transaction.
pub(crate) struct PgSuggestionLedger<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl SuggestionLedger for PgSuggestionLedger<'_> {
    fn workspace(&self) -> WorkspaceId {
        self.0.workspace()
    }

    async fn candidates(
        &mut self,
        patterns: &[PatternKey],
        subjects: &BTreeSet<Term>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let workspace = self.0.workspace();
        let ids: Vec<Uuid> = patterns.iter().map(|key| key.id(workspace).as_uuid()).collect();
        let rows: Vec<FactsRow> = sqlx::query_as(facts_of!(
            "(select unnest($2::uuid[]) as id
              union
              select s.pattern_id from unnest($3::uuid[]) touched (basis)
              cross join lateral (select o.pattern_id from suggestion o
                  where o.workspace_id = $1 and o.status = 'open' and o.basis = touched.basis offset 0) s) asked
             cross join lateral (select * from pattern q where q.workspace_id = $1 and q.id = asked.id offset 0) p",
            ""
        ))
        .bind(workspace.as_uuid())
        .bind(ids)
        .bind(subjects.iter().map(|subject| subject.as_uuid()).collect::<Vec<_>>())
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)?;
        let candidate = |row: FactsRow| {
            let Known { id, key, support, facts } = row.try_into()?;
            Ok(Candidate { pattern: id, key, support, facts })
        };
        rows.into_iter().map(candidate).collect()
    }

    async fn offer(&mut self, offers: &[Offer]) -> Result<(), StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let now = self.0.env.now();
        let facts: Vec<Vec<u8>> = offers
            .iter()
            .map(|offer| serde_json::to_vec(&offer.candidate.facts))
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::Internal(Box::new(error)))?;
        // A suggestion that is no longer good is updated if it is stored, and not inserted otherwise. An answered
        // suggestion does not change. The conflict finds each row by its key, whatever the statistics say.
        sqlx::query(
            "insert into suggestion as s (workspace_id, id, rule, pattern_id, basis, confidence, support, facts, status, offered_at)
             select $1, o.id, o.rule, o.pattern_id, o.basis, o.confidence, o.support, o.facts, 'open', $10
             from unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::bigint[], $7::bigint[], $8::bytea[], $9::bool[])
                 o (id, rule, pattern_id, basis, confidence, support, facts, good)
             where o.good or exists (
                 select from suggestion k where k.workspace_id = $1 and k.id >= o.id and k.id <= o.id
                 order by k.id limit 1 offset 0)
             on conflict (workspace_id, id) do update set basis = excluded.basis, confidence = excluded.confidence,
                 support = excluded.support, facts = excluded.facts
             where s.answered_at is null",
        )
        .bind(workspace)
        .bind(offers.iter().map(|offer| offer.id.as_uuid()).collect::<Vec<_>>())
        .bind(offers.iter().map(|offer| offer.rule.as_str()).collect::<Vec<_>>())
        .bind(offers.iter().map(|offer| offer.candidate.pattern.as_uuid()).collect::<Vec<_>>())
        .bind(offers.iter().map(|offer| offer.candidate.basis().as_uuid()).collect::<Vec<_>>())
        .bind(offers.iter().map(|offer| offer.confidence).collect::<Vec<_>>())
        .bind(offers.iter().map(|offer| offer.candidate.support).collect::<Vec<_>>())
        .bind(facts)
        .bind(offers.iter().map(|offer| offer.good).collect::<Vec<_>>())
        .bind(now)
        .execute(self.0.sqlx())
        .await
        .map(drop)
        .map_err(store_error)
    }
}

/// [`SuggestionRepository`] in one transaction.
pub(crate) struct PgSuggestionRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl SuggestionRepository for PgSuggestionRepository<'_> {
    async fn list(
        &mut self,
        filter: &SuggestionFilter,
        after: Option<SuggestionPlace>,
        size: PageSize,
    ) -> Result<ListedSuggestions, StoreError> {
        self.0.hold_snapshot().await?;
        let watermark = self.0.detected().await?;
        let mut statuses: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let workspace = self.0.workspace();
        let mut rows: Vec<SuggestionRow> = Vec::new();
        // A query per status, so that each reads its index in order.
        for status in statuses {
            let open = status == SuggestionStatus::Open.as_str();
            let least = if open { filter.min_confidence.max(MIN_CONFIDENCE) } else { filter.min_confidence };
            let mut found: Vec<SuggestionRow> = sqlx::query_as(suggestion_rows!(
                "where s.workspace_id = $1 and s.status = $2 and s.confidence >= $3 and (s.confidence, s.id) < ($4, $5)
                 order by s.confidence desc, s.id desc limit $6"
            ))
            .bind(workspace.as_uuid())
            .bind(status)
            .bind(least)
            .bind(after.map_or(i64::MAX, |place| place.confidence))
            .bind(after.map_or(Uuid::max(), |place| place.id.as_uuid()))
            .bind(i64::from(size.get()) + 1)
            .fetch_all(self.0.sqlx())
            .await
            .map_err(store_error)?;
            rows.append(&mut found);
        }
        rows.sort_unstable_by_key(|row| std::cmp::Reverse((row.confidence, row.id)));
        let place =
            |row: &SuggestionRow| SuggestionPlace { confidence: row.confidence, id: SuggestionId::from_uuid(row.id) };
        let Page { items, next } = Page::from_overfetch(rows, size, place);
        let items = self.with_evidence(items).await?;
        Ok(ListedSuggestions { page: Page { items, next }, watermark })
    }

    async fn find(&mut self, id: SuggestionId) -> Result<Option<Suggestion>, StoreError> {
        let workspace = self.0.workspace();
        let row: Option<SuggestionRow> =
            sqlx::query_as(suggestion_rows!("where s.workspace_id = $1 and s.id = $2 for update of s"))
                .bind(workspace.as_uuid())
                .bind(id.as_uuid())
                .fetch_optional(self.0.sqlx())
                .await
                .map_err(store_error)?;
        Ok(self.with_evidence(row.into_iter().collect()).await?.pop())
    }

    async fn answer(
        &mut self,
        id: SuggestionId,
        status: SuggestionStatus,
        workflow: Option<WorkflowId>,
    ) -> Result<bool, StoreError> {
        let (workspace, now) = (self.0.workspace().as_uuid(), self.0.env.now());
        let done = sqlx::query(
            "update suggestion set status = $3, workflow_id = $4, answered_at = $5
             where workspace_id = $1 and id = $2 and answered_at is null",
        )
        .bind(workspace)
        .bind(id.as_uuid())
        .bind(status.as_str())
        .bind(workflow.map(|workflow| workflow.as_uuid()))
        .bind(now)
        .execute(self.0.sqlx())
        .await
        .map_err(store_error)?;
        Ok(done.rows_affected() == 1)
    }

    async fn event_types(&mut self, events: &[EventId], subject: &str) -> Result<Vec<String>, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        sqlx::query_scalar(
            "select distinct e.type from event e
             where e.workspace_id = $1 and e.id = any ($2) and e.subject = $3 order by e.type limit 5",
        )
        .bind(workspace)
        .bind(events.iter().map(EventId::as_uuid).collect::<Vec<_>>())
        .bind(subject)
        .fetch_all(self.0.sqlx())
        .await
        .map_err(store_error)
    }
}

impl PgSuggestionRepository<'_> {
    async fn with_evidence(&mut self, rows: Vec<SuggestionRow>) -> Result<Vec<Suggestion>, StoreError> {
        let keys: Vec<Option<PatternKey>> = rows.iter().map(SuggestionRow::key).collect();
        let mut suggestions: Vec<Suggestion> =
            rows.into_iter().map(SuggestionRow::suggestion).collect::<Result<_, _>>()?;
        let mut patterns = Vec::new();
        let mut places = Vec::new();
        for (nth, (key, suggestion)) in keys.into_iter().zip(&suggestions).enumerate() {
            if let Some(key) = key {
                patterns.push((key, &suggestion.facts));
                places.push(nth);
            }
        }
        let workspace = self.0.workspace();
        let seen = sightings(self.0.sqlx(), workspace, &patterns).await?;
        for (nth, seen) in places.into_iter().zip(seen) {
            if let Some(suggestion) = suggestions.get_mut(nth) {
                suggestion.evidence = seen.evidence;
            }
        }
        Ok(suggestions)
    }
}
