//! The features that tenant isolation needs work here too, although every session logs in as the superuser.

use sqlx::{Connection, Executor};
use tidegate_embedded_postgres::{CHECKPOINT, EmbeddedPostgres, VACUUMS_DUE};

use crate::connect;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_gave_up_its_rights_is_held_by_row_level_security() {
    let postgres = EmbeddedPostgres::temporary().unwrap();
    let mut connection = connect(&postgres).await;
    let setup = "
        create role session nologin noinherit nosuperuser nobypassrls;
        create role tenant nologin noinherit nosuperuser nobypassrls;
        grant tenant to session;
        create table note (owner int, text text);
        alter table note enable row level security;
        alter table note force row level security;
        create policy own on note to tenant using (owner = nullif(current_setting('app.owner', true), '')::int);
        grant select on note to tenant;
        insert into note values (1, 'one'), (2, 'two');
        set session authorization session;";
    connection.execute(setup).await.unwrap();

    assert!(connection.execute("select from note").await.is_err(), "outside a transaction it has no rights");
    for (owner, expected) in [("1", vec!["one"]), ("2", vec!["two"]), ("", vec![])] {
        let begin = format!("begin; set local role tenant; set local app.owner = '{owner}'");
        connection.execute(sqlx::AssertSqlSafe(begin)).await.unwrap();
        let rows: Vec<String> = sqlx::query_scalar("select text from note").fetch_all(&mut connection).await.unwrap();
        assert_eq!(rows, expected);
        connection.execute("commit").await.unwrap();
    }

    connection.execute("set session authorization postgres").await.unwrap();
    connection.execute("insert into note select n, 'more' from generate_series(1, 1000) n").await.unwrap();
    connection.execute("update note set text = 'changed'").await.unwrap();
    // Statistics are otherwise reported at most once a second.
    connection.execute("select pg_stat_force_next_flush()").await.unwrap();
    let due: Vec<String> = sqlx::query_scalar(VACUUMS_DUE).fetch_all(&mut connection).await.unwrap();
    assert_eq!(due.first().map(String::as_str), Some("VACUUM (ANALYZE) public.note"), "{due:?}");
    for chore in due {
        connection.execute(sqlx::AssertSqlSafe(chore)).await.unwrap();
    }
    let due: Vec<String> = sqlx::query_scalar(VACUUMS_DUE).fetch_all(&mut connection).await.unwrap();
    assert!(!due.iter().any(|statement| statement.contains("note")), "once is enough: {due:?}");
    connection.execute(CHECKPOINT).await.unwrap();
    connection.close().await.unwrap();
    postgres.shutdown().unwrap();
}
