//! Statements of detection, of patterns and suggestions, and of idempotency keys.

use std::sync::Arc;

use chrono::TimeDelta;
use tidegate_events::pattern::{Detection, PatternFilter, PatternKind, Patterns};
use tidegate_events::suggestion::{Catalogue, SuggestionFilter, SuggestionStatus, Suggestions};
use tidegate_kernel::{Actor, PageSize, PermissionSet, UnitOfWork, UserId};
use tidegate_testing::scope::scope_with;
use tidegate_use_cases::{Fingerprint, IdempotencyKey, IdempotencyTx, KeptAnswer, Terms};

use super::{Walk, event_id};

impl Walk {
    /// Counts new events, and lists and answers patterns and suggestions.
    pub(super) async fn detection(&self) {
        let (store, scope) = (self.stage.store.clone(), self.scope());
        let catalogue = Arc::new(Catalogue::built_in().unwrap());
        Detection::new(store.clone(), catalogue, 100).step(&scope).await.unwrap();
        let patterns = Patterns::new(store.clone());
        for kinds in [vec![PatternKind::Frequency], vec![PatternKind::Sequence], PatternKind::ALL.to_vec()] {
            let filter = PatternFilter { kinds, min_confidence: 0.0 };
            let first = patterns.list(&scope, &filter, None, PageSize::new(20).unwrap()).await.unwrap();
            patterns.list(&scope, &filter, first.page.next, PageSize::new(20).unwrap()).await.unwrap();
        }
        let suggestions = Suggestions::new(store);
        for statuses in [vec![SuggestionStatus::Open], SuggestionStatus::ALL.to_vec()] {
            let filter = SuggestionFilter { statuses, min_confidence: 0 };
            let first = suggestions.list(&scope, &filter, None, PageSize::new(20).unwrap()).await.unwrap();
            suggestions.list(&scope, &filter, first.page.next, PageSize::new(20).unwrap()).await.unwrap();
            let open = first.page.items.iter().find(|suggestion| suggestion.status == SuggestionStatus::Open);
            if let Some(open) = open {
                suggestions.dismiss(&scope, open.id).await.unwrap();
            }
        }
    }

    /// Claims, answers and reads one key again, and releases another.
    pub(super) async fn keys(&self) {
        let now = self.stage.scene.env.now();
        let caller = Actor::Person(UserId::from_uuid(event_id(1, 1, 2)));
        let scope = scope_with(self.workspace(), caller, PermissionSet::EMPTY);
        let terms = Terms { now, claimed_until: now + TimeDelta::minutes(2), kept_until: now + TimeDelta::hours(24) };
        for answered in [true, false] {
            let key = IdempotencyKey([u8::try_from(self.round * 2).unwrap() + u8::from(answered); 32]);
            for _ in 0..2 {
                let mut tx: Box<dyn IdempotencyTx> =
                    UnitOfWork::<dyn IdempotencyTx>::begin(&*self.stage.store, &scope).await.unwrap();
                tx.idempotency().claim(&key, &Fingerprint([2; 32]), terms).await.unwrap();
                let answer = KeptAnswer { status: 201, headers: Vec::new(), body: Vec::new() };
                if answered {
                    tx.idempotency().finish(&key, terms.claimed_until, &answer).await.unwrap();
                } else {
                    tx.idempotency().release(&key, terms.claimed_until).await.unwrap();
                }
                tx.commit().await.unwrap();
            }
        }
    }
}
