//! SIGKILL during uploads. Afterwards rows, objects and quota agree, and every acknowledged file is there.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use tidegate_files::object::{ObjectKey, ObjectStore};
use tidegate_files::{FileFilter, FileLimits, FileTasks, Files, FilesConfig, FilesTx};
use tidegate_kernel::{Limit, Meter, NoQuota, PageSize, StoreError, UnitOfWork, WorkspaceId, WorkspaceScope};
use tidegate_object_store::Location;
use tidegate_testing::TestDatabase;
use tidegate_testing::clock::test_clock;
use tidegate_testing::scope::{request_id, system_scope, workspace_scope};

use crate::client::Caller;
use crate::process::{Home, Server};

const KILLS: usize = 6;
/// Uploads under way at each kill.
const UPLOADS: usize = 8;

struct NoLimit;

#[async_trait]
impl FileLimits for NoLimit {
    async fn largest_file(&self, _: &WorkspaceScope) -> Result<Limit, StoreError> {
        Ok(Limit::Unlimited)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_during_uploads_leave_no_orphan() {
    let (database, directory) = (TestDatabase::new().await, tempfile::tempdir().expect("a directory can be made"));
    let home = Home::WithObjects(&database, directory.path());
    let seed = RandomState::new().hash_one(0);
    println!("seed {seed}");
    let mut server = Server::start(&home).await;
    let caller = Caller::new(&server.base).await;
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        let under_way: Vec<_> = (0..UPLOADS)
            .map(|n| {
                let caller = caller.clone();
                // Some fit into one part, and some do not.
                let bytes = vec![b'x'; 100_000 + n * 2_500_000];
                tokio::spawn(async move { caller.upload(&format!("{round}-{n}.bin"), &bytes).await })
            })
            .collect();
        let moment = (seed.rotate_left(u32::try_from(round).unwrap_or(0) * 7) % 400_000) + 5_000;
        tokio::time::sleep(Duration::from_micros(moment)).await;
        server.kill().await;
        server = Server::start(&home).await;
        caller.moved(&server.base);
        for upload in under_way {
            acknowledged.extend(upload.await.expect("an upload ends"));
        }
    }
    // One that nobody kills.
    acknowledged.extend(caller.upload("last.bin", b"hello").await);
    assert!(server.terminate().await, "the last server ends well");

    // What a server does once the leases of the killed ones are over.
    let (clock, env) = test_clock();
    let store = Arc::new(database.store(env.clone()).await);
    let location = Location::parse(&format!("file://{}", directory.path().display()), []).expect("a location");
    let objects: Arc<dyn ObjectStore> = Arc::new(location.open().expect("the objects"));
    let (quota, limits) = (Arc::new(NoQuota), Arc::new(NoLimit));
    let files = Files::new(store.clone(), objects.clone(), quota, limits, FilesConfig::default(), env);
    let tasks = FileTasks::new(files, store.clone(), Arc::new(system_scope()));
    for _ in 0..2 {
        clock.advance(TimeDelta::hours(3));
        assert_eq!(tasks.run(&request_id()).await.expect("tasks are done").failed, 0);
    }

    let workspace: WorkspaceId = caller.workspace().parse().expect("a workspace's id");
    let scope = workspace_scope(workspace);
    let mut tx = UnitOfWork::<dyn FilesTx>::begin(&*store, &scope).await.expect("a transaction begins");
    let size = PageSize::new(PageSize::MAX).expect("a size");
    let rows = tx.files().list(&FileFilter::default(), None, size).await.expect("files are listed");
    let used = tx.levels().level(Meter::StorageBytes).await.expect("the level is read");
    let ids: BTreeSet<String> = rows.iter().map(|file| file.id.to_string()).collect();
    assert!(acknowledged.is_subset(&ids), "an acknowledged file is lost");
    assert_eq!(used, rows.iter().map(|file| file.size).sum::<i64>(), "the quota is what is stored");
    for file in &rows {
        let size = objects.size(&ObjectKey::file(&scope, file.id)).await.expect("a size");
        assert_eq!(size, Some(file.size.unsigned_abs()), "{file:?}");
    }
    assert_eq!(tidegate_testing::s3::stored(directory.path()).len(), rows.len(), "an object has no row");
    assert_eq!(database.count("select count(*) from file".to_owned()).await, i64::try_from(rows.len()).unwrap_or(0));
}
