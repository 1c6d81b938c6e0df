//! The same migrations and the same store as on a PostgreSQL that is served.

use tidegate_postgres::migrate::Schema;
use tidegate_testing::test_environment;

use crate::database;

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_and_the_store_fit() {
    let database = database().await;
    let store = database.store(test_environment()).await;
    store.close().await;
    let status = Schema::connect(database.admin_url()).await.unwrap().status().await.unwrap();
    assert!(!status.is_empty() && status.iter().all(|migration| migration.applied), "{status:?}");
}
