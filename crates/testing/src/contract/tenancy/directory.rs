//! People, login sessions and signing keys.

use chrono::TimeDelta;
use tidegate_kernel::UserId;
use tidegate_tenancy::{
    DirectoryTx, LiveSession, REFRESH_TOKEN_LIFE, Registered, Session, SigningKey, Succession, TokenState,
};

use super::{Subject, hash};

/// MUST let exactly one of two additions of the same address succeed, also concurrently, and leave the transaction
/// usable.
pub async fn an_address_belongs_to_one_person(subject: &Subject) {
    let adding: Vec<_> = (0..4)
        .map(|_| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let (one, other) = (subject.unknown("ada@example.org"), subject.unknown("ada@example.org"));
                let mut tx = subject.directory().await;
                let added = tx.people().insert(&one, &hash("x")).await.expect("an answer, and no error");
                let again = tx.people().insert(&other, &hash("x")).await.expect("the transaction is usable");
                assert!(matches!(again, Registered::Taken(_)), "{again:?}");
                tx.commit().await.expect("it commits");
                usize::from(added == Registered::New)
            })
        })
        .collect();
    let mut added = 0;
    for task in adding {
        added += task.await.expect("no one fails");
    }
    assert_eq!(added, 1);
    let owner = subject.unknown("ada@example.org").email;
    let mut tx = subject.directory().await;
    let owner = tx.people().credentials(&owner).await.expect("it is read").expect("somebody has it").0.id;
    let again = tx.people().insert(&subject.unknown("ADA@example.org"), &hash("x")).await.expect("an answer");
    assert_eq!(again, Registered::Taken(Some(owner)), "whoever writes it in another case");
}

/// People are found by id and by address; unknown ids are left out.
pub async fn people_are_found(subject: &Subject) {
    let (ada, bob) = (subject.person("ada@example.org").await, subject.person("bob@example.org").await);
    let mut tx = subject.directory().await;
    let nobody = UserId::generate(&subject.env);
    let mut found = tx.people().find(&[bob.id, nobody, ada.id]).await.expect("people are read");
    found.sort_by_key(|person| person.id);
    assert_eq!(found, [ada.clone(), bob]);
    let credentials = tx.people().credentials(&ada.email).await.expect("credentials are read");
    assert_eq!(credentials, Some((ada, hash("first"))));
    let stranger = subject.unknown("eve@example.org").email;
    assert_eq!(tx.people().credentials(&stranger).await.expect("credentials are read"), None);
}

/// A password hash is not replaced if it was changed meanwhile.
pub async fn a_hash_is_replaced_only_if_it_is_still_there(subject: &Subject) {
    let (ada, bob) = (subject.person("ada@example.org").await, subject.person("bob@example.org").await);
    let mut tx = subject.directory().await;
    tx.people().rehash(ada.id, &hash("first"), &hash("second")).await.expect("it is replaced");
    tx.people().rehash(ada.id, &hash("first"), &hash("third")).await.expect("nothing is replaced");
    tx.commit().await.expect("it commits");
    let mut tx = subject.directory().await;
    for (person, expected) in [(ada, "second"), (bob, "first")] {
        let found = tx.people().credentials(&person.email).await.expect("credentials are read");
        assert_eq!(found.map(|(_, hash)| hash), Some(hash(expected)));
    }
}

/// MUST return `Current` to exactly one of many concurrent uses of a token, and to the next one only if that one does
/// not commit.
pub async fn a_refresh_token_is_good_once(subject: &Subject) {
    let ada = subject.person("ada@example.org").await;
    let (session, token) = (subject.session(ada.id), subject.digest("token"));
    let mut tx = subject.directory().await;
    tx.sessions().insert(&session, &token).await.expect("a session is added");
    tx.commit().await.expect("it commits");

    let mut tx = subject.directory().await;
    let state = tx.sessions().use_token(&token, subject.now()).await.expect("it is used");
    assert_eq!(state, Some(TokenState::Current(session.clone())));
    drop(tx);

    let using: Vec<_> = (0..4)
        .map(|_| {
            let (subject, token) = (subject.clone(), token);
            tokio::spawn(async move {
                let mut tx = subject.directory().await;
                let state = tx.sessions().use_token(&token, subject.now()).await.expect("it is used");
                tx.commit().await.expect("it commits");
                usize::from(matches!(state, Some(TokenState::Current(_))))
            })
        })
        .collect();
    let mut current = 0;
    for task in using {
        current += task.await.expect("no one fails");
    }
    assert_eq!(current, 1);

    let mut tx = subject.directory().await;
    assert_eq!(tx.sessions().use_token(&subject.digest("never"), subject.now()).await.expect("it is looked at"), None);
}

/// MUST say how a used token's successor was made until the successor is used, and lock the family meanwhile.
pub async fn a_successor_can_be_made_again_until_it_is_used(subject: &Subject) {
    let ada = subject.person("ada@example.org").await;
    let session = subject.session(ada.id);
    let [first, second, third] = ["first", "second", "third"].map(|text| subject.digest(text));
    let at = subject.now();
    let mut tx = subject.directory().await;
    tx.sessions().insert(&session, &first).await.expect("a session is added");
    tx.sessions().use_token(&first, at).await.expect("it is used");
    let later = at + TimeDelta::days(1);
    let session = Session { refreshed_at: later, expires_at: later + REFRESH_TOKEN_LIFE, ..session };
    tx.sessions().rotate(&session, &first, &[7; 32], &second).await.expect("it is rotated");
    tx.commit().await.expect("it commits");

    let succession = async |tx: &mut Box<dyn DirectoryTx>, token| match tx.sessions().use_token(token, later).await {
        Ok(Some(TokenState::Used { session: of, succession })) if of == session => succession,
        other => panic!("{other:?}"),
    };
    let mut tx = subject.directory().await;
    assert_eq!(succession(&mut tx, &first).await, Some(Succession { salt: [7; 32], at }));
    let state = tx.sessions().use_token(&second, later).await.expect("it is used");
    assert_eq!(state, Some(TokenState::Current(session.clone())));
    assert_eq!(succession(&mut tx, &first).await, None, "its successor is used");
    tx.sessions().rotate(&session, &second, &[8; 32], &third).await.expect("it is rotated");
    assert_eq!(succession(&mut tx, &first).await, None);
    assert_eq!(succession(&mut tx, &second).await, Some(Succession { salt: [8; 32], at: later }));
    drop(tx);

    // A request for the successor waits while the successor is being used, and then learns that it was used.
    let mut using = subject.directory().await;
    using.sessions().use_token(&second, later).await.expect("it is used");
    let asking = {
        let (subject, first) = (subject.clone(), first);
        tokio::spawn(async move {
            let mut tx = subject.directory().await;
            tx.sessions().use_token(&first, later).await.expect("it is looked at")
        })
    };
    using.commit().await.expect("it commits");
    let state = asking.await.expect("an answer");
    assert!(matches!(state, Some(TokenState::Used { succession: None, .. })), "{state:?}");
}

/// A session is live until it is revoked or expires, and only its own person can revoke it.
pub async fn a_session_ends(subject: &Subject) {
    let (ada, eve) = (subject.person("ada@example.org").await, subject.person("eve@example.org").await);
    let (first, second) = (subject.session(ada.id), subject.session(ada.id));
    let mut tx = subject.directory().await;
    for (n, session) in [&first, &second, &subject.session(eve.id)].into_iter().enumerate() {
        tx.sessions().insert(session, &subject.digest(&n.to_string())).await.expect("a session is added");
    }
    let now = subject.now();
    let live = LiveSession { session: first.clone(), person: ada.clone() };
    assert_eq!(tx.sessions().find_live(first.id, now).await.expect("it is read"), Some(live));
    assert_eq!(tx.sessions().find_live(first.id, first.expires_at).await.expect("it is read"), None);
    let listed = tx.sessions().list_live(ada.id, now).await.expect("they are listed");
    assert_eq!(listed, [second.clone(), first.clone()], "the newest first, and no one else's");

    assert!(!tx.sessions().revoke(eve.id, first.id, now).await.expect("an answer"));
    assert!(tx.sessions().revoke(ada.id, first.id, now).await.expect("an answer"));
    assert!(!tx.sessions().revoke(ada.id, first.id, now).await.expect("an answer"));
    assert_eq!(tx.sessions().find_live(first.id, now).await.expect("it is read"), None);
    assert_eq!(tx.sessions().list_live(ada.id, now).await.expect("they are listed"), [second]);
}

/// The keys that this case made: other cases may have made some on the same store.
async fn own_keys(subject: &Subject, tx: &mut Box<dyn DirectoryTx>) -> Vec<SigningKey> {
    let mut keys = tx.signing_keys().list().await.expect("keys are listed");
    keys.retain(|key| key.kid.starts_with(&subject.own("")));
    keys
}

/// MUST let only one of several servers that start at once find that there is no key yet.
pub async fn of_several_servers_one_adds_a_key(subject: &Subject) {
    let starting: Vec<_> = (0..4_u8)
        .map(|n| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut tx = subject.directory().await;
                tx.signing_keys().lock().await.expect("nobody else adds");
                let mut none = true;
                for _ in 0..20 {
                    // Takes long enough for the others to interfere, if they could.
                    none &= own_keys(&subject, &mut tx).await.is_empty();
                }
                if none {
                    let kid = subject.own(&n.to_string());
                    let key = SigningKey { kid, salt: [n; 32], public_key: [n; 32], created_at: subject.now() };
                    tx.signing_keys().insert(&key).await.expect("a key is added");
                }
                tx.commit().await.expect("it commits");
                usize::from(none)
            })
        })
        .collect();
    let mut added = 0;
    for server in starting {
        added += server.await.expect("no one fails");
    }
    assert_eq!(added, 1);
    let mut tx = subject.directory().await;
    assert_eq!(own_keys(subject, &mut tx).await.len(), 1);
}

/// Signing keys are listed newest first, and pruned by age.
pub async fn signing_keys_are_kept(subject: &Subject) {
    let now = subject.now();
    let key = |n: u8, days| SigningKey {
        kid: subject.own(&n.to_string()),
        salt: [n; 32],
        public_key: [n; 32],
        created_at: now - TimeDelta::days(days),
    };
    let mut tx = subject.directory().await;
    tx.signing_keys().lock().await.expect("nobody else adds");
    for key in [key(1, 60), key(2, 0), key(3, 30)] {
        tx.signing_keys().insert(&key).await.expect("a key is added");
    }
    assert_eq!(own_keys(subject, &mut tx).await, [key(2, 0), key(3, 30), key(1, 60)]);
    tx.signing_keys().prune(now - TimeDelta::days(30)).await.expect("keys are forgotten");
    assert_eq!(own_keys(subject, &mut tx).await, [key(2, 0), key(3, 30)]);
    let mut retired = tx.signing_keys().retire_all().await.expect("keys are retired");
    retired.retain(|kid| kid.starts_with(&subject.own("")));
    retired.sort_unstable();
    assert_eq!(retired, [key(2, 0).kid, key(3, 30).kid]);
    assert_eq!(own_keys(subject, &mut tx).await, []);
}
