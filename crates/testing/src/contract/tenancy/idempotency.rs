//! Keys of requests, with another tenant and another actor.

use chrono::TimeDelta;
use tidegate_kernel::{
    Actor, Claim, Fingerprint, IdempotencyKey, IdempotencyTx, KeptAnswer, PermissionSet, Terms, UserId, WorkspaceId,
};

use super::Subject;
use crate::scope::scope_with;

const KEY: IdempotencyKey = IdempotencyKey([1; 32]);
const REQUEST: Fingerprint = Fingerprint([2; 32]);

async fn begin(subject: &Subject, workspace: WorkspaceId, user: UserId) -> Box<dyn IdempotencyTx> {
    let scope = scope_with(workspace, Actor::Person(user), PermissionSet::EMPTY);
    subject.idempotency.begin(&scope).await.expect("a transaction begins")
}

async fn claim(subject: &Subject, workspace: WorkspaceId, user: UserId, request: Fingerprint, terms: Terms) -> Claim {
    let mut tx = begin(subject, workspace, user).await;
    let claim = tx.idempotency().claim(&KEY, &request, terms).await.expect("an answer");
    tx.commit().await.expect("it commits");
    claim
}

fn terms(subject: &Subject, after: TimeDelta) -> Terms {
    let now = subject.now() + after;
    Terms { now, claimed_until: now + TimeDelta::minutes(2), kept_until: now + TimeDelta::hours(24) }
}

/// MUST answer `Ours` to exactly one of many at once, and keep keys of other actors and tenants apart.
pub async fn one_of_many_claims_a_key(subject: &Subject) {
    let (ada, bob) = (UserId::generate(&subject.env), UserId::generate(&subject.env));
    let (ours, theirs) = (subject.workspace("ours", ada).await.id, subject.workspace("theirs", ada).await.id);
    let terms = terms(subject, TimeDelta::zero());
    let claiming: Vec<_> = (0..4)
        .map(|_| {
            let subject = subject.clone();
            tokio::spawn(async move { claim(&subject, ours, ada, REQUEST, terms).await })
        })
        .collect();
    let mut won = 0;
    for task in claiming {
        match task.await.expect("no one fails") {
            Claim::Ours(until) => won += usize::from(until == terms.claimed_until),
            other => assert_eq!(other, Claim::InFlight),
        }
    }
    assert_eq!(won, 1);
    for (workspace, user) in [(theirs, ada), (ours, bob)] {
        let claimed = claim(subject, workspace, user, REQUEST, terms).await;
        assert_eq!(claimed, Claim::Ours(terms.claimed_until), "another key");
    }
}

/// An answer is given again until the key is forgotten; another request with the key is told so; a claim that was
/// released or has run out is free, and whoever held it then keeps nothing.
pub async fn an_answer_is_kept(subject: &Subject) {
    let ada = UserId::generate(&subject.env);
    let ours = subject.workspace("ours", ada).await.id;
    let at = |minutes| terms(subject, TimeDelta::minutes(minutes));
    let ask = async |request: Fingerprint, terms: Terms| claim(subject, ours, ada, request, terms).await;

    let first = at(0);
    assert_eq!(ask(REQUEST, first).await, Claim::Ours(first.claimed_until));
    assert_eq!(ask(Fingerprint([3; 32]), at(1)).await, Claim::OtherRequest);
    let mut tx = begin(subject, ours, ada).await;
    tx.idempotency().release(&KEY, first.claimed_until).await.expect("it is released");
    tx.commit().await.expect("it commits");

    let second = at(1);
    assert_eq!(ask(REQUEST, second).await, Claim::Ours(second.claimed_until), "it was released");
    assert_eq!(ask(REQUEST, at(2)).await, Claim::InFlight);
    let third = at(4);
    assert_eq!(ask(REQUEST, third).await, Claim::Ours(third.claimed_until), "the claim had run out");

    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    let answer = |body: &[u8]| KeptAnswer { status: 201, headers: headers.clone(), body: body.to_vec() };
    let mut tx = begin(subject, ours, ada).await;
    tx.idempotency().release(&KEY, second.claimed_until).await.expect("nothing is released");
    tx.idempotency().finish(&KEY, second.claimed_until, &answer(b"late")).await.expect("nothing is kept");
    tx.idempotency().finish(&KEY, third.claimed_until, &answer(b"a\0b")).await.expect("it is kept");
    tx.commit().await.expect("it commits");
    assert_eq!(ask(REQUEST, at(5)).await, Claim::Done(answer(b"a\0b")));
    assert_eq!(ask(Fingerprint([3; 32]), at(5)).await, Claim::OtherRequest);
    let tomorrow = at(24 * 60 + 4);
    assert_eq!(ask(Fingerprint([3; 32]), tomorrow).await, Claim::Ours(tomorrow.claimed_until), "it was forgotten");
}
