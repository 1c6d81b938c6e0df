//! Patterns and suggestions.

use std::sync::Arc;

use tidegate_testing::contract::patterns::{self, Subject};
use tidegate_testing::{TestDatabase, test_environment};

/// Runs a case in a database of its own.
async fn run<F: AsyncFnOnce(&Subject)>(case: F) {
    let database = TestDatabase::new().await;
    let env = test_environment();
    let (ours, theirs) = (database.workspace(&env).await, database.workspace(&env).await);
    let store = Arc::new(database.store(env.clone()).await);
    let subject = Subject {
        events: store.clone(),
        detection: store.clone(),
        patterns: store.clone(),
        suggestions: store.clone(),
        apply: store.clone(),
        workflows: store.clone(),
        env,
        ours,
        theirs,
    };
    case(&subject).await;
    store.close().await;
}

macro_rules! cases {
    ($($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            run(patterns::$case).await;
        }
    )*};
}

cases! {
    counting_in_batches_equals_a_recount
    pages_make_up_the_list
    two_who_count_at_once_count_once
    an_abandoned_step_changes_nothing
    an_oversized_session_makes_no_pairs_and_is_told_of
    another_tenant_counts_for_itself
    the_numbers_are_what_they_are_called
    what_happened_often_enough_is_offered
    an_open_suggestion_is_kept_up_to_date
    a_dismissed_suggestion_is_never_offered_again
    a_suggestion_is_answered_once
    suggestions_are_listed_by_confidence
    another_tenants_suggestion_does_not_exist
    applying_makes_one_draft_or_nothing
    a_name_that_is_taken_leaves_the_suggestion_open
}
