//! The schema obeys the rules that tenant isolation depends on. The rules and their exceptions are in
//! `tidegate_testing::catalog`.

use sqlx::Executor;
use tidegate_testing::{TestDatabase, catalog};

#[tokio::test]
async fn every_table_keeps_the_rules() {
    let database = TestDatabase::new().await;
    let violations = catalog::violations(&mut database.admin().await).await;
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

/// Checks the rules themselves: each must find a violation.
#[tokio::test]
async fn each_rule_finds_what_breaks_it() {
    let mistakes = [
        ("create table forgotten (id int)", "table forgotten has no workspace_id"),
        ("create table open (workspace_id uuid primary key)", "table open: row-level security has to be"),
        ("alter table membership no force row level security", "table membership: row-level security"),
        ("drop policy api_restrict on membership", "1 permissive and 0 restrictive policies for tidegate_api"),
        (
            "create policy more on membership for select to tidegate_api using (true)",
            "policy more on membership: true for tidegate_api does not look at tidegate_workspace()",
        ),
        ("create policy all_of_us on membership for select using (true)", "is for more than one runtime role"),
        ("create index on membership (role)", "leads with role"),
        ("alter table membership add unique (user_id)", "leads with user_id"),
        (
            "create table child (id int, parent uuid references workspace)",
            "foreign key child_parent_fkey of child does not lead",
        ),
        ("grant truncate on membership to tidegate_api", "tidegate_api has TRUNCATE on membership"),
        ("grant select on membership to public", "everybody has SELECT on membership"),
        ("grant select on membership to tidegate_session", "tidegate_session has SELECT on membership"),
        ("grant select on person to tidegate_api", "table person can be touched by"),
        ("create view peek as select * from membership", "view peek would see"),
        (
            "create function peek() returns int language sql security definer return 1",
            "function peek runs with its owner's rights",
        ),
        ("alter table membership owner to tidegate_api", "role tidegate_api owns something"),
        ("revoke delete on event from tidegate_engine", "the engine cannot erase table event"),
        ("grant delete on usage_counter to tidegate_engine", "the engine can erase table usage_counter"),
        ("drop index membership_by_person", "index membership_by_person is gone"),
    ];
    let database = TestDatabase::new().await;
    let mut admin = database.admin().await;
    for (mistake, expected) in mistakes {
        // In a transaction that is rolled back, so that each violation is alone.
        admin.execute("begin").await.unwrap();
        admin.execute(mistake).await.unwrap();
        let found = catalog::violations(&mut admin).await;
        assert!(found.iter().any(|line| line.contains(expected)), "{mistake}: {found:?}");
        admin.execute("rollback").await.unwrap();
    }
}
