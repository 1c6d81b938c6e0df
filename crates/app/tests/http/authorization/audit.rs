//! Every operation that changes something leaves an entry in the audit log.

use super::examples::{Actor, Example, World};
use super::tenant_operations;

/// Operations with another record. May only shrink.
const NOT_AUDITED: &str = include_str!("not_audited.txt");
/// What [`NOT_AUDITED`] had when it was last shortened.
const NOT_AUDITED_AT_MOST: usize = 2;

fn not_audited() -> Vec<&'static str> {
    NOT_AUDITED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[tokio::test]
async fn every_change_is_audited() {
    let world = World::new().await;
    assert!(not_audited().len() <= NOT_AUDITED_AT_MOST, "every change by a person or a key is audited");
    for operation in tenant_operations(&world.app).await {
        if operation.starts_with("GET ") || not_audited().contains(&operation.as_str()) {
            continue;
        }
        let place = world.place(&operation).await;
        let before = world.audit_entries(&place).await;
        let answer = world.call(&Example::of(&operation, &place), &place, Actor::Owner).await;
        assert!(answer.status.is_success(), "{operation}: {}", answer.json());
        assert!(world.audit_entries(&place).await > before, "{operation} leaves no entry in the audit log");
    }
}

#[tokio::test]
async fn a_refused_change_leaves_no_entry() {
    let world = World::new().await;
    for operation in tenant_operations(&world.app).await.iter().filter(|operation| !operation.starts_with("GET ")) {
        let place = world.place(operation).await;
        let before = world.audit_entries(&place).await;
        for actor in [Actor::Anonymous, Actor::OtherTenant, Actor::KeyWithoutScope] {
            world.call(&Example::of(operation, &place), &place, actor).await;
        }
        assert_eq!(world.audit_entries(&place).await, before, "{operation}");
    }
}
