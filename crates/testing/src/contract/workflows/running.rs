//! Runs as their workspace sees them. Their execution is in the suite of the engine's store.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use tidegate_kernel::{PageSize, RunId, WorkflowId, WorkspaceScope};
use tidegate_workflows::model::Expected;
use tidegate_workflows::run::ports::{KeyedRun, RunsTx};
use tidegate_workflows::run::{NewRun, QuarantineAction, Run, RunFilter, RunStatus};

use super::{Subject, document};
use crate::contract::engine_store::new_run;

impl Subject {
    async fn begin(&self, scope: &WorkspaceScope) -> Box<dyn RunsTx> {
        self.runs.begin(scope).await.expect("a transaction begins")
    }

    async fn add_run(&self, scope: &WorkspaceScope, workflow: WorkflowId) -> RunId {
        let run = new_run(&self.env, workflow);
        let mut tx = self.begin(scope).await;
        tx.runs().add(&run).await.expect("a run is added");
        tx.commit().await.expect("it commits");
        run.id
    }

    /// Claims `key` in a transaction of its own, at the present time, if it was not claimed within `age`.
    async fn claim(&self, scope: &WorkspaceScope, workflow: WorkflowId, key: &str, age: TimeDelta) -> Option<KeyedRun> {
        let (now, run) = (self.env.now(), RunId::generate(&self.env));
        let mut tx = self.begin(scope).await;
        let claim = tx.runs().claim_key(workflow, key, run, [1; 32], now, now - age).await;
        tx.commit().await.expect("it commits");
        claim.expect("an answer")
    }
}

/// A run reads back as it was added: pending, without an end. An unknown run is `None`, and has no transitions.
pub async fn a_run_reads_back_as_it_was_added(subject: &Subject) {
    let scope = subject.scope();
    let added = NewRun {
        version: 3,
        trigger: json!({"kind": "event", "event": {"text": "a\0b"}}),
        input: json!({"text": "ü\u{1F980}\0", "n": 1.5}),
        dedupe_key: Some("a ' \" %".to_owned()),
        created_at: subject.env.now().trunc_subsecs(6),
        ..new_run(&subject.env, WorkflowId::generate(&subject.env))
    };
    let mut tx = subject.begin(&scope).await;
    tx.runs().add(&added).await.expect("a run is added");
    tx.commit().await.expect("it commits");
    let expected = Run {
        id: added.id,
        workflow: added.workflow,
        version: added.version,
        status: RunStatus::Pending,
        trigger: added.trigger,
        input: added.input,
        outputs: Value::Null,
        error: None,
        created_at: added.created_at,
        started_at: None,
        finished_at: None,
        dedupe_key: added.dedupe_key,
    };
    let mut tx = subject.begin(&scope).await;
    assert_eq!(tx.runs().find(added.id).await.expect("it is read"), Some(expected));
    assert_eq!(tx.runs().transitions(added.id).await.expect("they are read"), []);
    let nobody = RunId::generate(&subject.env);
    assert_eq!(tx.runs().find(nobody).await.expect("an answer"), None);
    assert_eq!(tx.runs().transitions(nobody).await.expect("an answer"), []);
}

/// MUST give a deduplication key to one of many concurrent runs, and return that run to the others.
pub async fn a_dedupe_key_belongs_to_one_run(subject: &Subject) {
    let workflow = WorkflowId::generate(&subject.env);
    let claiming: Vec<_> = (0..4_u8)
        .map(|n| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let (now, run) = (subject.env.now(), RunId::generate(&subject.env));
                let mut tx = subject.begin(&subject.scope()).await;
                let since = now - TimeDelta::days(1);
                let claim = tx.runs().claim_key(workflow, "key", run, [n; 32], now, since).await.expect("an answer");
                tx.commit().await.expect("it commits");
                (KeyedRun { run, input: [n; 32] }, claim)
            })
        })
        .collect();
    let (mut winners, mut told) = (Vec::new(), Vec::new());
    for task in claiming {
        match task.await.expect("no one fails") {
            (winner, None) => winners.push(winner),
            (_, Some(known)) => told.push(known),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert!(told.iter().all(|known| *known == winners[0]), "{told:?} are not told of {winners:?}");
    let found = async |workspace: &WorkspaceScope, key: &str, since| {
        subject.begin(workspace).await.runs().find_key(workflow, key, since).await.expect("an answer")
    };
    let (scope, long_ago) = (subject.scope(), DateTime::UNIX_EPOCH);
    assert_eq!(found(&scope, "key", long_ago).await, Some(winners[0]));
    assert_eq!(found(&scope, "key", subject.env.now() + TimeDelta::days(1)).await, None, "it was claimed before");
    assert_eq!(found(&scope, "another", long_ago).await, None);
    assert_eq!(found(&subject.foreign(), "key", long_ago).await, None);
}

/// A key that was not committed is free; so is a key of another workflow, and an expired one.
pub async fn a_dedupe_key_is_free_again(subject: &Subject) {
    let scope = subject.scope();
    let (workflow, other) = (WorkflowId::generate(&subject.env), WorkflowId::generate(&subject.env));
    let (now, run) = (subject.env.now(), RunId::generate(&subject.env));
    let mut lost = subject.begin(&scope).await;
    let claim = lost.runs().claim_key(workflow, "key", run, [1; 32], now, now).await.expect("an answer");
    assert_eq!(claim, None);
    drop(lost);
    let day = TimeDelta::days(1);
    assert_eq!(subject.claim(&scope, workflow, "key", day).await, None, "it was rolled back");
    assert_eq!(subject.claim(&scope, other, "key", day).await, None, "of another workflow");
    assert_ne!(subject.claim(&scope, workflow, "key", day).await, None);
    let claim = async |now: DateTime<Utc>, since: DateTime<Utc>| {
        let mut tx = subject.begin(&scope).await;
        let claim = tx.runs().claim_key(workflow, "timed", RunId::generate(&subject.env), [1; 32], now, since).await;
        tx.commit().await.expect("it commits");
        claim.expect("an answer").is_none()
    };
    let (then, later) = (now.trunc_subsecs(3), now.trunc_subsecs(3) + TimeDelta::milliseconds(1));
    assert!(claim(then, then).await);
    assert!(!claim(later, then).await, "a run got it at that time");
    assert!(claim(later, later).await, "its time is over");
}

/// The pages together give the list, newest first, with what matches every filter.
pub async fn runs_are_listed_newest_first(subject: &Subject) {
    let scope = subject.scope();
    let (one, other) = (WorkflowId::generate(&subject.env), WorkflowId::generate(&subject.env));
    let began = subject.env.now();
    let mut ids = Vec::new();
    for workflow in [one, other, one, other, one] {
        subject.clock.advance(TimeDelta::minutes(1));
        ids.insert(0, subject.add_run(&scope, workflow).await);
    }
    let mut tx = subject.begin(&scope).await;
    let two = PageSize::new(2).expect("a page of two");
    let at = |seconds| Some(began + TimeDelta::seconds(seconds));
    let all = RunFilter::default();
    for (filter, expected) in [
        (all.clone(), vec![ids[0], ids[1], ids[2], ids[3], ids[4]]),
        (RunFilter { workflows: vec![one], ..all.clone() }, vec![ids[0], ids[2], ids[4]]),
        (RunFilter { workflows: vec![one, other], ..all.clone() }, ids.clone()),
        (RunFilter { statuses: vec![RunStatus::Completed, RunStatus::Pending], ..all.clone() }, ids.clone()),
        (RunFilter { statuses: vec![RunStatus::Completed], ..all.clone() }, vec![]),
        (RunFilter { from: at(150), ..all.clone() }, vec![ids[0], ids[1], ids[2]]),
        (RunFilter { to: at(150), ..all.clone() }, vec![ids[3], ids[4]]),
        (RunFilter { from: at(90), to: at(270), workflows: vec![other], ..all }, vec![ids[1], ids[3]]),
    ] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = tx.runs().list(&filter, after, two).await.expect("runs are listed");
            assert!(page.items.len() <= 2);
            listed.extend(page.items.iter().map(|run| run.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, expected, "{filter:?}");
    }
}

/// MUST NOT change a run when its cancellation is requested, alone or with all others.
pub async fn asking_for_an_end_changes_no_run(subject: &Subject) {
    let scope = subject.scope();
    let id = subject.add_run(&scope, WorkflowId::generate(&subject.env)).await;
    let before = subject.runs(&scope).await;
    let mut tx = subject.begin(&scope).await;
    tx.runs().request_cancel(id, subject.env.now()).await.expect("it is asked to end");
    tx.runs().request_cancel_all(subject.env.now()).await.expect("all are asked to end");
    tx.commit().await.expect("it commits");
    assert_eq!(subject.runs(&scope).await, before);
}

/// MUST refuse a request for a run that is not in quarantine, or does not exist. Requests for runs in quarantine are in
/// the suite of the engine's store.
pub async fn nothing_is_asked_of_a_run_outside_quarantine(subject: &Subject) {
    let (scope, foreign) = (subject.scope(), subject.foreign());
    let id = subject.add_run(&scope, WorkflowId::generate(&subject.env)).await;
    for (scope, id) in [(&scope, id), (&foreign, id), (&scope, RunId::generate(&subject.env))] {
        for action in [QuarantineAction::Release, QuarantineAction::End] {
            let mut tx = subject.begin(scope).await;
            let asked = tx.runs().request_in_quarantine(id, action, subject.env.now()).await.expect("an answer");
            assert!(!asked, "{action:?}");
            tx.commit().await.expect("it commits");
        }
    }
}

/// A run that is added for a published version is stored only while that version is published.
pub async fn only_runs_of_the_published_version_are_added(subject: &Subject) {
    let scope = subject.scope();
    let id = subject.create(&scope, "first", "").await.workflow.id;
    subject.publish(&scope, id).await;
    let draft = subject.service().draft(&scope, id, &Expected::Any, document("second", "")).await;
    draft.expect("a draft is added");
    subject.publish(&scope, id).await;
    let mut tx = subject.begin(&scope).await;
    let nothing = WorkflowId::generate(&subject.env);
    for (workflow, version, kept) in [(id, 1, false), (id, 3, false), (nothing, 2, false), (id, 2, true)] {
        let run = NewRun { version, ..new_run(&subject.env, workflow) };
        assert_eq!(tx.runs().add_if_published(&run).await.expect("an answer"), kept, "version {version}");
        assert_eq!(tx.runs().find(run.id).await.expect("an answer").is_some(), kept);
    }
}

/// Every method treats another tenant's runs, keys and compiled workflows as ones that do not exist.
pub async fn another_tenants_runs_do_not_exist(subject: &Subject) {
    let (scope, foreign) = (subject.scope(), subject.foreign());
    let day = TimeDelta::days(1);
    let workflow = subject.published(&foreign, "theirs", "").await;
    let id = subject.add_run(&foreign, workflow).await;
    assert_eq!(subject.claim(&foreign, workflow, "key", day).await, None);
    let known = subject.claim(&foreign, workflow, "key", day).await;

    let mut tx = subject.begin(&scope).await;
    assert_eq!(tx.runs().find(id).await.expect("an answer"), None);
    assert_eq!(tx.runs().transitions(id).await.expect("an answer"), []);
    assert_eq!(tx.workflows().find(workflow).await.expect("an answer"), None);
    assert!(tx.workflows().document(workflow, 1).await.expect("an answer").is_none());
    tx.runs().request_cancel(id, subject.env.now()).await.expect("nothing is asked");
    tx.commit().await.expect("it commits");
    assert_eq!(subject.runs(&scope).await, []);
    assert_eq!(subject.claim(&scope, workflow, "key", day).await, None, "ours is another key");

    assert_eq!(subject.claim(&foreign, workflow, "key", day).await, known);
    assert_eq!(subject.runs(&foreign).await.iter().map(|run| run.id).collect::<Vec<_>>(), [id]);
}
