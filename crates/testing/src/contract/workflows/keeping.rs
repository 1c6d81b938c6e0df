//! Workflows and versions.

use serde_json::json;
use tidegate_kernel::{PageSize, StoreError, WorkflowId};
use tidegate_workflows::error::{CreateError, DraftError, PublishError, ReadError, WithdrawError};
use tidegate_workflows::model::{Expected, Version, Workflow};
use tidegate_workflows::run::{CompiledWorkflows, StartError, StartRun};

use super::{Subject, document, event};

/// A stored workflow reads back unchanged.
pub async fn a_workflow_reads_back_with_its_document(subject: &Subject) {
    let scope = subject.scope();
    let created = subject.create(&scope, "first", "description: what for\noutputs: {a: \"\\0 in a text\"}").await;
    assert_eq!(subject.service().get(&scope, created.workflow.id).await.expect("it is there"), created);
    assert_eq!((created.workflow.revision, created.workflow.latest, created.workflow.published), (1, 1, None));
}

/// A name is unique within a workspace, for creating and for renaming, and free in every other workspace.
pub async fn a_name_is_taken_in_one_workspace_only(subject: &Subject) {
    let (scope, foreign) = (subject.scope(), subject.foreign());
    subject.create(&scope, "first", "").await;
    let other = subject.create(&scope, "other", "").await.workflow.id;
    let again = subject.service().create(&scope, document("first", "")).await;
    assert!(matches!(again, Err(CreateError::NameTaken)), "{again:?}");
    let renamed = subject.service().draft(&scope, other, &Expected::Any, document("first", "")).await;
    assert!(matches!(renamed, Err(DraftError::NameTaken)), "{renamed:?}");
    assert_eq!(subject.service().get(&scope, other).await.expect("it is there").workflow.latest, 1);
    subject.create(&foreign, "first", "").await;
}

/// Each draft is a new version, and earlier versions stay.
pub async fn versions_are_kept_and_listed_newest_first(subject: &Subject) {
    let (scope, service) = (subject.scope(), subject.service());
    let id = subject.create(&scope, "first", "").await.workflow.id;
    for n in 2..=3 {
        let draft =
            service.draft(&scope, id, &Expected::OneOf(vec![n - 1]), document(&format!("number {n}"), "")).await;
        assert_eq!(draft.expect("a draft is added").version, n);
    }
    let stale = service.draft(&scope, id, &Expected::OneOf(vec![1]), document("late", "")).await;
    assert!(matches!(stale, Err(DraftError::Stale(3))), "{stale:?}");
    let two = PageSize::new(2).expect("a page of two");
    let (_, page) = service.versions(&scope, id, None, two).await.expect("versions are listed");
    let numbers: Vec<_> = page.items.iter().map(|version| (version.number, version.name.as_str())).collect();
    assert_eq!((numbers, page.next), (vec![(3, "number 3"), (2, "number 2")], Some(2)));
    let (_, rest) = service.versions(&scope, id, page.next, two).await.expect("versions are listed");
    assert_eq!((rest.items.len(), rest.next), (1, None));

    let mut tx = subject.workflows.begin(&scope).await.expect("a transaction begins");
    let first = tx.workflows().document(id, 1).await.expect("a document is read");
    assert_eq!(first, Some(document("first", "")));
}

/// MUST refuse a version that exists: versions never change.
pub async fn a_version_never_changes(subject: &Subject) {
    let scope = subject.scope();
    let id = subject.create(&scope, "first", "").await.workflow.id;
    let version = Version { number: 1, name: "another".to_owned(), created_at: subject.env.now() };
    let mut tx = subject.workflows.begin(&scope).await.expect("a transaction begins");
    let again = tx.workflows().add_version(id, &version, &document("another", "")).await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    drop(tx);
    let mut tx = subject.workflows.begin(&scope).await.expect("a transaction begins");
    let kept = tx.workflows().document(id, 1).await.expect("a document is read");
    assert_eq!(kept, Some(document("first", "")));
}

/// While a workflow is locked no other transaction can change it, so no change is lost.
pub async fn whoever_locks_a_workflow_changes_it_alone(subject: &Subject) {
    let id = subject.create(&subject.scope(), "first", "").await.workflow.id;
    let changing: Vec<_> = (0..4)
        .map(|_| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut tx = subject.workflows.begin(&subject.scope()).await.expect("a transaction begins");
                let workflow = tx.workflows().lock(id).await.expect("it is locked").expect("it is there");
                let changed = Workflow { revision: workflow.revision + 1, ..workflow };
                assert!(tx.workflows().update(&changed).await.expect("it is changed"));
                tx.commit().await.expect("it commits");
            })
        })
        .collect();
    for change in changing {
        change.await.expect("no one fails");
    }
    let mut tx = subject.workflows.begin(&subject.scope()).await.expect("a transaction begins");
    let workflow = tx.workflows().find(id).await.expect("it is read").expect("it is there");
    assert_eq!(workflow.revision, 5);
}

/// Of two drafts that expect the same revision, one is refused.
pub async fn of_two_drafts_on_one_revision_one_is_refused(subject: &Subject) {
    let (scope, service) = (subject.scope(), subject.service());
    let id = subject.create(&scope, "first", "").await.workflow.id;
    let expected = Expected::OneOf(vec![1]);
    let (one, two) = tokio::join!(
        service.draft(&scope, id, &expected, document("one", "")),
        service.draft(&scope, id, &expected, document("two", "")),
    );
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
    assert_eq!(service.get(&scope, id).await.expect("it is there").workflow.latest, 2);
}

/// Publishing can go back to an earlier version; unknown versions are refused.
pub async fn publishing_and_going_back_change_what_is_published(subject: &Subject) {
    let (scope, service) = (subject.scope(), subject.service());
    let id = subject.create(&scope, "first", "").await.workflow.id;
    service.draft(&scope, id, &Expected::Any, document("second", "")).await.expect("a draft is added");
    let published = service.publish(&scope, id, &Expected::Any).await.expect("it is published");
    assert_eq!((published.published, published.revision), (Some(2), 3));
    let back = service.rollback(&scope, id, &Expected::Any, 1).await.expect("it goes back");
    assert_eq!((back.published, back.latest, back.revision), (Some(1), 2, 4));
    let gone = service.rollback(&scope, id, &Expected::Any, 3).await;
    assert!(matches!(gone, Err(PublishError::NoSuchVersion(3))), "{gone:?}");
    let stale = service.publish(&scope, id, &Expected::OneOf(vec![3])).await;
    assert!(matches!(stale, Err(PublishError::Stale(4))), "{stale:?}");
    assert_eq!(service.get(&scope, id).await.expect("it is there").workflow, back);
}

/// A version is read with its document, and with whether it is published.
pub async fn a_version_reads_back_with_its_document(subject: &Subject) {
    let (scope, service) = (subject.scope(), subject.service());
    let id = subject.create(&scope, "first", "").await.workflow.id;
    subject.publish(&scope, id).await;
    service.draft(&scope, id, &Expected::Any, document("second", "")).await.expect("a draft is added");
    for (number, name, published) in [(1, "first", true), (2, "second", false)] {
        let read = service.version(&scope, id, number).await.expect("the version is there");
        assert_eq!((read.version.number, read.version.name.as_str(), read.published), (number, name, published));
        assert_eq!(read.document, document(name, ""));
    }
    for missing in [0, 3, i32::MAX] {
        assert!(matches!(service.version(&scope, id, missing).await, Err(ReadError::NotFound)), "{missing}");
    }
}

/// Nothing starts an unpublished workflow, by hand or by a trigger, until it is published again.
pub async fn what_is_unpublished_starts_no_more(subject: &Subject) {
    let (scope, service) = (subject.scope(), subject.service());
    subject.at("00:30:00");
    let triggers = "triggers: [{cron: '0 * * * *'}, {event: {type: made}}]";
    let id = subject.published(&scope, "first", triggers).await;
    let stale = service.unpublish(&scope, id, &Expected::OneOf(vec![1])).await;
    assert!(matches!(stale, Err(WithdrawError::Stale(2))), "{stale:?}");
    let unpublished = service.unpublish(&scope, id, &Expected::OneOf(vec![2])).await.expect("it is unpublished");
    assert_eq!((unpublished.published, unpublished.revision), (None, 3));
    assert_eq!(service.get(&scope, id).await.expect("it is there").workflow, unpublished);
    let again = service.unpublish(&scope, id, &Expected::Any).await.expect("it stays as it is");
    assert_eq!(again, unpublished);

    subject.at("01:00:00");
    assert_eq!(subject.fire_due().await, 0);
    subject.add_events(&scope, &[event("1", "made", "a")]).await;
    subject.follow(&scope).await;
    let started = subject.run_service().start(&scope, StartRun::by_api(id, json!({}), None)).await;
    assert!(matches!(started, Err(StartError::Unpublished)), "{started:?}");
    assert_eq!(subject.runs(&scope).await, []);

    subject.publish(&scope, id).await;
    subject.add_events(&scope, &[event("2", "made", "a")]).await;
    subject.follow(&scope).await;
    assert_eq!(subject.runs(&scope).await.len(), 1);
}

/// MUST make a deleted workflow unfindable, free its name, and keep what its runs need to continue and to be read.
pub async fn a_deleted_workflow_is_gone_and_its_runs_stay(subject: &Subject) {
    let (scope, service, runs) = (subject.scope(), subject.service(), subject.run_service());
    subject.at("00:30:00");
    let id = subject.published(&scope, "first", "triggers: [{cron: '0 * * * *'}, {event: {type: made}}]").await;
    let run = runs.start(&scope, StartRun::by_api(id, json!({}), None)).await.expect("a run is started").run;
    let stale = service.delete(&scope, id, &Expected::OneOf(vec![1])).await;
    assert!(matches!(stale, Err(WithdrawError::Stale(2))), "{stale:?}");
    assert!(service.get(&scope, id).await.is_ok());
    service.delete(&scope, id, &Expected::OneOf(vec![2])).await.expect("it is deleted");

    assert!(matches!(service.delete(&scope, id, &Expected::Any).await, Err(WithdrawError::NotFound)));
    assert!(matches!(service.get(&scope, id).await, Err(ReadError::NotFound)));
    assert!(matches!(service.version(&scope, id, 1).await, Err(ReadError::NotFound)));
    assert!(matches!(service.publish(&scope, id, &Expected::Any).await, Err(PublishError::NotFound)));
    let listed = service.list(&scope, None, PageSize::default()).await.expect("workflows are listed");
    assert_eq!(listed.items, []);
    let started = runs.start(&scope, StartRun::by_api(id, json!({}), None)).await;
    assert!(matches!(started, Err(StartError::NotFound)), "{started:?}");
    {
        let mut tx = subject.workflows.begin(&scope).await.expect("a transaction begins");
        assert_eq!(tx.workflows().lock(id).await.expect("nothing is found"), None);
        assert!(!tx.workflows().delete(id, subject.env.now()).await.expect("nothing is changed"));
    }
    subject.at("01:00:00");
    assert_eq!(subject.fire_due().await, 0);
    subject.add_events(&scope, &[event("1", "made", "a")]).await;
    subject.follow(&scope).await;

    // The run continues and can be read with its steps, whichever workflow has the name now.
    let details = subject.run_service().get(&scope, run.id).await.expect("the run is there");
    assert_eq!((details.run.id, details.steps.len()), (run.id, 1));
    let compiled = CompiledWorkflows::compiled(&subject.run_service(), &scope, id, 1).await.expect("it is read");
    assert!(compiled.is_some());
    assert_eq!(subject.runs(&scope).await.len(), 1);
    let other = subject.create(&scope, "first", "").await.workflow.id;
    assert_ne!(other, id);
}

/// The pages together give the list, with only the workflows of one workspace.
pub async fn a_list_has_the_workspaces_own_newest_first(subject: &Subject) {
    let (scope, foreign) = (subject.scope(), subject.foreign());
    let mut ids: Vec<WorkflowId> = Vec::new();
    for name in ["a", "b", "c"] {
        ids.insert(0, subject.create(&scope, name, "").await.workflow.id);
        subject.create(&foreign, name, "").await;
    }
    let two = PageSize::new(2).expect("a page of two");
    let mut tx = subject.workflows.begin(&scope).await.expect("a transaction begins");
    let first = tx.workflows().list(None, two).await.expect("workflows are listed");
    let rest = tx.workflows().list(first.next, two).await.expect("workflows are listed");
    let listed: Vec<_> = first.items.iter().chain(&rest.items).map(|workflow| workflow.id).collect();
    assert_eq!((listed, rest.next), (ids, None));
}

/// Every method treats another tenant's workflow as one that does not exist.
pub async fn another_tenants_workflow_does_not_exist(subject: &Subject) {
    let (scope, foreign, service) = (subject.scope(), subject.foreign(), subject.service());
    let theirs = subject.create(&foreign, "theirs", "").await;
    let id = theirs.workflow.id;
    assert!(matches!(service.get(&scope, id).await, Err(ReadError::NotFound)));
    assert!(matches!(service.versions(&scope, id, None, PageSize::default()).await, Err(ReadError::NotFound)));
    assert!(matches!(service.version(&scope, id, 1).await, Err(ReadError::NotFound)));
    assert!(matches!(service.publish(&scope, id, &Expected::Any).await, Err(PublishError::NotFound)));
    assert!(matches!(service.unpublish(&scope, id, &Expected::Any).await, Err(WithdrawError::NotFound)));
    assert!(matches!(service.delete(&scope, id, &Expected::Any).await, Err(WithdrawError::NotFound)));
    assert!(matches!(service.rollback(&scope, id, &Expected::Any, 1).await, Err(PublishError::NotFound)));
    let draft = service.draft(&scope, id, &Expected::Any, document("x", "")).await;
    assert!(matches!(draft, Err(DraftError::NotFound)), "{draft:?}");
    {
        let mut tx = subject.workflows.begin(&scope).await.expect("a transaction begins");
        assert_eq!(tx.workflows().find(id).await.expect("nothing is found"), None);
        assert_eq!(tx.workflows().lock(id).await.expect("nothing is found"), None);
        assert_eq!(tx.workflows().document(id, 1).await.expect("nothing is found"), None);
        assert_eq!(tx.workflows().version(id, 1).await.expect("nothing is found"), None);
        assert!(!tx.workflows().delete(id, subject.env.now()).await.expect("nothing is changed"));
        assert!(!tx.workflows().update(&theirs.workflow).await.expect("nothing is changed"));
        let versions = tx.workflows().versions(id, None, PageSize::default()).await.expect("nothing is found");
        assert!(versions.items.is_empty());
        // There is no such workflow in this workspace, so a version of it is refused.
        let version = Version { number: 2, name: "x".into(), created_at: subject.env.now() };
        assert!(tx.workflows().add_version(id, &version, &document("x", "")).await.is_err());
    }
    assert_eq!(service.get(&foreign, id).await.expect("it is there"), theirs);
}
