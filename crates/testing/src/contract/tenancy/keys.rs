//! API keys, with another tenant.

use chrono::{DurationRound, TimeDelta};
use tidegate_kernel::{ApiKeyId, Permission, UserId};
use tidegate_tenancy::{ApiKey, Digest, Located};

use super::Subject;

/// A key is found by its digest from the commit until it is revoked, and by its id only in its own workspace.
pub async fn a_key_belongs_to_its_workspace(subject: &Subject) {
    let ada = UserId::generate(&subject.env);
    let (ours, theirs) = (subject.workspace("ours", ada).await, subject.workspace("theirs", ada).await);
    let (mut key, secret) = subject.api_key(ada);
    key.scopes = [Permission::EventsRead, Permission::RunsExecute].into_iter().collect();
    key.expires_at = Some(subject.now() + TimeDelta::days(1));
    let mut tx = subject.tenancy(ours.id).await;
    tx.api_keys().insert(&key, &secret.digest()).await.expect("a key is added");
    tx.commit().await.expect("it commits");

    let locate = async |digest: Digest| {
        let mut tx = subject.directory().await;
        tx.locator().api_key(&digest).await.expect("it is located")
    };
    assert_eq!(locate(secret.digest()).await, Some(Located { workspace: ours.id, key: key.id }));
    assert_eq!(locate(Digest::of("another")).await, None);

    let mut tx = subject.tenancy(theirs.id).await;
    assert_eq!(tx.api_keys().find(key.id).await.expect("it is read"), None);
    assert_eq!(tx.api_keys().list(None, 10).await.expect("they are listed"), []);
    assert_eq!(tx.api_keys().revoke(key.id, subject.now()).await.expect("an answer"), []);
    assert_eq!(tx.api_keys().revoke_created_by(ada, subject.now()).await.expect("an answer"), []);
    tx.api_keys().touch(key.id, subject.now()).await.expect("nothing is noted");
    tx.commit().await.expect("it commits");

    let mut tx = subject.tenancy(ours.id).await;
    assert_eq!(tx.api_keys().find(key.id).await.expect("it is read"), Some(key.clone()));
    assert_eq!(tx.api_keys().revoke(key.id, subject.now()).await.expect("an answer"), [key.id]);
    assert_eq!(tx.api_keys().revoke(key.id, subject.now()).await.expect("an answer"), []);
    let revoked = tx.api_keys().find(key.id).await.expect("it is read");
    assert!(revoked.is_some_and(|key| key.revoked_at.is_some()));
    tx.commit().await.expect("it commits");
    assert_eq!(locate(secret.digest()).await, None);
}

/// Keys that are not revoked are listed newest first; those of one person are revoked together.
pub async fn keys_are_listed_and_revoked_by_their_maker(subject: &Subject) {
    let (ada, bob) = (UserId::generate(&subject.env), UserId::generate(&subject.env));
    let ours = subject.workspace("ours", ada).await;
    let mut keys: Vec<(ApiKey, Digest)> = Vec::new();
    let mut tx = subject.tenancy(ours.id).await;
    for maker in [ada, bob, ada, bob] {
        let (key, secret) = subject.api_key(maker);
        tx.api_keys().insert(&key, &secret.digest()).await.expect("a key is added");
        keys.push((key, secret.digest()));
    }
    let ids = |page: Vec<ApiKey>| page.into_iter().map(|key| key.id).collect::<Vec<ApiKeyId>>();
    let first = ids(tx.api_keys().list(None, 3).await.expect("they are listed"));
    assert_eq!(first, [keys[3].0.id, keys[2].0.id, keys[1].0.id]);
    assert_eq!(ids(tx.api_keys().list(Some(first[2]), 3).await.expect("they are listed")), [keys[0].0.id]);
    let mut revoked = tx.api_keys().revoke_created_by(bob, subject.now()).await.expect("an answer");
    revoked.sort_unstable();
    assert_eq!(revoked, [keys[1].0.id, keys[3].0.id]);
    assert_eq!(ids(tx.api_keys().list(None, 9).await.expect("they are listed")), [keys[2].0.id, keys[0].0.id]);
    tx.commit().await.expect("it commits");
    let mut tx = subject.directory().await;
    for (key, digest) in &keys {
        let located = tx.locator().api_key(digest).await.expect("it is located");
        assert_eq!(located.is_some(), key.created_by == ada);
    }
}

/// A key is revoked with the keys that it created, directly and indirectly, and with no others.
pub async fn a_key_is_revoked_with_those_that_it_made(subject: &Subject) {
    let ada = UserId::generate(&subject.env);
    let ours = subject.workspace("ours", ada).await;
    let (root, child, grandchild) = (subject.api_key(ada), subject.api_key(ada), subject.api_key(ada));
    let (revoked_before, sibling) = (subject.api_key(ada), subject.api_key(ada));
    let made_by = |(key, _): &(ApiKey, _), parent: &(ApiKey, _)| ApiKey { parent: Some(parent.0.id), ..key.clone() };
    let keys = [
        (root.0.clone(), &root.1),
        (made_by(&child, &root), &child.1),
        (made_by(&grandchild, &child), &grandchild.1),
        (made_by(&revoked_before, &root), &revoked_before.1),
        (sibling.0.clone(), &sibling.1),
    ];
    let mut tx = subject.tenancy(ours.id).await;
    for (key, secret) in &keys {
        tx.api_keys().insert(key, &secret.digest()).await.expect("a key is added");
        assert_eq!(tx.api_keys().find(key.id).await.expect("it is read").as_ref(), Some(key));
    }
    let first = revoked_before.0.id;
    assert_eq!(tx.api_keys().revoke(first, subject.now()).await.expect("an answer"), [first]);
    let revoked = tx.api_keys().revoke(root.0.id, subject.now()).await.expect("an answer");
    assert_eq!(revoked, [root.0.id, child.0.id, grandchild.0.id]);
    tx.commit().await.expect("it commits");
    let mut tx = subject.directory().await;
    for (key, secret) in &keys {
        let located = tx.locator().api_key(&secret.digest()).await.expect("it is located");
        assert_eq!(located.is_some(), key.id == sibling.0.id);
    }
}

/// The last use of a key is recorded to the hour.
pub async fn the_last_use_is_noted_to_the_hour(subject: &Subject) {
    let ada = UserId::generate(&subject.env);
    let ours = subject.workspace("ours", ada).await;
    let (key, secret) = subject.api_key(ada);
    let mut tx = subject.tenancy(ours.id).await;
    tx.api_keys().insert(&key, &secret.digest()).await.expect("a key is added");
    let hour = subject.now().duration_trunc(TimeDelta::hours(1)).expect("a time in range");
    for (used, noted) in [(5, 0), (50, 0), (61, 60), (10, 60), (150, 120)] {
        tx.api_keys().touch(key.id, hour + TimeDelta::minutes(used)).await.expect("it is noted");
        let found = tx.api_keys().find(key.id).await.expect("it is read").expect("it is there");
        assert_eq!(found.last_used_at, Some(hour + TimeDelta::minutes(noted)));
    }
}
