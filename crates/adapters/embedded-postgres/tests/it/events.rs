//! The contract of a store of events holds with one connection too.

use std::sync::Arc;

use tidegate_testing::contract::events::{self, Subject};
use tidegate_testing::{TestDatabase, test_environment};

macro_rules! obligations {
    ($database:ident: $($obligation:ident)*) => {$(
        // Starting takes longer than any of these, so they share a database, each with workspaces of its own.
        events::$obligation(subject(&$database).await).await;
    )*};
}

async fn subject(database: &TestDatabase) -> Subject {
    let env = test_environment();
    let (ours, theirs) = (database.workspace(&env).await, database.workspace(&env).await);
    let store = Arc::new(database.store(env.clone()).await);
    Subject { events: store.clone(), feed: store.clone(), backlog: store, ours, theirs, env }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_kept_as_their_contract_says() {
    let database = crate::database().await;
    obligations! { database:
        positions_are_dense
        what_is_rolled_back_leaves_no_gap
        overlapping_retries_add_each_event_once
        the_limit_is_exact_under_sixteen_writers
        the_limit_counts_what_is_added_in_a_period
        an_event_is_known_for_32_days
        ids_rise_with_positions
        an_event_reads_back_whole
        workspaces_do_not_share_keys_or_limits
        no_limit_and_a_limit_of_nothing
        a_list_has_what_matches
        pages_have_every_event_once
        events_are_found_by_id
        the_feed_has_the_range_in_order
        a_reader_behind_writers_misses_nothing
        a_cursor_moves_once
        the_backlog_names_who_is_behind
        another_tenant_sees_nothing
    }
}
