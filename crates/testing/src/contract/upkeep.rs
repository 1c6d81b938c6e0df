//! Obligations of stores that remove expired records. The cases use times far in the past, so that they leave the
//! records of other cases alone.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tidegate_billing::payment::{EventSubject, PaymentEvent, PaymentEvents};
use tidegate_billing::{BillingTx, CallCount, CallLedger};
use tidegate_engine::upkeep::{Expired, Upkeep};
use tidegate_kernel::{
    Actor, Client, JobId, Meter, PermissionSet, RunId, Span, UnitOfWork, UserId, WorkflowId, WorkspaceId,
};
use tidegate_tenancy::{
    AccountEvent, Digest, Directory, DirectoryTx, Email, Mail, MailOutbox, Name, PasswordHash, Person, Registered,
    Session, TokenState,
};
use tidegate_use_cases::{Claim, Fingerprint, IdempotencyKey, IdempotencyTx, Terms};
use tidegate_workflows::run::ports::RunsTx;

use super::stage::subject;
use crate::scope::{request_id, scope_with, system_scope, workspace_scope};

subject! {
    about {
        /// The port.
        upkeep: dyn Upkeep = store,
    }
    beside {
        /// Login sessions and account events.
        directory: Directory = store,
        /// Counts API calls.
        ledger: dyn CallLedger = store,
        /// Usage.
        billing: dyn UnitOfWork<dyn BillingTx> = store,
        /// Deduplication keys of runs.
        runs: dyn UnitOfWork<dyn RunsTx> = store,
        /// Stored mails.
        outbox: dyn MailOutbox = store,
        /// Notifications of payment providers.
        events: dyn PaymentEvents = store,
        /// Idempotency keys.
        idempotency: dyn UnitOfWork<dyn IdempotencyTx> = store,
    }
}

impl Subject {
    async fn remove(&self, what: Expired, before: DateTime<Utc>, limit: u32) -> u64 {
        self.upkeep.remove_expired(&system_scope(), what, before, limit).await.expect("what is old is removed")
    }

    async fn begin_directory(&self) -> Box<dyn DirectoryTx> {
        self.directory.begin(&system_scope()).await.expect("a transaction begins")
    }

    fn years_ago(&self, years: i64) -> DateTime<Utc> {
        self.midnight - TimeDelta::days(365 * years)
    }

    async fn used(&self, workspace: WorkspaceId, day: DateTime<Utc>) -> i64 {
        let mut tx = self.billing.begin(&workspace_scope(workspace)).await.expect("a transaction begins");
        tx.usage().used(&[(Meter::ApiCalls, Span::Day.period(day))]).await.expect("usage is read")[0]
    }
}

/// A session is removed with its refresh tokens when it has been revoked or expired for long enough, whichever came
/// first.
pub async fn ended_sessions_are_removed(subject: &Subject) {
    let old = subject.years_ago(10);
    let own = |text: &str| format!("{}-{text}", subject.ours.as_uuid().simple());
    let (email, name) = (Email::new(&own("ada@example.org")), Name::new("Ada"));
    let person = Person::register(&subject.env, email.expect("an address"), name.expect("a name"), old);
    let session = |expires_at, revoked_at| Session {
        expires_at,
        revoked_at,
        ..Session::begin(&subject.env, person.id, old, false, Client::default())
    };
    let later = old + TimeDelta::days(90);
    let sessions = [("expired", session(old, None)), ("revoked", session(later, None)), ("live", session(later, None))];
    let mut tx = subject.begin_directory().await;
    let hash = PasswordHash::new("first".to_owned());
    assert_eq!(tx.people().insert(&person, &hash).await.expect("a person is added"), Registered::New);
    for (name, session) in &sessions {
        tx.sessions().insert(session, &Digest::of(&own(name))).await.expect("a session is added");
    }
    assert!(tx.sessions().revoke(person.id, sessions[1].1.id, old).await.expect("it is revoked"));
    tx.commit().await.expect("it commits");
    let before = old + TimeDelta::days(30);
    assert_eq!(subject.remove(Expired::Sessions, before, 1).await, 1, "no more than was asked for");
    assert_eq!(subject.remove(Expired::Sessions, before, 10).await, 1);
    assert_eq!(subject.remove(Expired::Sessions, before, 10).await, 0);
    let mut tx = subject.begin_directory().await;
    for (name, is_known) in [("expired", false), ("revoked", false), ("live", true)] {
        let state = tx.sessions().use_token(&Digest::of(&own(name)), old).await.expect("a token is used");
        assert_eq!(matches!(state, Some(TokenState::Current(_))), is_known, "{name}");
    }
}

/// Account events are removed by age.
pub async fn old_account_events_are_removed(subject: &Subject) {
    for years in [12, 11] {
        subject.clock.set(subject.years_ago(years));
        let mut tx = subject.begin_directory().await;
        let event = AccountEvent { user: UserId::generate(&subject.env), action: "test", details: json!({}) };
        tx.account_log().record(event, &request_id().into()).await.expect("it is recorded");
        tx.commit().await.expect("it commits");
    }
    let before = subject.years_ago(11) - TimeDelta::days(1);
    assert_eq!(subject.remove(Expired::AccountEvents, before, 10).await, 1);
    assert_eq!(subject.remove(Expired::AccountEvents, before, 10).await, 0);
    assert_eq!(subject.remove(Expired::AccountEvents, before + TimeDelta::days(2), 10).await, 1);
}

/// Usage is removed by its period, in all workspaces.
pub async fn old_usage_is_removed(subject: &Subject) {
    let (old, young) = (subject.years_ago(10), subject.years_ago(9));
    let (ours, theirs) = (subject.ours, subject.theirs);
    let counts =
        [(ours, old), (theirs, old), (ours, young)].map(|(workspace, day)| CallCount { workspace, day, calls: 3 });
    let recorder = subject.env.uuid_v7();
    assert!(subject.ledger.record(&system_scope(), recorder, 1, &counts).await.expect("the batch is written"));
    assert!(subject.remove(Expired::UsageRecords, young, 10).await >= 2);
    assert_eq!([subject.used(ours, old).await, subject.used(theirs, old).await], [0, 0]);
    assert_eq!(subject.used(ours, young).await, 3);
}

/// Deduplication keys are removed by age, in all workspaces.
pub async fn old_dedupe_keys_are_forgotten(subject: &Subject) {
    let workflow = WorkflowId::generate(&subject.env);
    let now = subject.env.now();
    let claim = async |workspace, key: &str, at| {
        let mut tx = subject.runs.begin(&workspace_scope(workspace)).await.expect("a transaction begins");
        let run = RunId::generate(&subject.env);
        let claim = tx.runs().claim_key(workflow, key, run, [0; 32], at, DateTime::UNIX_EPOCH).await;
        tx.commit().await.expect("it commits");
        claim.expect("an answer").is_none()
    };
    let ages = [("old", now - TimeDelta::days(40)), ("young", now - TimeDelta::days(20))];
    for workspace in [subject.ours, subject.theirs] {
        for (key, at) in ages {
            assert!(claim(workspace, key, at).await);
        }
    }
    assert!(subject.remove(Expired::DedupeKeys, now - TimeDelta::days(32), 1_000).await >= 2);
    for workspace in [subject.ours, subject.theirs] {
        assert_eq!((claim(workspace, "old", now).await, claim(workspace, "young", now).await), (true, false));
    }
}

/// Stored mails are removed by age.
pub async fn kept_mails_are_removed(subject: &Subject) {
    let mail = Mail {
        to: Email::new("ada@example.org").expect("an address"),
        name: "Ada".to_owned(),
        subject: "s".to_owned(),
        text: "t".to_owned(),
        html: "h".to_owned(),
    };
    for years in [12, 11] {
        subject.clock.set(subject.years_ago(years));
        let id = JobId::generate(&subject.env);
        subject.outbox.keep(&system_scope(), id, &mail).await.expect("a mail is kept");
    }
    let before = subject.years_ago(11) - TimeDelta::days(1);
    assert_eq!(subject.remove(Expired::KeptMails, before, 10).await, 1);
    assert_eq!(subject.remove(Expired::KeptMails, before, 10).await, 0);
    assert_eq!(subject.remove(Expired::KeptMails, before + TimeDelta::days(2), 10).await, 1);
}

/// Stored responses are removed when they expire, in all workspaces.
pub async fn answers_are_removed_when_their_time_is_over(subject: &Subject) {
    let (key, request) = (IdempotencyKey([3; 32]), Fingerprint([4; 32]));
    let user = UserId::generate(&subject.env);
    let claim = async |workspace, now| {
        let scope = scope_with(workspace, Actor::Person(user), PermissionSet::EMPTY);
        let mut tx = subject.idempotency.begin(&scope).await.expect("a transaction begins");
        let terms = Terms { now, claimed_until: now + TimeDelta::minutes(2), kept_until: now + TimeDelta::days(1) };
        let claim = tx.idempotency().claim(&key, &request, terms).await.expect("an answer");
        tx.commit().await.expect("it commits");
        claim
    };
    let old = subject.years_ago(10);
    claim(subject.ours, old).await;
    claim(subject.theirs, old + TimeDelta::days(30)).await;
    assert!(subject.remove(Expired::IdempotencyKeys, old + TimeDelta::days(2), 1_000).await >= 1);
    assert!(matches!(claim(subject.ours, old).await, Claim::Ours(_)), "it is unknown again");
    assert_eq!(claim(subject.theirs, old + TimeDelta::days(30)).await, Claim::InFlight);
}

/// Partitions are created ahead of time, each once.
pub async fn partitions_are_there_ahead(subject: &Subject) {
    subject.upkeep.ensure_partitions(&system_scope()).await.expect("partitions are made");
    assert_eq!(subject.upkeep.ensure_partitions(&system_scope()).await.expect("partitions are made"), 0);
}

/// MUST forget only old notifications. One that is forgotten can be received again.
pub async fn old_notifications_are_forgotten(subject: &Subject) {
    let event = |name: &str| PaymentEvent {
        provider: "upkeep".to_owned(),
        id: format!("{name} {}", subject.ours),
        subject: EventSubject::Payment("none".to_owned()),
    };
    let receive = async |name: &str, years: i64| {
        let at = subject.years_ago(years);
        subject.events.receive(&system_scope(), &event(name), at).await.expect("an answer")
    };
    assert!(receive("old", 30).await && receive("new", 28).await);
    assert!(!receive("old", 30).await);
    assert_eq!(subject.remove(Expired::PaymentEvents, subject.years_ago(29), 10).await, 1);
    assert_eq!(subject.remove(Expired::PaymentEvents, subject.years_ago(29), 10).await, 0);
    assert!(receive("old", 30).await && !receive("new", 28).await);
    assert_eq!(subject.remove(Expired::PaymentEvents, subject.years_ago(27), 1).await, 1);
    assert_eq!(subject.remove(Expired::PaymentEvents, subject.years_ago(27), 9).await, 1);
}
