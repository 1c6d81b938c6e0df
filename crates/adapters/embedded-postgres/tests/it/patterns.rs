//! Patterns are counted with the one connection as with many.

use std::sync::Arc;

use tidegate_testing::contract::patterns::{self, Subject};
use tidegate_testing::{TestDatabase, test_environment};

macro_rules! obligations {
    ($database:ident: $($obligation:ident)*) => {$(
        // Starting takes longer than any of these, so they share a database, each with workspaces of its own.
        patterns::$obligation(&subject(&$database).await).await;
    )*};
}

async fn subject(database: &TestDatabase) -> Subject {
    let env = test_environment();
    let (ours, theirs) = (database.workspace(&env).await, database.workspace(&env).await);
    let store = Arc::new(database.store(env.clone()).await);
    Subject {
        events: store.clone(),
        detection: store.clone(),
        patterns: store.clone(),
        suggestions: store.clone(),
        apply: store.clone(),
        workflows: store,
        env,
        ours,
        theirs,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_are_counted_as_their_contract_says() {
    let database = crate::database().await;
    obligations! { database:
        counting_in_batches_equals_a_recount
        two_who_count_at_once_count_once
        an_abandoned_step_changes_nothing
        an_oversized_session_makes_no_pairs_and_is_told_of
        another_tenant_counts_for_itself
        a_dismissed_suggestion_is_never_offered_again
        applying_makes_one_draft_or_nothing
        another_tenants_suggestion_does_not_exist
    }
}
