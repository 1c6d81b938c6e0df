//! The list of what every store has to do.

/// Hands the names of all obligations, by suite, to the macro `$tests`, which makes tests of them for one kind of
/// database. Those that only a PostgreSQL with several connections can be held to come last, with the reason.
#[macro_export]
macro_rules! obligations {
    ($tests:ident) => {
        $tests! {
            everywhere {
                tenancy {
                    an_address_belongs_to_one_person
                    people_are_found
                    a_hash_is_replaced_only_if_it_is_still_there
                    a_refresh_token_is_good_once
                    a_successor_can_be_made_again_until_it_is_used
                    a_session_ends
                    signing_keys_and_account_events_are_kept
                    of_several_servers_one_adds_a_key
                    a_slug_belongs_to_one_workspace
                    a_workspace_is_changed
                    a_workspace_is_deleted
                    a_person_sees_their_own
                    an_audit_log_is_read
                    members_belong_to_their_workspace
                    whoever_locks_a_workspace_decides_alone
                    a_member_cannot_be_put_elsewhere
                    members_are_listed_in_their_order
                    a_key_belongs_to_its_workspace
                    keys_are_listed_and_revoked_by_their_maker
                    a_key_is_revoked_with_those_that_it_made
                    the_last_use_is_noted_to_the_hour
                    one_of_many_claims_a_key
                    a_claim_is_answered_by_its_caller_alone
                    an_answer_is_kept
                    a_mail_is_kept_once
                }
                events {
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
                    a_reading_of_whole_events_is_bounded_by_bytes
                    a_reader_behind_writers_misses_nothing
                    a_cursor_moves_once
                    the_backlog_names_who_is_behind
                    the_backlog_goes_round
                    another_tenant_sees_nothing
                }
                billing {
                    the_first_default_stays
                    usage_is_what_was_committed
                    a_batch_of_calls_counts_once
                }
                patterns {
                    counting_in_batches_equals_a_recount
                    pages_make_up_the_list
                    a_list_is_as_of_its_watermark
                    two_who_count_at_once_count_once
                    an_abandoned_step_changes_nothing
                    an_oversized_session_makes_no_pairs_and_is_told_of
                    another_tenant_counts_for_itself
                    another_tenants_counters_are_not_read
                    another_tenants_suggestions_are_not_refreshed
                    a_real_log_in_any_order_equals_a_recount
                    the_numbers_are_what_they_are_called
                    what_happened_often_enough_is_offered
                    an_open_suggestion_is_kept_up_to_date
                    a_dismissed_suggestion_is_never_offered_again
                    a_suggestion_is_answered_once
                    of_many_answers_at_once_one_counts
                    suggestions_are_listed_by_confidence
                    another_tenants_suggestion_does_not_exist
                    applying_makes_one_draft_or_nothing
                    a_name_that_is_taken_leaves_the_suggestion_open
                }
                workflows {
                    a_workflow_reads_back_with_its_document
                    a_name_is_taken_in_one_workspace_only
                    versions_are_kept_and_listed_newest_first
                    a_version_never_changes
                    whoever_locks_a_workflow_changes_it_alone
                    of_two_drafts_on_one_revision_one_is_refused
                    publishing_and_going_back_change_what_is_published
                    a_version_reads_back_with_its_document
                    what_is_unpublished_starts_no_more
                    a_deleted_workflow_is_gone_and_its_runs_stay
                    a_list_has_the_workspaces_own_newest_first
                    another_tenants_workflow_does_not_exist
                    a_tick_fires_when_it_is_due_and_once
                    missed_ticks_are_made_up_for_by_one_run
                    of_two_servers_one_fires_a_tick
                    a_trigger_moves_only_from_where_it_is
                    the_longest_due_comes_first
                    a_flood_of_due_triggers_leaves_room
                    what_is_waited_for_is_told
                    publishing_replaces_triggers
                    events_start_runs_once
                    an_event_starts_a_workflow_once
                    a_step_keeps_its_limits
                    a_chain_of_runs_ends
                    another_tenants_triggers_are_its_own
                    what_a_trigger_cannot_start_is_told
                    a_run_reads_back_as_it_was_added
                    a_dedupe_key_belongs_to_one_run
                    a_dedupe_key_is_free_again
                    runs_are_listed_newest_first
                    asking_for_an_end_changes_no_run
                    nothing_is_asked_of_a_run_outside_quarantine
                    what_is_published_can_be_started
                    another_tenants_runs_do_not_exist
                    no_connection_is_held_while_an_input_is_checked
                    a_run_starts_with_the_version_that_is_published
                }
                engine_store {
                    a_forgotten_shard_comes_back_under_a_new_epoch
                    a_worker_that_wakes_up_late_writes_nothing
                    what_is_given_back_is_ready
                    a_run_is_claimed_once
                    a_run_keeps_its_trace
                    a_repeated_commit_changes_nothing
                    a_parked_run_comes_back_when_its_time_has_come
                    a_gate_is_passed_in_order
                    a_gate_is_its_workspaces_own
                    a_signal_is_heeded_once
                    a_look_has_the_first_timers
                    an_end_is_asked_for_in_ones_own_workspace
                    a_run_is_reached_through_its_own_workspace_alone
                    a_gate_with_any_text_reads_back
                    a_run_in_quarantine_is_left_alone_until_somebody_asks
                    whoever_is_set_aside_lets_the_next_one_pass
                    a_run_in_quarantine_is_ended_by_hand
                    another_release_tries_again
                    a_gate_opens_while_the_next_one_is_cancelled
                }
                jobs {
                    a_job_commits_with_its_cause
                    a_key_is_unique_until_its_job_begins
                    a_job_waits_for_its_time
                    a_job_is_cancelled
                    a_recurring_job_comes_once
                    a_job_is_claimed_once
                    a_failed_job_comes_back
                    a_worker_that_is_late_ends_no_job
                    a_job_that_is_given_back_is_ready
                    a_claim_whose_answer_was_lost_is_recovered
                    ends_are_written_together
                    jobs_are_listed_by_kind_and_status
                    a_dead_job_is_redriven
                    a_dead_job_is_discarded
                    operators_find_dead_jobs_of_everybody
                }
                erasure {
                    a_deletion_is_known_at_once
                    nothing_is_erased_before_its_time
                    slices_take_one_workspaces_rows
                    what_cannot_be_erased_waits
                }
                upkeep {
                    ended_sessions_are_removed
                    old_account_events_are_removed
                    old_usage_is_removed
                    old_dedupe_keys_are_forgotten
                    kept_mails_are_removed
                    answers_are_removed_when_their_time_is_over
                    partitions_are_there_ahead
                }
                monitoring {
                    a_backlog_is_what_a_consumer_has_not_read
                    a_ready_run_has_its_age
                    usage_adds_up
                }
            }
            served_only {
                jobs::what_is_wanted_again_begins_after_whoever_wants_it
                    "on an embedded PostgreSQL nothing is claimed while a transaction is open"
                engine_store::a_shard_has_one_owner
                    "on an embedded PostgreSQL whoever asks owns every shard: no other process can be there"
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::super::coverage::files;

    /// Suites of ports that have nothing to do with PostgreSQL, which are run where they have their adapters.
    const OTHERS: [&str; 2] = ["rate_limiter", "signal_bus"];

    macro_rules! names {
        (
            everywhere { $($suite:ident { $($obligation:ident)* })* }
            served_only { $($one:ident::$other:ident $reason:literal)* }
        ) => {
            [
                $($(concat!(stringify!($suite), "::", stringify!($obligation)),)*)*
                $(concat!(stringify!($one), "::", stringify!($other)),)*
            ]
        };
    }

    #[test]
    fn the_list_has_every_obligation() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/contract");
        let mut written = BTreeSet::new();
        for file in files(&folder) {
            let name = file.strip_prefix(&folder).expect("it is below the folder").with_extension("");
            let suite = name.iter().next().and_then(|suite| suite.to_str()).expect("a suite");
            let text = fs::read_to_string(&file).expect("a source file");
            let functions =
                text.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split_once("(subject: &Subject)"));
            written.extend(functions.map(|(function, _)| format!("{suite}::{function}")));
        }
        written.retain(|name| !OTHERS.iter().any(|suite| name.starts_with(suite)));
        let listed = obligations!(names);
        assert_eq!(BTreeSet::from(listed.map(str::to_owned)), written);
        assert_eq!(listed.len(), written.len(), "none is named twice");
    }
}
