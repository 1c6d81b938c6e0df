//! What people change about their accounts, links in mails, and the log of accounts.

use chrono::TimeDelta;
use serde_json::json;
use tidegate_kernel::{Client, FactorId, Origin, StoreError, UserId};
use tidegate_tenancy::{
    AccountEvent, AccountRecord, AuthMethod, Challenge, Email, Factor, FactorKind, FailedLogIn, Language, Link,
    LinkPurpose, Name, Notifications, Person, Registered, Session, TimeZone,
};

use super::{Subject, hash};
use crate::scope::request_id;

impl Subject {
    fn factor(&self, person: &Person) -> Factor {
        Factor {
            id: FactorId::generate(&self.env),
            user: person.id,
            kind: FactorKind::Totp,
            name: Name::new("phone").expect("a name"),
            secret: vec![0, 255, 7],
            created_at: self.now(),
            confirmed_at: None,
            last_used_at: None,
        }
    }

    fn link(&self, person: &Person, purpose: LinkPurpose) -> Link {
        Link { user: person.id, purpose, address: person.email.clone(), expires_at: self.now() + TimeDelta::hours(1) }
    }
}

/// Everything that a person can change reads back as it was written, the address as it was typed.
pub async fn a_changed_person_reads_back(subject: &Subject) {
    let (ada, bob) = (subject.person("ada@example.org").await, subject.person("bob@example.org").await);
    let typed = subject.own("Ada@Example.NET");
    let changed = Person {
        email: Email::new(&typed).expect("an address"),
        email_verified_at: Some(subject.now()),
        name: Name::new("Ada L.").expect("a name"),
        language: Some(Language::new("de").expect("a language")),
        time_zone: Some(TimeZone::new("Europe/Berlin").expect("a time zone")),
        notifications: Notifications { usage: false, billing: true },
        ..ada.clone()
    };
    let mut tx = subject.directory().await;
    tx.people().update(&changed).await.expect("it is written");
    tx.people().set_password(ada.id, &hash("second")).await.expect("it is written");
    let locked = tx.people().lock(ada.id).await.expect("it is read");
    assert_eq!(locked, Some((changed.clone(), hash("second"))));
    tx.commit().await.expect("it commits");

    let mut tx = subject.directory().await;
    let found = tx.people().find(&[ada.id]).await.expect("people are read");
    assert_eq!(found[0].email.as_str(), typed);
    assert_eq!(tx.people().credentials(&ada.email).await.expect("it is read"), None, "the old address is free");
    assert_eq!(tx.people().lock(UserId::generate(&subject.env)).await.expect("an answer"), None);
    let taken = Person { email: bob.email.clone(), ..changed.clone() };
    let refused = tx.people().update(&taken).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    drop(tx);

    let mut tx = subject.directory().await;
    let added = subject.unknown("eve@example.org");
    let set = Person { id: added.id, created_at: added.created_at, email: added.email, ..changed };
    assert_eq!(tx.people().insert(&set, &hash("x")).await.expect("a person is added"), Registered::New);
    assert_eq!(tx.people().find(&[set.id]).await.expect("people are read"), [set]);
}

/// Sessions of a deactivated account are not live, until it is reactivated.
pub async fn a_deactivated_account_has_no_live_session(subject: &Subject) {
    let ada = subject.person("ada@example.org").await;
    let (session, now) = (subject.session(ada.id), subject.now());
    let mut tx = subject.directory().await;
    tx.sessions().insert(&session, &subject.digest("token")).await.expect("a session is added");
    for active in [true, false, false, true] {
        tx.people().set_active(ada.id, active, now).await.expect("it is written");
        let live = tx.sessions().find_live(session.id, now).await.expect("it is read");
        assert_eq!(live.is_some(), active);
        let found = tx.people().find(&[ada.id]).await.expect("people are read");
        assert_eq!(found[0].deactivated_at, (!active).then_some(now));
    }
}

/// All sessions of a person are revoked at once, except one, and nobody else's.
pub async fn all_sessions_end_but_one(subject: &Subject) {
    let (ada, eve) = (subject.person("ada@example.org").await, subject.person("eve@example.org").await);
    let now = subject.now();
    let sessions = [ada.id, ada.id, ada.id, eve.id].map(|user| subject.session(user));
    let [first, second, third, others] = sessions.each_ref().map(|session| session.id);
    let mut tx = subject.directory().await;
    for (n, session) in sessions.iter().enumerate() {
        tx.sessions().insert(session, &subject.digest(&n.to_string())).await.expect("a session is added");
    }
    assert!(tx.sessions().revoke(ada.id, first, now).await.expect("it is revoked"));
    let revoked = tx.sessions().revoke_all(ada.id, Some(second), now).await.expect("they are revoked");
    assert_eq!(revoked, [third], "those that were live");
    let live = tx.sessions().list_live(ada.id, now).await.expect("they are listed");
    assert_eq!(live.iter().map(|session| session.id).collect::<Vec<_>>(), [second]);
    assert_eq!(tx.sessions().revoke_all(ada.id, None, now).await.expect("they are revoked"), [second]);
    assert!(tx.sessions().find_live(others, now).await.expect("it is read").is_some());
}

/// MUST give each link to one use, and void all links of the person for the same purpose with it; those for other
/// purposes and of other people stay.
pub async fn a_link_is_used_once_and_voids_the_others(subject: &Subject) {
    let (ada, eve) = (subject.person("ada@example.org").await, subject.person("eve@example.org").await);
    let (verify, reset) = (LinkPurpose::VerifyEmail, LinkPurpose::ResetPassword);
    let [older, newer, other, foreign] = ["older", "newer", "other", "foreign"].map(|text| subject.digest(text));
    let links = [(&ada, reset, older), (&ada, reset, newer), (&ada, verify, other), (&eve, reset, foreign)];
    let mut tx = subject.directory().await;
    for (person, purpose, token) in links {
        tx.links().insert(&subject.link(person, purpose), &token).await.expect("a link is added");
    }
    tx.commit().await.expect("it commits");

    let mut tx = subject.directory().await;
    let found = tx.links().find(&older, reset).await.expect("it is read").expect("there is one");
    assert_eq!((found.user, found.purpose, &found.address), (ada.id, reset, &ada.email));
    assert_eq!(tx.links().find(&older, verify).await.expect("it is read"), None, "it is for another purpose");
    assert_eq!(tx.links().take(&older, verify).await.expect("an answer"), None);
    assert_eq!(tx.links().take(&subject.digest("never"), reset).await.expect("an answer"), None);
    drop(tx);

    let using: Vec<_> = [older, newer, older, newer]
        .into_iter()
        .map(|token| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut tx = subject.directory().await;
                let taken = tx.links().take(&token, LinkPurpose::ResetPassword).await.expect("an answer");
                tx.commit().await.expect("it commits");
                usize::from(taken.is_some())
            })
        })
        .collect();
    let mut taken = 0;
    for task in using {
        taken += task.await.expect("no one fails");
    }
    assert_eq!(taken, 1);
    let mut tx = subject.directory().await;
    assert!(tx.links().find(&other, verify).await.expect("it is read").is_some());
    assert!(tx.links().find(&foreign, reset).await.expect("it is read").is_some());
    assert_eq!(tx.links().voided_at(ada.id).await.expect("it is read"), None);
    let at = subject.now();
    tx.links().void(ada.id, &LinkPurpose::ALL, at).await.expect("they are void");
    assert_eq!(tx.links().voided_at(ada.id).await.expect("it is read"), Some(at));
    assert_eq!(tx.links().voided_at(eve.id).await.expect("it is read"), None);
    assert_eq!(tx.links().find(&other, verify).await.expect("it is read"), None);
    assert!(tx.links().find(&foreign, reset).await.expect("it is read").is_some());
    tx.links().prune(subject.now() + TimeDelta::hours(2)).await.expect("old ones are removed");
    assert_eq!(tx.links().find(&foreign, reset).await.expect("it is read"), None);
}

/// Of many links for one purpose, the five newest are kept.
pub async fn few_links_are_kept(subject: &Subject) {
    let ada = subject.person("ada@example.org").await;
    let mut tx = subject.directory().await;
    for n in 0..7 {
        let link = subject.link(&ada, LinkPurpose::VerifyEmail);
        tx.links().insert(&link, &subject.digest(&n.to_string())).await.expect("a link is added");
    }
    let mut kept = Vec::new();
    for n in 0..7 {
        let found = tx.links().find(&subject.digest(&n.to_string()), LinkPurpose::VerifyEmail).await;
        kept.push(found.expect("it is read").is_some());
    }
    assert_eq!(kept, [false, false, true, true, true, true, true]);
}

/// A factor counts from its confirmation on, and only its person can confirm or remove it.
pub async fn a_factor_is_confirmed_and_removed_by_its_person(subject: &Subject) {
    let (ada, eve) = (subject.person("ada@example.org").await, subject.person("eve@example.org").await);
    let (abandoned, factor) = (subject.factor(&ada), subject.factor(&ada));
    let now = subject.now();
    let mut tx = subject.directory().await;
    tx.factors().insert(&abandoned).await.expect("a factor is added");
    tx.factors().insert(&factor).await.expect("a factor is added");
    assert_eq!(tx.factors().list(ada.id).await.expect("they are listed"), std::slice::from_ref(&factor));
    assert!(!tx.factors().confirm(eve.id, factor.id, now).await.expect("an answer"));
    assert!(tx.factors().confirm(ada.id, factor.id, now).await.expect("an answer"));
    assert!(!tx.factors().confirm(ada.id, factor.id, now).await.expect("an answer"), "it is confirmed already");
    tx.factors().insert(&abandoned).await.expect("a factor is added");
    let listed = tx.factors().list(ada.id).await.expect("they are listed");
    assert_eq!(listed.iter().filter(|listed| listed.confirmed_at == Some(now)).count(), 1);
    assert_eq!(listed.len(), 2, "a confirmed one stays when another is added");
    assert!(!tx.factors().remove(eve.id, factor.id).await.expect("an answer"));
    assert!(tx.factors().remove(ada.id, factor.id).await.expect("an answer"));
    assert!(!tx.factors().remove(ada.id, factor.id).await.expect("an answer"));
}

/// MUST give the code of a time step to one of many concurrent uses, and never an earlier step afterwards.
pub async fn a_time_step_counts_once(subject: &Subject) {
    let ada = subject.person("ada@example.org").await;
    let factor = subject.factor(&ada);
    let mut tx = subject.directory().await;
    tx.factors().insert(&factor).await.expect("a factor is added");
    tx.commit().await.expect("it commits");
    for (step, expected) in [(7, 1), (7, 0), (6, 0), (8, 1)] {
        let using: Vec<_> = (0..4)
            .map(|_| {
                let (subject, id) = (subject.clone(), factor.id);
                tokio::spawn(async move {
                    let mut tx = subject.directory().await;
                    let used = tx.factors().use_step(id, step, subject.now()).await.expect("an answer");
                    tx.commit().await.expect("it commits");
                    usize::from(used)
                })
            })
            .collect();
        let mut used = 0;
        for task in using {
            used += task.await.expect("no one fails");
        }
        assert_eq!(used, expected, "step {step}");
    }
}

/// A recovery code counts once, also concurrently, for its person alone; a new set replaces the old one.
pub async fn a_recovery_code_counts_once(subject: &Subject) {
    let (ada, eve) = (subject.person("ada@example.org").await, subject.person("eve@example.org").await);
    let codes = ["one", "two"].map(|text| subject.digest(text));
    let mut tx = subject.directory().await;
    tx.factors().set_recovery_codes(ada.id, &codes).await.expect("they are added");
    assert!(!tx.factors().use_recovery_code(eve.id, &codes[0]).await.expect("an answer"));
    tx.commit().await.expect("it commits");
    let using: Vec<_> = (0..4)
        .map(|_| {
            let (subject, user, code) = (subject.clone(), ada.id, codes[0]);
            tokio::spawn(async move {
                let mut tx = subject.directory().await;
                let used = tx.factors().use_recovery_code(user, &code).await.expect("an answer");
                tx.commit().await.expect("it commits");
                usize::from(used)
            })
        })
        .collect();
    let mut used = 0;
    for task in using {
        used += task.await.expect("no one fails");
    }
    assert_eq!(used, 1);
    let mut tx = subject.directory().await;
    assert_eq!(tx.factors().recovery_codes(ada.id).await.expect("they are counted"), 1);
    tx.factors().set_recovery_codes(ada.id, &[subject.digest("three")]).await.expect("they are replaced");
    assert!(!tx.factors().use_recovery_code(ada.id, &codes[1]).await.expect("an answer"));
    assert_eq!(tx.factors().recovery_codes(ada.id).await.expect("they are counted"), 1);
}

/// A challenge is locked while somebody answers it, counts its attempts, and ends with the others of its person.
pub async fn a_challenge_is_answered_by_one(subject: &Subject) {
    let (ada, eve) = (subject.person("ada@example.org").await, subject.person("eve@example.org").await);
    let challenge = |user| Challenge { user, remember: true, attempts: 0, expires_at: subject.now() + Challenge::LIFE };
    let [first, second, others] = ["first", "second", "others"].map(|text| subject.digest(text));
    let mut tx = subject.directory().await;
    for (user, token) in [(ada.id, first), (ada.id, second), (eve.id, others)] {
        tx.factors().add_challenge(&challenge(user), &token).await.expect("a challenge is added");
    }
    tx.commit().await.expect("it commits");

    let mut tx = subject.directory().await;
    assert_eq!(tx.factors().challenged(&first).await.expect("it is read"), Some(ada.id));
    assert_eq!(tx.factors().challenged(&subject.digest("never")).await.expect("it is read"), None);
    let locked = tx.factors().lock_challenge(&first).await.expect("it is read").expect("there is one");
    assert_eq!((locked.user, locked.remember, locked.attempts), (ada.id, true, 0));
    tx.factors().count_attempt(&first).await.expect("it is counted");
    let waiting = {
        let (subject, token) = (subject.clone(), first);
        tokio::spawn(async move {
            let mut tx = subject.directory().await;
            tx.factors().lock_challenge(&token).await.expect("it is read")
        })
    };
    tx.commit().await.expect("it commits");
    let seen = waiting.await.expect("an answer").expect("it is there");
    assert_eq!(seen.attempts, 1, "who waits sees what was counted");

    let mut tx = subject.directory().await;
    tx.factors().remove_challenge(&first).await.expect("it is removed");
    assert_eq!(tx.factors().lock_challenge(&first).await.expect("it is read"), None);
    tx.factors().remove_challenges(ada.id).await.expect("they are removed");
    assert_eq!(tx.factors().lock_challenge(&second).await.expect("it is read"), None);
    assert!(tx.factors().lock_challenge(&others).await.expect("it is read").is_some());
}

/// How and when the person of a session has proven who they are reads back.
pub async fn a_session_says_how_its_person_was_authenticated(subject: &Subject) {
    let ada = subject.person("ada@example.org").await;
    let (session, later) = (subject.session(ada.id), subject.now() + TimeDelta::minutes(1));
    let mut tx = subject.directory().await;
    tx.sessions().insert(&session, &subject.digest("token")).await.expect("a session is added");
    let methods = [AuthMethod::Password, AuthMethod::RecoveryCode];
    for method in [AuthMethod::Password, AuthMethod::RecoveryCode, AuthMethod::RecoveryCode] {
        tx.sessions().authenticated(session.id, method, later).await.expect("it is written");
    }
    let live = tx.sessions().find_live(session.id, later).await.expect("it is read").expect("it is live");
    assert_eq!(live.session, Session { methods: methods.to_vec(), authenticated_at: later, ..session });
}

/// The log of an account has any text, where a request came from, and failed log-ins; the newest first.
pub async fn the_log_of_an_account_is_listed(subject: &Subject) {
    let (ada, eve) = (subject.person("ada@example.org").await, subject.person("eve@example.org").await);
    let client = Client { address: "2001:db8::1".parse().ok(), user_agent: Some("a browser".to_owned()) };
    let origin = Origin { request_id: request_id(), client };
    let details = json!({ "text": "a\0b" });
    let mut tx = subject.directory().await;
    for person in [&ada, &eve] {
        let event = AccountEvent { user: person.id, action: "account.registered", details: details.clone() };
        tx.account_log().record(event, &origin).await.expect("it is recorded");
    }
    let failed = |origin: Origin| FailedLogIn { user: ada.id, at: subject.now(), origin };
    let failures = [failed(origin.clone()), failed(request_id().into())];
    tx.account_log().record_failures(&failures).await.expect("they are recorded");
    tx.commit().await.expect("it commits");

    let mut tx = subject.directory().await;
    let listed = tx.account_log().list(ada.id, None, 10).await.expect("it is listed");
    let brief = |record: &AccountRecord| (record.action.clone(), record.origin.clone());
    let refused = "session.refused".to_owned();
    let expected =
        [(refused.clone(), request_id().into()), (refused, origin.clone()), ("account.registered".to_owned(), origin)];
    assert_eq!(listed.iter().map(brief).collect::<Vec<_>>(), expected);
    assert_eq!(listed[2].details, details);
    let next = tx.account_log().list(ada.id, Some(listed[0].id), 1).await.expect("it is listed");
    assert_eq!(next, listed[1..2]);
}
