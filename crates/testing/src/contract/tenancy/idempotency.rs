//! Idempotency keys: of an actor in a workspace, and of a person outside of workspaces, with others who use the same
//! key.

use chrono::TimeDelta;
use tidegate_kernel::{Actor, PermissionSet, UserId, WorkspaceId};
use tidegate_use_cases::{Claim, Fingerprint, IdempotencyKey, IdempotencyTx, KeptAnswer, Terms};

use super::Subject;
use crate::scope::{person_scope, scope_with};

const KEY: IdempotencyKey = IdempotencyKey([1; 32]);
const REQUEST: Fingerprint = Fingerprint([2; 32]);

/// The person who makes a request, and the workspace, if there is one.
#[derive(Clone, Copy)]
struct Caller(UserId, Option<WorkspaceId>);

async fn begin(subject: &Subject, Caller(user, workspace): Caller) -> Box<dyn IdempotencyTx> {
    let tx = match workspace {
        Some(workspace) => {
            subject.idempotency.begin(&scope_with(workspace, Actor::Person(user), PermissionSet::EMPTY)).await
        }
        None => subject.own_idempotency.begin(&person_scope(user)).await,
    };
    tx.expect("a transaction begins")
}

async fn claim(subject: &Subject, caller: Caller, request: Fingerprint, terms: Terms) -> Claim {
    let mut tx = begin(subject, caller).await;
    let claim = tx.idempotency().claim(&KEY, &request, terms).await.expect("an answer");
    tx.commit().await.expect("it commits");
    claim
}

fn terms(subject: &Subject, after: TimeDelta) -> Terms {
    let now = subject.now() + after;
    Terms { now, claimed_until: now + TimeDelta::minutes(2), kept_until: now + TimeDelta::hours(24) }
}

fn answer(body: &[u8]) -> KeptAnswer {
    let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
    KeptAnswer { status: 201, headers, body: body.to_vec() }
}

/// MUST return `Ours` to exactly one of many concurrent claims, and keep the keys of other actors and tenants apart.
pub async fn one_of_many_claims_a_key(subject: &Subject) {
    let (ada, bob) = (subject.person("ada@example.org").await.id, subject.person("bob@example.org").await.id);
    let (ours, theirs) = (subject.workspace("ours", ada).await.id, subject.workspace("theirs", ada).await.id);
    let terms = terms(subject, TimeDelta::zero());
    for caller in [Caller(ada, Some(ours)), Caller(ada, None)] {
        let claiming: Vec<_> = (0..4)
            .map(|_| {
                let subject = subject.clone();
                tokio::spawn(async move { claim(&subject, caller, REQUEST, terms).await })
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
    }
    for caller in [Caller(ada, Some(theirs)), Caller(bob, Some(ours)), Caller(bob, None)] {
        assert_eq!(claim(subject, caller, REQUEST, terms).await, Claim::Ours(terms.claimed_until), "another key");
    }
}

/// Only the caller who made a claim can release or answer it.
pub async fn a_claim_is_answered_by_its_caller_alone(subject: &Subject) {
    let (ada, bob) = (subject.person("ada@example.org").await.id, subject.person("bob@example.org").await.id);
    let (ours, theirs) = (subject.workspace("ours", ada).await.id, subject.workspace("theirs", ada).await.id);
    let terms = terms(subject, TimeDelta::zero());
    let callers = [Caller(ada, Some(ours)), Caller(ada, None)];
    for caller in callers {
        assert_eq!(claim(subject, caller, REQUEST, terms).await, Claim::Ours(terms.claimed_until));
    }
    for other in [Caller(ada, Some(theirs)), Caller(bob, Some(ours)), Caller(bob, None)] {
        let mut tx = begin(subject, other).await;
        tx.idempotency().finish(&KEY, terms.claimed_until, &answer(b"forged")).await.expect("nothing is kept");
        tx.idempotency().release(&KEY, terms.claimed_until).await.expect("nothing is released");
        tx.commit().await.expect("it commits");
    }
    for caller in callers {
        assert_eq!(claim(subject, caller, REQUEST, terms).await, Claim::InFlight);
    }
}

/// A response is replayed until the key expires. Another request with the same key is refused. A claim that was
/// released or has expired is free, and its former holder can no longer store a response.
pub async fn an_answer_is_kept(subject: &Subject) {
    let ada = subject.person("ada@example.org").await.id;
    let ours = subject.workspace("ours", ada).await.id;
    for caller in [Caller(ada, Some(ours)), Caller(ada, None)] {
        let at = |minutes| terms(subject, TimeDelta::minutes(minutes));
        let ask = async |request: Fingerprint, terms: Terms| claim(subject, caller, request, terms).await;

        let first = at(0);
        assert_eq!(ask(REQUEST, first).await, Claim::Ours(first.claimed_until));
        assert_eq!(ask(Fingerprint([3; 32]), at(1)).await, Claim::OtherRequest);
        let mut tx = begin(subject, caller).await;
        tx.idempotency().release(&KEY, first.claimed_until).await.expect("it is released");
        tx.commit().await.expect("it commits");

        let second = at(1);
        assert_eq!(ask(REQUEST, second).await, Claim::Ours(second.claimed_until), "it was released");
        assert_eq!(ask(REQUEST, at(2)).await, Claim::InFlight);
        let third = at(4);
        assert_eq!(ask(REQUEST, third).await, Claim::Ours(third.claimed_until), "the claim had run out");

        let mut tx = begin(subject, caller).await;
        tx.idempotency().release(&KEY, second.claimed_until).await.expect("nothing is released");
        tx.idempotency().finish(&KEY, second.claimed_until, &answer(b"late")).await.expect("nothing is kept");
        tx.idempotency().finish(&KEY, third.claimed_until, &answer(b"a\0b")).await.expect("it is kept");
        tx.commit().await.expect("it commits");
        assert_eq!(ask(REQUEST, at(5)).await, Claim::Done(answer(b"a\0b")));
        assert_eq!(ask(Fingerprint([3; 32]), at(5)).await, Claim::OtherRequest);
        let tomorrow = at(24 * 60 + 4);
        assert_eq!(ask(Fingerprint([3; 32]), tomorrow).await, Claim::Ours(tomorrow.claimed_until), "it was forgotten");
    }
}
