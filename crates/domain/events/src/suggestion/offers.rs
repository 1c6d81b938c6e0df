//! Makes suggestions behind detection.

use std::collections::BTreeSet;

use tidegate_kernel::StoreError;

use super::catalogue::Catalogue;
use super::model::Offer;
use super::ports::SuggestionLedger;
use crate::pattern::batch::Delta;
use crate::pattern::{PatternKey, Term};

/// Offers what `delta` made good enough, and brings the open suggestions that it touched up to date.
///
/// # Errors
/// [`StoreError`] when suggestions could not be read or written.
pub async fn refresh(
    catalogue: &Catalogue,
    ledger: &mut dyn SuggestionLedger,
    delta: &Delta,
) -> Result<(), StoreError> {
    let patterns: Vec<PatternKey> = delta.patterns.keys().filter(|key| catalogue.concerns(key)).copied().collect();
    let mut subjects: BTreeSet<Term> = delta.subjects.keys().copied().collect();
    if delta.totals.active_days != 0 {
        subjects.insert(Term::NONE);
    }
    let workspace = ledger.workspace();
    let candidates = ledger.candidates(&patterns, &subjects).await?;
    let offers: Vec<Offer> = candidates.iter().flat_map(|candidate| catalogue.offers(workspace, candidate)).collect();
    if offers.is_empty() { Ok(()) } else { ledger.offer(&offers).await }
}
