//! The list of patterns, and single patterns.

use async_trait::async_trait;
use tidegate_events::pattern::{
    ListedPatterns, MIN_SUPPORT, Pattern, PatternFilter, PatternKind, PatternPlace, PatternRepository,
};
use tidegate_kernel::{Page, PageSize, StoreError};
use uuid::Uuid;

use super::facts::{FactsRow, Known, facts_of, sightings};
use crate::error::store_error;
use crate::transaction::{PgTx, Tenant};

/// [`PatternRepository`] in one transaction.
pub(crate) struct PgPatternRepository<'c>(pub(crate) &'c mut PgTx<Tenant>);

#[async_trait]
impl PatternRepository for PgPatternRepository<'_> {
    async fn list(
        &mut self,
        filter: &PatternFilter,
        after: Option<PatternPlace>,
        size: PageSize,
    ) -> Result<ListedPatterns, StoreError> {
        self.0.hold_snapshot().await?;
        let watermark = self.0.detected().await?;
        let mut kinds = filter.kinds.clone();
        kinds.sort_unstable();
        kinds.dedup();
        let mut known = Vec::new();
        for kind in kinds {
            known.append(&mut self.strongest(kind, filter.min_confidence, after, size).await?);
        }
        known.sort_unstable_by_key(|pattern| std::cmp::Reverse(place(pattern)));
        let page = Page::from_overfetch(known, size, place);
        let keys: Vec<_> = page.items.iter().map(|pattern| (pattern.key, &pattern.facts)).collect();
        let workspace = self.0.workspace();
        let mut seen = sightings(self.0.sqlx(), workspace, &keys).await?.into_iter();
        let page = page.map(|known| {
            let seen = seen.next().unwrap_or_default();
            Pattern {
                id: known.id,
                support: known.support,
                facts: known.facts,
                first_seen: seen.first_seen,
                last_seen: seen.last_seen,
                evidence: seen.evidence,
            }
        });
        let oversized_sessions = self.oversized_sessions().await?;
        Ok(ListedPatterns { page, watermark, oversized_sessions })
    }
}

fn place(pattern: &Known) -> PatternPlace {
    PatternPlace { support: pattern.support, id: pattern.id }
}

impl PgPatternRepository<'_> {
    /// The strongest patterns of `kind`: one more than `size`, if there are so many.
    async fn strongest(
        &mut self,
        kind: PatternKind,
        min_confidence: f64,
        after: Option<PatternPlace>,
        size: PageSize,
    ) -> Result<Vec<Known>, StoreError> {
        // Each kind has its own statement, so that the planner knows which index and which joins it needs.
        let text = match kind {
            PatternKind::Frequency => facts_of!(
                "where p.workspace_id = $1 and p.kind = 'frequency' and p.support >= $2 and p.support >= 3
                     and (p.support, p.id) < ($3, $4)
                     and p.days::float8 / nullif(w.active_days, 0) >= $5
                 order by p.support desc, p.id desc limit $6"
            ),
            PatternKind::Sequence => facts_of!(
                "where p.workspace_id = $1 and p.kind = 'sequence' and p.support >= $2 and p.support >= 3
                     and (p.support, p.id) < ($3, $4)
                     and p.support::float8 / nullif(sa.touches, 0) >= $5
                 order by p.support desc, p.id desc limit $6"
            ),
            PatternKind::CoOccurrence => facts_of!(
                "where p.workspace_id = $1 and p.kind = 'co_occurrence' and p.support >= $2 and p.support >= 3
                     and (p.support, p.id) < ($3, $4)
                     and p.support::float8 / nullif(least(sa.sessions, sb.sessions), 0) >= $5
                 order by p.support desc, p.id desc limit $6"
            ),
        };
        let workspace = self.0.workspace().as_uuid();
        let rows: Vec<FactsRow> = sqlx::query_as(text)
            .bind(workspace)
            .bind(MIN_SUPPORT)
            .bind(after.map_or(i64::MAX, |place| place.support))
            .bind(after.map_or(Uuid::max(), |place| place.id.as_uuid()))
            .bind(min_confidence)
            .bind(i64::from(size.get()) + 1)
            .fetch_all(self.0.sqlx())
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Known::try_from).collect()
    }

    async fn oversized_sessions(&mut self) -> Result<i64, StoreError> {
        let workspace = self.0.workspace().as_uuid();
        let count: Option<i64> =
            sqlx::query_scalar("select oversized_sessions from pattern_totals where workspace_id = $1")
                .bind(workspace)
                .fetch_optional(self.0.sqlx())
                .await
                .map_err(store_error)?;
        Ok(count.unwrap_or(0))
    }
}
