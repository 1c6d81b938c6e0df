//! The contract of a store of tenancy holds with one connection too.

use std::sync::Arc;

use tidegate_testing::contract::tenancy::{Subject, directory, idempotency, keys, members, workspaces};
use tidegate_testing::{TestDatabase, test_environment};

macro_rules! obligations {
    ($database:ident: $($suite:ident { $($obligation:ident)* })*) => {$($(
        // Starting takes longer than any of these, so they share a database, each with names of its own.
        $suite::$obligation(subject(&$database).await).await;
    )*)*};
}

async fn subject(database: &TestDatabase) -> Subject {
    let env = test_environment();
    let store = Arc::new(database.store(env.clone()).await);
    let run = env.uuid_v7().simple().to_string();
    Subject { directory: store.clone(), personal: store.clone(), tenancy: store.clone(), idempotency: store, env, run }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenancy_is_kept_as_its_contract_says() {
    let database = crate::database().await;
    obligations! { database:
        directory {
            an_address_belongs_to_one_person
            people_are_found
            a_hash_is_replaced_only_if_it_is_still_there
            a_refresh_token_is_good_once
            a_session_ends
            signing_keys_and_account_events_are_kept
        }
        workspaces {
            a_slug_belongs_to_one_workspace
            a_workspace_is_changed
            a_workspace_is_deleted
            a_person_sees_their_own
            an_audit_log_is_read
        }
        members {
            members_belong_to_their_workspace
            a_member_cannot_be_put_elsewhere
            members_are_listed_in_their_order
        }
        keys {
            a_key_belongs_to_its_workspace
            keys_are_listed_and_revoked_by_their_maker
            the_last_use_is_noted_to_the_hour
        }
        idempotency {
            one_of_many_claims_a_key
            an_answer_is_kept
        }
    }
}
