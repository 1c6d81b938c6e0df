//! Raw SQL as the API role: another tenant's rows cannot be read, written, referenced or detected.

use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tidegate_testing::{TestDatabase, catalog};

const MINE: &str = "00000000-0000-7000-8000-000000000001";
const THEIRS: &str = "00000000-0000-7000-8000-000000000002";
/// An object that both workspaces have under the same id.
const OBJECT: &str = "00000000-0000-7000-8000-00000000000a";

/// Adds two workspaces with a member and a key each, and returns a connection with the API role in the first.
async fn two_tenants(database: &TestDatabase) -> PgConnection {
    let mut admin = database.admin().await;
    for workspace in [MINE, THEIRS] {
        let rows = format!(
            "insert into workspace (workspace_id, name, slug, created_at) values ('{workspace}', 'n', 's', now());
             insert into membership (workspace_id, user_id, role, joined_at) values ('{workspace}', '{OBJECT}', 'owner', now());
             insert into audit_entry (workspace_id, id, at, actor_kind, action, resource, details, request_id)
                 values ('{workspace}', '{OBJECT}', now(), 'system', 'a', 'r', '{{}}', 'q')"
        );
        admin.execute(AssertSqlSafe(rows)).await.expect("the rows fit the schema");
    }
    let mut login = PgConnection::connect(database.url()).await.expect("a server can log in");
    enter(&mut login, MINE).await;
    login
}

async fn enter(login: &mut PgConnection, workspace: &str) {
    let begin = format!("begin; set local role tidegate_api; set local app.workspace_id = '{workspace}'");
    login.execute(AssertSqlSafe(begin)).await.expect("a server can take the API role");
}

async fn count(login: &mut PgConnection, table: &str) -> i64 {
    let query = format!("select count(*) from {table}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(login).await.expect("the role may read the table")
}

async fn code(login: &mut PgConnection, statement: &str) -> Option<String> {
    login.execute("savepoint before").await.expect("a savepoint");
    let result = login.execute(AssertSqlSafe(statement.to_owned())).await;
    login.execute("rollback to before").await.expect("back to the savepoint");
    result.err().and_then(|error| Some(error.as_database_error()?.code()?.into_owned()))
}

#[tokio::test]
async fn another_tenants_rows_are_not_there() {
    let database = TestDatabase::new().await;
    let mut login = two_tenants(&database).await;
    for table in ["workspace", "membership", "audit_entry"] {
        assert_eq!(count(&mut login, table).await, 1, "{table}");
    }
    let statement = format!("update membership set role = 'viewer' where workspace_id = '{THEIRS}'");
    assert_eq!(login.execute(AssertSqlSafe(statement)).await.unwrap().rows_affected(), 0);
    let statement = format!("delete from membership where workspace_id = '{THEIRS}'");
    assert_eq!(login.execute(AssertSqlSafe(statement)).await.unwrap().rows_affected(), 0);
}

#[tokio::test]
async fn rows_cannot_be_written_into_or_moved_to_another_tenant() {
    let database = TestDatabase::new().await;
    let mut login = two_tenants(&database).await;
    let insert = format!(
        "insert into membership (workspace_id, user_id, role, joined_at) values ('{THEIRS}', gen_random_uuid(), 'owner', now())"
    );
    assert_eq!(code(&mut login, &insert).await.as_deref(), Some("42501"));
    let update = format!("update membership set workspace_id = '{THEIRS}'");
    assert_eq!(code(&mut login, &update).await.as_deref(), Some("42501"));
}

#[tokio::test]
async fn a_foreign_key_or_a_duplicate_reveals_nothing() {
    let database = TestDatabase::new().await;
    let mut login = two_tenants(&database).await;
    let member = |workspace: &str, user: &str| {
        format!(
            "insert into membership (workspace_id, user_id, role, joined_at) values ('{workspace}', '{user}', 'viewer', now())"
        )
    };
    // Writing to another workspace gives the same error for an existing and a missing workspace, and for known and
    // unknown ids.
    let absent = "00000000-0000-7000-8000-000000000003";
    for workspace in [THEIRS, absent] {
        for user in [OBJECT, absent] {
            assert_eq!(code(&mut login, &member(workspace, user)).await.as_deref(), Some("42501"));
        }
    }
    // In the own workspace, a taken id is reported.
    assert_eq!(code(&mut login, &member(MINE, OBJECT)).await.as_deref(), Some("23505"));
    login.execute("delete from membership").await.unwrap();
    assert_eq!(code(&mut login, &member(MINE, OBJECT)).await, None);
}

#[tokio::test]
async fn without_a_workspace_no_table_has_rows() {
    let database = TestDatabase::new().await;
    let mut login = two_tenants(&database).await;
    login.execute("commit").await.unwrap();
    for setting in ["", "; set local app.workspace_id = ''"] {
        login.execute(AssertSqlSafe(format!("begin; set local role tidegate_api{setting}"))).await.unwrap();
        let tables = catalog::tenant_tables(&mut login, "tidegate_api").await;
        assert!(tables.iter().any(|table| table == "membership"), "{tables:?}");
        for table in tables {
            assert_eq!(count(&mut login, &table).await, 0, "{table}");
        }
        login.execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn outside_a_transaction_there_are_no_rights() {
    let database = TestDatabase::new().await;
    let mut login = two_tenants(&database).await;
    login.execute("rollback").await.unwrap();
    for table in catalog::tenant_tables(&mut database.admin().await, "tidegate_api").await {
        let result = login.execute(AssertSqlSafe(format!("select from {table}"))).await;
        let error = result.unwrap_err();
        assert_eq!(error.as_database_error().and_then(DatabaseError::code).as_deref(), Some("42501"), "{table}");
    }
}
