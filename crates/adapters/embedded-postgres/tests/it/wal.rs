//! The write-ahead log stays small, both during writes and after a shutdown.

use std::fs;
use std::path::Path;

use sqlx::{Connection, Executor};
use tidegate_embedded_postgres::{CHECKPOINT, Chore, EmbeddedPostgres, Schedule, maintain};
use tokio::sync::Mutex;

use crate::connect;

const MIB: u64 = 1 << 20;

/// How much a busy client writes: more than the log may hold.
const WRITTEN: u64 = 320 * MIB;
/// The most that the log may hold.
const BOUND: u64 = 256 * MIB;

/// The size in bytes of the files below `folder` whose path contains `part`.
fn size(folder: &Path, part: &str) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let each = entries.map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            size(&path, part)
        } else if path.to_string_lossy().contains(part) {
            entry.metadata().map_or(0, |file| file.len())
        } else {
            0
        }
    });
    each.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_bounded_while_somebody_writes_and_small_after_a_stop() {
    let directory = tempfile::tempdir().unwrap();
    let postgres = EmbeddedPostgres::start(directory.path()).unwrap();
    let mut connection = connect(&postgres).await;
    // Large uncompressed values, so that most of what is written is write-ahead log.
    let table = "create table note (text text); alter table note alter text set storage external";
    connection.execute(table).await.unwrap();
    let connection = Mutex::new(connection);
    let writing = async {
        let (mut written, mut largest) = (0, 0);
        while written < WRITTEN {
            let mut connection = connection.lock().await;
            connection.execute("insert into note values (repeat('0123456789abcdef', 131072))").await.unwrap();
            let lsn = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint";
            let lsn: i64 = sqlx::query_scalar(lsn).fetch_one(&mut *connection).await.unwrap();
            written = u64::try_from(lsn).unwrap();
            connection.execute("truncate note").await.unwrap();
            drop(connection);
            largest = largest.max(postgres.wal().bytes());
        }
        largest
    };
    let keeping = maintain(
        Schedule::default(),
        || postgres.wal().bytes(),
        async |chore| match chore {
            Chore::Checkpoint => connection.lock().await.execute(CHECKPOINT).await.map(drop),
            Chore::Vacuum => Ok(()),
        },
    );
    let largest = tokio::select! {
        largest = writing => largest,
        () = keeping => unreachable!("it is kept as long as somebody asks for it"),
    };
    assert!(largest >= Schedule::default().wal && largest < BOUND, "{} MiB", largest / MIB);
    assert!(size(directory.path(), "pg_wal") >= 16 * MIB, "this is where the log is");

    let mut connection = connection.into_inner();
    connection.execute(CHECKPOINT).await.unwrap();
    connection.close().await.unwrap();
    postgres.shutdown().unwrap();
    let left = size(directory.path(), "pg_wal");
    assert!(left <= 48 * MIB, "{} MiB after the stop", left / MIB);
}
