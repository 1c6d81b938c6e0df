//! What a server looks at before it takes a request: whether anybody could get around the walls, and whether the schema is
//! the one that it knows.

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
            "table event has workspace_id and no enforced row-level security",
        ),
        (
            "alter table run disable row level security",
            "alter table run enable row level security",
            "table run has workspace_id and no enforced row-level security",
        ),
        (
            "create table forgotten (workspace_id uuid primary key)",
            "drop table forgotten",
            "table forgotten has workspace_id and no enforced row-level security",
        ),
        (
            "create table half (workspace_id uuid primary key); alter table half enable row level security;
             alter table half force row level security; grant select on half to tidegate_api",
            "drop table half",
            "table half has no restrictive policy for role tidegate_api",
        ),
        (
            "alter table membership owner to tidegate_api",
            "alter table membership owner to current_user",
            "role tidegate_api owns table membership",
        ),
        (
            "grant select on membership to tidegate_test_login",
            "revoke select on membership from tidegate_test_login",
            "has rights on table membership outside a transaction",
        ),
    ] {
        admin.execute(mistake).await.unwrap();
        let found = store.isolation_violations().await.unwrap();
        assert!(found.iter().any(|line| line.contains(expected)), "{mistake}: {found:?}");
        admin.execute(repair).await.unwrap();
        assert_eq!(store.isolation_violations().await.unwrap(), Vec::<String>::new(), "{repair}");
    }
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
    // The login of a server comes with the first database that has the schema.
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
