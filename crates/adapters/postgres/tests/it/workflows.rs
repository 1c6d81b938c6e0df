//! Workflows and their triggers.

use std::sync::Arc;

use chrono::{DurationRound, TimeDelta};
use tidegate_in_process::InProcessSignalBus;
use tidegate_testing::clock::{TestClock, environment};
use tidegate_testing::contract::workflows::{self, Subject};
use tidegate_testing::{TestDatabase, test_environment};

/// Runs a case in a database of its own.
async fn run<F: AsyncFnOnce(&Subject)>(case: F) {
    let database = TestDatabase::new().await;
    let now = test_environment().now();
    let midnight = now.duration_trunc(TimeDelta::days(1)).expect("a day is a span of time");
    let clock = TestClock::ticking(now);
    let env = environment(clock.clone(), 7);
    let (ours, theirs) = (database.workspace(&env).await, database.workspace(&env).await);
    let store = Arc::new(database.store(env.clone()).await);
    let subject = Subject {
        workflows: store.clone(),
        runs: store.clone(),
        triggers: store.clone(),
        due: store.clone(),
        following: store.clone(),
        events: store.clone(),
        bus: Arc::new(InProcessSignalBus::new()),
        clock,
        midnight,
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
            run(workflows::$case).await;
        }
    )*};
}

cases! {
    a_workflow_reads_back_with_its_document
    a_name_is_taken_in_one_workspace_only
    versions_are_kept_and_listed_newest_first
    of_two_drafts_on_one_revision_one_is_refused
    publishing_and_going_back_change_what_is_published
    a_list_has_the_workspaces_own_newest_first
    another_tenants_workflow_does_not_exist
    a_tick_fires_when_it_is_due_and_once
    missed_ticks_are_made_up_for_by_one_run
    of_two_servers_one_fires_a_tick
    publishing_replaces_triggers
    events_start_runs_once
    a_chain_of_runs_ends
    another_tenants_triggers_are_its_own
    what_a_trigger_cannot_start_is_told
}
