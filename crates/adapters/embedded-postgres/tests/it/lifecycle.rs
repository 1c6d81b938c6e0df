//! Starting, stopping, and broken connections in between.

use std::io::Write;
use std::net::TcpStream;

use sqlx::{Connection, Executor};
use tidegate_embedded_postgres::{EmbeddedPostgres, StartError};

use crate::connect;

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_there_after_a_restart_on_the_same_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = EmbeddedPostgres::start(directory.path()).unwrap();
    let mut connection = connect(&first).await;
    connection.execute("create table note (text text); insert into note values ('kept')").await.unwrap();
    connection.close().await.unwrap();
    first.shutdown().unwrap();

    let second = EmbeddedPostgres::start(directory.path()).unwrap();
    let mut connection = connect(&second).await;
    let text: String = sqlx::query_scalar("select text from note").fetch_one(&mut connection).await.unwrap();
    assert_eq!(text, "kept");
    connection.close().await.unwrap();
    second.shutdown().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_by_name() {
    let first = EmbeddedPostgres::temporary().unwrap();
    let error = EmbeddedPostgres::start(first.directory()).unwrap_err();
    assert!(matches!(error, StartError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    let directory = first.directory().to_owned();
    first.shutdown().unwrap();
    assert!(!directory.exists(), "a temporary directory is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_does_not_end_it() {
    let postgres = EmbeddedPostgres::temporary().unwrap();
    let mut connection = connect(&postgres).await;
    connection.execute("create table note (text text); insert into note values ('kept')").await.unwrap();
    connection.execute("begin; insert into note values ('not committed')").await.unwrap();
    // The socket is closed in the middle of a transaction, without PostgreSQL's terminate message.
    connection.close_hard().await.unwrap();
    // Then a client connects that does not speak the protocol.
    let address = postgres.url().split(['@', '/']).nth(3).unwrap().to_owned();
    TcpStream::connect(address).unwrap().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();

    let mut connection = connect(&postgres).await;
    let rows: Vec<String> = sqlx::query_scalar("select text from note").fetch_all(&mut connection).await.unwrap();
    assert_eq!(rows, ["kept"]);
    connection.close().await.unwrap();
    postgres.shutdown().unwrap();
}
