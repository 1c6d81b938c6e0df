//! Checks at the start of a server: whether tenant isolation can be bypassed, and whether the schema has the version
//! that the server knows.

use sqlx::Executor;
use tidegate_postgres::migrate::{Schema, newest_version};
use tidegate_postgres::{PgStore, PgStoreConfig};
use tidegate_testing::{TestDatabase, test_environment};

#[tokio::test]
async fn each_way_around_the_walls_is_found() {
    let database = TestDatabase::new().await;
    let store = database.store(test_environment()).await;
    assert_eq!(store.isolation_violations().await.unwrap(), Vec::<String>::new());
    let mut admin = database.admin().await;
    for (mistake, repair, expected) in [
        (
            "alter table event no force row level security",
            "alter table event force row level security",
            "no row-level security is enforced in spite of a workspace_id on event",
        ),
        (
            "alter table run disable row level security",
            "alter table run enable row level security",
            "no row-level security is enforced in spite of a workspace_id on run",
        ),
        (
            "create table forgotten (workspace_id uuid primary key)",
            "drop table forgotten",
            "no row-level security is enforced in spite of a workspace_id on forgotten",
        ),
        (
            "create table half (workspace_id uuid primary key); alter table half enable row level security;
             alter table half force row level security; grant select on half to tidegate_api",
            "drop table half",
            "role tidegate_api has rights without a restrictive policy on half",
        ),
        (
            "alter table membership owner to tidegate_api",
            "alter table membership owner to current_user",
            "role tidegate_api owns membership",
        ),
        (
            "grant select on membership to tidegate_test_login",
            "revoke select on membership from tidegate_test_login",
            "has rights outside a transaction on membership",
        ),
        (
            "create view peek as select * from membership; grant select on peek to tidegate_api",
            "drop view peek",
            "role tidegate_api sees tenants' rows with the rights of another through peek",
        ),
        (
            "create schema reports; create view reports.peek as select * from membership;
             create view reports.again with (security_invoker = true) as select * from reports.peek;
             grant select on reports.again to tidegate_test_login",
            "drop schema reports cascade",
            "has rights outside a transaction on reports.again",
        ),
    ] {
        admin.execute(mistake).await.unwrap();
        let found = store.isolation_violations().await.unwrap();
        assert!(found.iter().any(|line| line.contains(expected)), "{mistake}: {found:?}");
        admin.execute(repair).await.unwrap();
        assert_eq!(store.isolation_violations().await.unwrap(), Vec::<String>::new(), "{repair}");
    }
}

/// Most managed PostgreSQL have such extensions in `public`, with views that every role may read.
#[tokio::test]
async fn what_an_extension_brings_along_is_no_violation_unless_it_shows_tenants_rows() {
    let database = TestDatabase::new().await;
    let store = database.store(test_environment()).await;
    let mut admin = database.admin().await;
    for extension in ["pg_stat_statements", "pgcrypto", "citext", "pg_trgm", "btree_gist"] {
        admin.execute(sqlx::AssertSqlSafe(format!("create extension {extension}"))).await.unwrap();
    }
    let readable: bool =
        sqlx::query_scalar("select has_table_privilege('tidegate_test_login', 'pg_stat_statements', 'select')")
            .fetch_one(&mut admin)
            .await
            .unwrap();
    assert!(readable, "the extension has a view in public that everybody may read");
    admin
        .execute(
            "create table places (id int); grant select on places to public; alter extension citext add table places",
        )
        .await
        .unwrap();
    assert_eq!(store.isolation_violations().await.unwrap(), Vec::<String>::new());

    for (mistake, repair, expected) in [
        (
            "create table places_of (workspace_id uuid primary key); alter extension citext add table places_of",
            "alter extension citext drop table places_of; drop table places_of",
            "no row-level security is enforced in spite of a workspace_id on places_of",
        ),
        (
            "create view peek as select user_id from membership; grant select on peek to public;
             alter extension pg_stat_statements add view peek",
            "alter extension pg_stat_statements drop view peek; drop view peek",
            "role tidegate_test_login has rights outside a transaction on peek",
        ),
        (
            "create view inner_peek as select user_id from membership; alter extension citext add view inner_peek;
             create view peek as select * from inner_peek; grant select on peek to public;
             alter extension citext add view peek",
            "alter extension citext drop view peek; drop view peek; alter extension citext drop view inner_peek; drop view inner_peek",
            "role tidegate_test_login has rights outside a transaction on peek",
        ),
        (
            "create table notes (id int); grant select on notes to public",
            "drop table notes",
            "role tidegate_test_login has rights outside a transaction on notes",
        ),
    ] {
        admin.execute(mistake).await.unwrap();
        let found = store.isolation_violations().await.unwrap();
        assert!(found.iter().any(|line| line.ends_with(expected)), "{mistake}: {found:?}");
        admin.execute(repair).await.unwrap();
        assert_eq!(store.isolation_violations().await.unwrap(), Vec::<String>::new(), "{repair}");
    }
}

#[tokio::test]
async fn an_owners_login_is_refused_in_a_few_lines() {
    let database = TestDatabase::new().await;
    let store = PgStore::connect(&PgStoreConfig::served(database.admin_url()), test_environment()).await.unwrap();
    let found = store.isolation_violations().await.unwrap();
    let owns = |line: &String| {
        line.starts_with("DATABASE_URL: role postgres owns _sqlx_migrations, account_event, account_link and ")
            && line.ends_with(" more")
    };
    assert!(found.iter().any(owns), "{found:?}");
    assert!(found.len() <= 3 && found.iter().all(|line| line.len() < 140), "{found:?}");
}

#[tokio::test]
async fn a_login_that_can_bypass_the_walls_is_found() {
    let database = TestDatabase::new().await;
    let config = PgStoreConfig {
        engine_url: Some(database.admin_url().to_owned()),
        max_connections: 1,
        ..PgStoreConfig::served(database.url())
    };
    let store = PgStore::connect(&config, test_environment()).await.unwrap();
    let found = store.isolation_violations().await.unwrap();
    let expected =
        |line: &String| line.starts_with("ENGINE_DATABASE_URL: ") && line.ends_with("can bypass row-level security");
    assert!(found.iter().any(expected), "{found:?}");
    assert!(found.iter().all(|line| line.starts_with("ENGINE_DATABASE_URL: ")), "{found:?}");
}

#[tokio::test]
async fn a_schema_that_is_behind_is_known_without_any_rights() {
    // The first database with the schema creates the login of servers.
    drop(TestDatabase::new().await);
    let database = TestDatabase::empty().await;
    let store = database.store(test_environment()).await;
    assert_eq!(store.schema_version().await.unwrap(), 0);
    let mut schema = Schema::connect(database.admin_url()).await.unwrap();
    schema.up().await.unwrap();
    assert_eq!(store.schema_version().await.unwrap(), newest_version());
    schema.down(2).await.unwrap();
    assert_eq!(store.schema_version().await.unwrap(), newest_version() - 2);
    schema.up().await.unwrap();
    assert_eq!(store.schema_version().await.unwrap(), newest_version());
}
