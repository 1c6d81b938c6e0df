//! Makes and updates suggestions during detection.

use std::collections::BTreeSet;

use tidegate_kernel::StoreError;

use super::catalogue::Catalogue;
use super::model::Offer;
use super::ports::SuggestionLedger;
use crate::pattern::batch::Delta;
use crate::pattern::{PatternKey, Term};

/// Makes suggestions for the patterns in `shown` that are good enough, and updates the open suggestions that `delta`
/// affects.
///
/// # Errors
/// [`StoreError`] if suggestions could not be read or written.
pub async fn refresh(
    catalogue: &Catalogue,
    ledger: &mut dyn SuggestionLedger,
    delta: &Delta,
    shown: &[PatternKey],
) -> Result<(), StoreError> {
    let patterns: Vec<PatternKey> = shown.iter().filter(|key| catalogue.concerns(key)).copied().collect();
    let mut subjects: BTreeSet<Term> = delta.subjects.keys().copied().collect();
    for (key, _) in delta.patterns.iter().filter(|(_, change)| change.support < 0) {
        let (_, a, b) = key.parts();
        subjects.extend([a, b]);
    }
    if delta.totals.active_days != 0 {
        subjects.insert(Term::NONE);
    }
    let workspace = ledger.workspace();
    let candidates = ledger.candidates(&patterns, &subjects).await?;
    let offers: Vec<Offer> = candidates.iter().flat_map(|candidate| catalogue.offers(workspace, candidate)).collect();
    if offers.is_empty() { Ok(()) } else { ledger.offer(&offers).await }
}
