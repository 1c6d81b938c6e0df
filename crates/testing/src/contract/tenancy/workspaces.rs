//! Workspaces, their slugs, a person's memberships, and audit logs.

use chrono::TimeDelta;
use serde_json::json;
use tidegate_kernel::{Actor, AuditEntry, UserId};
use tidegate_tenancy::{
    AuditFilter, Role, SecondFactorRule, WorkspaceChange, WorkspaceDeletion, WorkspacePolicy, WorkspaceRef,
};

use super::{Subject, name};

/// MUST let exactly one of many concurrent attempts to take a slug succeed, and leave the transaction usable.
pub async fn a_slug_belongs_to_one_workspace(subject: &Subject) {
    let taking: Vec<_> = (0..4)
        .map(|n| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut workspace = subject.new_workspace("acme");
                let mut tx = subject.tenancy(workspace.id).await;
                let taken = tx.workspace().insert(&workspace).await.expect("an answer, and no error");
                if !taken {
                    workspace.slug = subject.slug(&format!("acme-{n}"));
                    assert!(tx.workspace().insert(&workspace).await.expect("the transaction is usable"));
                }
                assert_eq!(tx.workspace().get().await.expect("it is read").as_ref(), Some(&workspace));
                tx.commit().await.expect("it commits");
                usize::from(taken)
            })
        })
        .collect();
    let mut taken = 0;
    for task in taking {
        taken += task.await.expect("no one fails");
    }
    assert_eq!(taken, 1);
}

/// A change applies only to the workspace of the transaction, moves its slug, and is refused if the slug is taken.
pub async fn a_workspace_is_changed(subject: &Subject) {
    let owner = UserId::generate(&subject.env);
    let (ours, theirs) = (subject.workspace("ours", owner).await, subject.workspace("theirs", owner).await);
    let mut tx = subject.tenancy(ours.id).await;
    assert!(tx.workspace().lock().await.expect("it is locked"));
    let change = |slug: &str| WorkspaceChange { name: Some(name("New")), slug: Some(subject.slug(slug)) };
    assert_eq!(tx.workspace().update(&change("theirs")).await.expect("an answer"), Some(false));
    assert_eq!(tx.workspace().get().await.expect("it is read").as_ref(), Some(&ours), "nothing was changed");
    assert_eq!(tx.workspace().update(&change("moved")).await.expect("an answer"), Some(true));
    assert_eq!(tx.workspace().update(&WorkspaceChange::default()).await.expect("an answer"), Some(true));
    tx.commit().await.expect("it commits");

    let mut tx = subject.directory().await;
    assert_eq!(tx.locator().slug(&subject.slug("moved")).await.expect("it is located"), Some(ours.id));
    assert_eq!(tx.locator().slug(&subject.slug("ours")).await.expect("it is located"), None);
    assert_eq!(tx.locator().slug(&subject.slug("theirs")).await.expect("it is located"), Some(theirs.id));
    drop(tx);
    let mut tx = subject.tenancy(theirs.id).await;
    assert_eq!(tx.workspace().get().await.expect("it is read"), Some(theirs));
}

/// A deleted workspace cannot be found, its slug is free, and the other tenant's workspace is unchanged.
pub async fn a_workspace_is_deleted(subject: &Subject) {
    let owner = UserId::generate(&subject.env);
    let (ours, theirs) = (subject.workspace("ours", owner).await, subject.workspace("theirs", owner).await);
    let mut tx = subject.tenancy(ours.id).await;
    let deletion = WorkspaceDeletion { deleted_at: subject.now(), erase_at: subject.now() };
    assert!(tx.workspace().delete(&deletion).await.expect("an answer"));
    assert!(!tx.workspace().delete(&deletion).await.expect("an answer"));
    assert_eq!(tx.workspace().get().await.expect("it is read"), None);
    assert!(!tx.workspace().lock().await.expect("an answer"));
    assert_eq!(tx.workspace().update(&WorkspaceChange::default()).await.expect("an answer"), None);
    tx.commit().await.expect("it commits");

    let mut tx = subject.personal(owner).await;
    for named in [WorkspaceRef::Id(ours.id), WorkspaceRef::Slug(ours.slug.clone())] {
        assert_eq!(tx.personal().membership(&named).await.expect("it is read"), None);
    }
    let mine = tx.personal().workspaces(None, 10).await.expect("they are listed");
    assert_eq!(mine.into_iter().map(|(workspace, ..)| workspace).collect::<Vec<_>>(), [theirs]);
    drop(tx);
    subject.workspace("ours", owner).await;
}

/// A person sees their own memberships, by id and by slug, and nobody else's.
pub async fn a_person_sees_their_own(subject: &Subject) {
    let (ada, eve) = (UserId::generate(&subject.env), UserId::generate(&subject.env));
    let mut own = Vec::new();
    for slug in ["one", "two", "three"] {
        own.push(subject.workspace(slug, ada).await);
    }
    let foreign = subject.workspace("foreign", eve).await;
    let mut tx = subject.personal(ada).await;
    for named in [WorkspaceRef::Id(own[0].id), WorkspaceRef::Slug(own[0].slug.clone())] {
        let admission = tx.personal().membership(&named).await.expect("it is read").expect("it is there");
        assert_eq!(admission.policy, WorkspacePolicy::default());
        let membership = admission.membership;
        assert_eq!((membership.workspace, membership.user, membership.role), (own[0].id, ada, Role::OWNER));
    }
    for named in [WorkspaceRef::Id(foreign.id), WorkspaceRef::Slug(foreign.slug.clone())] {
        assert_eq!(tx.personal().membership(&named).await.expect("it is read"), None);
    }
    let first = tx.personal().workspaces(None, 2).await.expect("they are listed");
    let last = first.last().map(|(workspace, _, joined_at)| (*joined_at, workspace.id));
    let second = tx.personal().workspaces(last, 2).await.expect("they are listed");
    let listed: Vec<_> = first.into_iter().chain(second).map(|(workspace, ..)| workspace).collect();
    assert_eq!(listed, own);
}

/// An audit log returns the entries of its workspace that match a filter, newest first, and takes any text.
pub async fn an_audit_log_is_read(subject: &Subject) {
    let owner = UserId::generate(&subject.env);
    let (ours, theirs) = (subject.workspace("ours", owner).await, subject.workspace("theirs", owner).await);
    let before = subject.now();
    for (workspace, resource) in [(ours.id, "a"), (ours.id, "b"), (theirs.id, "a")] {
        let mut tx = subject.tenancy(workspace).await;
        let entry = AuditEntry::new("thing.changed", resource).with(json!({ "name": "a\0b" }));
        tx.audit().record(entry).await.expect("it is recorded");
        tx.commit().await.expect("it commits");
        let mut lost = subject.tenancy(workspace).await;
        lost.audit().record(AuditEntry::new("thing.lost", resource)).await.expect("it is recorded");
    }
    let mut tx = subject.tenancy(ours.id).await;
    let all = tx.audit_trail().list(&AuditFilter::default(), None, 10).await.expect("it is read");
    assert_eq!(all.iter().map(|entry| entry.resource.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!((all[0].actor, &all[0].details), (Actor::System, &json!({ "name": "a\0b" })));
    let next = tx.audit_trail().list(&AuditFilter::default(), Some(all[0].id), 10).await.expect("it is read");
    assert_eq!(next, all[1..]);
    let person = Actor::Person(owner);
    let text = |text: &str| vec![text.to_owned()];
    let filters = [
        (AuditFilter { actions: text("thing.changed"), ..AuditFilter::default() }, 2),
        (AuditFilter { actions: text("thing.lost"), ..AuditFilter::default() }, 0),
        (AuditFilter { resources: text("a"), ..AuditFilter::default() }, 1),
        (AuditFilter { actors: vec![person], ..AuditFilter::default() }, 0),
        (AuditFilter { actors: vec![person, Actor::System], ..AuditFilter::default() }, 2),
        (AuditFilter { from: Some(before), ..AuditFilter::default() }, 2),
        (AuditFilter { to: Some(before), ..AuditFilter::default() }, 0),
        (AuditFilter { from: Some(before + TimeDelta::days(1)), ..AuditFilter::default() }, 0),
    ];
    for (filter, expected) in filters {
        let found = tx.audit_trail().list(&filter, None, 10).await.expect("it is read");
        assert_eq!(found.len(), expected, "{filter:?}");
    }
}

/// The policy of a workspace is that which was written last, for those who enter it too.
pub async fn a_policy_is_kept(subject: &Subject) {
    let ada = subject.person("ada@example.org").await.id;
    let (ours, theirs) = (subject.workspace("ours", ada).await, subject.workspace("theirs", ada).await);
    let roles = SecondFactorRule::Roles(vec!["admin".to_owned(), "owner".to_owned()]);
    for second_factor in [roles, SecondFactorRule::All, SecondFactorRule::Off] {
        let policy = WorkspacePolicy { second_factor, from: Some(subject.now()) };
        let mut tx = subject.tenancy(ours.id).await;
        assert!(tx.workspace().set_policy(&policy).await.expect("it is written"));
        assert_eq!(tx.workspace().policy().await.expect("it is read"), Some(policy.clone()));
        tx.commit().await.expect("it commits");
        let mut tx = subject.personal(ada).await;
        for named in [WorkspaceRef::Id(ours.id), WorkspaceRef::Slug(ours.slug.clone())] {
            let admission = tx.personal().membership(&named).await.expect("it is read").expect("it is there");
            assert_eq!(admission.policy, policy);
        }
        let other = tx.personal().membership(&WorkspaceRef::Id(theirs.id)).await.expect("it is read");
        assert_eq!(other.expect("it is there").policy, WorkspacePolicy::default(), "no other workspace is concerned");
    }
    let nowhere = subject.new_workspace("nowhere").id;
    let mut tx = subject.tenancy(nowhere).await;
    assert_eq!(tx.workspace().policy().await.expect("it is read"), None);
    assert!(!tx.workspace().set_policy(&WorkspacePolicy::default()).await.expect("an answer"));
}
