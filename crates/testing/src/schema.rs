//! Checks of the migrations, for every kind of PostgreSQL.

use sqlx::Connection;
use tidegate_postgres::migrate::Schema;

use crate::catalog::description;
use crate::database::TestDatabase;

/// Reverts one migration more each time and applies them again: the schema is the same each time, and nothing is left
/// of it when all are reverted. `database` has no migration yet.
pub async fn goes_up_down_and_up_again(database: &TestDatabase) {
    let before = describe(database).await;
    let migrations = change(database, None).await;
    let whole = describe(database).await;
    for steps in 1..=migrations {
        change(database, Some(steps)).await;
        change(database, None).await;
        same(&whole, &describe(database).await, steps);
    }
    change(database, Some(migrations)).await;
    same(&before, &describe(database).await, migrations);
}

/// Migrates up, or down by some steps, and closes the connection, since an embedded PostgreSQL has only one.
async fn change(database: &TestDatabase, down: Option<usize>) -> usize {
    let mut schema = Schema::connect(database.admin_url()).await.expect("the database answers");
    match down {
        Some(steps) => schema.down(steps).await.expect("every migration can be taken back"),
        None => schema.up().await.expect("every migration applies"),
    }
    schema.status().await.expect("the state of the schema can be read").len()
}

async fn describe(database: &TestDatabase) -> Vec<String> {
    let mut admin = database.admin().await;
    let lines = description(&mut admin).await;
    admin.close().await.expect("the database says goodbye");
    lines
}

fn same(expected: &[String], found: &[String], steps: usize) {
    let missing: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
    let added: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(missing.is_empty() && added.is_empty(), "after {steps} down: missing {missing:#?}, added {added:#?}");
}
