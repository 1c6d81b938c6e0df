//! A killed process loses nothing that it has acknowledged.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, io};

use sqlx::{Connection, Executor};
use tidegate_embedded_postgres::EmbeddedPostgres;

use crate::connect;

/// The variable with the data directory of the writer.
const DIRECTORY: &str = "TIDEGATE_KILL_TEST_DIRECTORY";

/// Not a test by itself: the process that the test below starts and kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a helper of acknowledged_rows_survive_a_kill"]
async fn writer() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let postgres = EmbeddedPostgres::start(Path::new(&directory)).unwrap();
    let mut connection = connect(&postgres).await;
    connection.execute("create table if not exists written (n bigint primary key)").await.unwrap();
    let insert = "insert into written select coalesce(max(n), 0) + 1 from written returning n";
    loop {
        let n: i64 = sqlx::query_scalar(insert).fetch_one(&mut connection).await.unwrap();
        println!("written {n}");
    }
}

/// Starts a writer, waits until it has acknowledged `rows` more, kills it, and returns the last acknowledged row.
fn write_and_kill(directory: &Path, rows: usize) -> i64 {
    let mut writer = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::writer", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut acknowledged = lines.map_while(io::Result::ok).filter_map(|line| {
        let (_, number) = line.split_once("written ")?;
        number.parse::<i64>().ok()
    });
    let seen = acknowledged.by_ref().take(rows).last();
    writer.kill().unwrap();
    writer.wait().unwrap();
    // Includes the rows that it acknowledged before it died.
    acknowledged.last().or(seen).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_rows_survive_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut last = 0;
    for rows in [1, 40, 200] {
        let acknowledged = write_and_kill(directory.path(), rows);
        assert!(acknowledged > last);
        last = acknowledged;
    }
    let postgres = EmbeddedPostgres::start(directory.path()).unwrap();
    let mut connection = connect(&postgres).await;
    let (count, highest): (i64, i64) =
        sqlx::query_as("select count(*), max(n) from written").fetch_one(&mut connection).await.unwrap();
    assert_eq!(count, highest, "no row is missing");
    assert!(highest >= last, "{last} was acknowledged, {highest} is there");
    connection.close().await.unwrap();
    postgres.shutdown().unwrap();
}
