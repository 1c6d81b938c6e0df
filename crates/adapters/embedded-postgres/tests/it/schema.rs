//! The same migrations and the same store as on a PostgreSQL server.

use tidegate_embedded_postgres::EmbeddedPostgres;
use tidegate_postgres::migrate::Schema;
use tidegate_testing::{TestDatabase, catalog, schema, test_environment};

use crate::database;

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_and_the_store_fit() {
    let database = database().await;
    let store = database.store(test_environment()).await;
    store.close().await;
    let status = Schema::connect(database.admin_url()).await.unwrap().status().await.unwrap();
    assert!(!status.is_empty() && status.iter().all(|migration| migration.applied), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_keeps_the_rules() {
    let database = database().await;
    let violations = catalog::violations(&mut database.admin().await).await;
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_migration_goes_up_down_and_up_again() {
    let postgres = EmbeddedPostgres::temporary().unwrap();
    schema::goes_up_down_and_up_again(&TestDatabase::embedded_empty(postgres.url(), postgres)).await;
}
