//! Members, with another tenant that has the same people.

use tidegate_kernel::UserId;
use tidegate_tenancy::{Membership, Role};

use super::Subject;

/// A person is a member once, and a change in one workspace changes nothing in another.
pub async fn members_belong_to_their_workspace(subject: &Subject) {
    let (ada, bob) = (UserId::generate(&subject.env), UserId::generate(&subject.env));
    let (ours, theirs) = (subject.workspace("ours", ada).await, subject.workspace("theirs", ada).await);
    let joined = |workspace, role| Membership { workspace, user: bob, role, joined_at: ours.created_at };
    for workspace in [ours.id, theirs.id] {
        let mut tx = subject.tenancy(workspace).await;
        assert!(tx.members().insert(&joined(workspace, Role::MEMBER)).await.expect("an answer"));
        assert!(!tx.members().insert(&joined(workspace, Role::OWNER)).await.expect("the transaction is usable"));
        tx.commit().await.expect("it commits");
    }
    let mut tx = subject.tenancy(ours.id).await;
    assert_eq!(tx.members().find(bob).await.expect("it is read"), Some(joined(ours.id, Role::MEMBER)));
    assert!(tx.members().set_role(bob, &Role::OWNER).await.expect("an answer"));
    assert_eq!(tx.members().count_owners().await.expect("they are counted"), 2);
    assert!(tx.members().remove(ada).await.expect("an answer"));
    assert!(!tx.members().remove(ada).await.expect("an answer"));
    assert!(!tx.members().set_role(ada, &Role::VIEWER).await.expect("an answer"));
    assert_eq!(tx.members().find(ada).await.expect("it is read"), None);
    assert_eq!(tx.members().list(None, 10).await.expect("they are listed"), [joined(ours.id, Role::OWNER)]);
    tx.commit().await.expect("it commits");

    let mut tx = subject.tenancy(theirs.id).await;
    assert_eq!(tx.members().count_owners().await.expect("they are counted"), 1);
    assert_eq!(tx.members().find(bob).await.expect("it is read"), Some(joined(theirs.id, Role::MEMBER)));
    assert_eq!(tx.members().list(None, 10).await.expect("they are listed").len(), 2);
}

/// The transaction that locks a workspace decides alone on its members: of owners who all leave at once, the last one
/// stays.
pub async fn whoever_locks_a_workspace_decides_alone(subject: &Subject) {
    let owners: Vec<UserId> = (0..4).map(|_| UserId::generate(&subject.env)).collect();
    let ours = subject.workspace("ours", owners[0]).await;
    let mut tx = subject.tenancy(ours.id).await;
    for user in &owners[1..] {
        let membership = Membership { workspace: ours.id, user: *user, role: Role::OWNER, joined_at: ours.created_at };
        assert!(tx.members().insert(&membership).await.expect("an answer"));
    }
    tx.commit().await.expect("it commits");
    let leaving: Vec<_> = owners
        .into_iter()
        .map(|user| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut tx = subject.tenancy(ours.id).await;
                assert!(tx.workspace().lock().await.expect("it is locked"));
                if tx.members().count_owners().await.expect("they are counted") > 1 {
                    assert!(tx.members().remove(user).await.expect("an answer"));
                }
                tx.commit().await.expect("it commits");
            })
        })
        .collect();
    for owner in leaving {
        owner.await.expect("no one fails");
    }
    let mut tx = subject.tenancy(ours.id).await;
    assert_eq!(tx.members().count_owners().await.expect("they are counted"), 1);
}

/// MUST write into the workspace of the transaction, whatever workspace the membership names.
pub async fn a_member_cannot_be_put_elsewhere(subject: &Subject) {
    let (ada, eve) = (UserId::generate(&subject.env), UserId::generate(&subject.env));
    let (ours, theirs) = (subject.workspace("ours", ada).await, subject.workspace("theirs", ada).await);
    let mut tx = subject.tenancy(ours.id).await;
    let intruder = Membership { workspace: theirs.id, user: eve, role: Role::OWNER, joined_at: subject.now() };
    assert!(tx.members().insert(&intruder).await.expect("an answer"));
    tx.commit().await.expect("it commits");
    let mut tx = subject.tenancy(theirs.id).await;
    assert_eq!(tx.members().find(eve).await.expect("it is read"), None);
}

/// Members are listed page by page, in the order in which they joined.
pub async fn members_are_listed_in_their_order(subject: &Subject) {
    let ada = UserId::generate(&subject.env);
    let ours = subject.workspace("ours", ada).await;
    let mut expected = vec![ada];
    let mut tx = subject.tenancy(ours.id).await;
    let same_moment = subject.now();
    for _ in 0..4 {
        let user = UserId::generate(&subject.env);
        expected.push(user);
        let membership = Membership { workspace: ours.id, user, role: Role::VIEWER, joined_at: same_moment };
        assert!(tx.members().insert(&membership).await.expect("an answer"));
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = tx.members().list(after, 2).await.expect("they are listed");
        let Some(last) = page.last() else { break };
        after = Some((last.joined_at, last.user));
        listed.extend(page.iter().map(|membership| membership.user));
    }
    assert_eq!(listed, expected);
}
