//! A process that stops at any step: afterwards rows, objects and quota agree.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use tidegate_files::object::{
    Expected, ListedObject, ObjectError, ObjectKey, ObjectPrefix, ObjectRead, ObjectStore, ObjectWriter,
    PresignedMethod, PresignedRequest, Written,
};
use tidegate_files::{
    FileLimits, FileName, FileState, FileTasks, Files, FilesConfig, FilesTx, Metadata, UploadRequest,
};
use tidegate_kernel::{
    Environment, FileId, Limit, NoQuota, StoreError, UnitOfWork, UploadId, WorkspaceId, WorkspaceScope,
};
use tidegate_object_store::Location;
use tidegate_postgres::PgStore;
use tidegate_testing::clock::test_clock;
use tidegate_testing::scope::{request_id, system_scope, workspace_scope};
use tidegate_testing::{TestClock, TestDatabase};
use tokio::sync::Notify;

use crate::object_home::ObjectHome;

/// Counts the steps that a process may still do. At zero it stands still for ever, as a killed one does.
#[derive(Clone)]
struct Steps(Arc<(AtomicI64, Notify)>);

impl Steps {
    fn new(steps: i64) -> Self {
        Self(Arc::new((AtomicI64::new(steps), Notify::new())))
    }

    async fn step(&self) {
        if self.0.0.fetch_sub(1, Ordering::Relaxed) <= 0 {
            self.0.1.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the process stands still.
    async fn stopped(&self) {
        self.0.1.notified().await;
    }
}

/// A store of objects or rows that stops before and after each step.
#[derive(Clone)]
struct Stopping<S>(S, Steps);

#[async_trait]
impl ObjectStore for Stopping<Arc<dyn ObjectStore>> {
    async fn put(&self, key: &ObjectKey, bytes: Bytes, expected: Expected) -> Result<Written, ObjectError> {
        self.1.step().await;
        let done = self.0.put(key, bytes, expected).await;
        self.1.step().await;
        done
    }

    async fn writer(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, ObjectError> {
        Ok(Box::new(StoppingWriter(self.0.writer(key).await?, self.1.clone())))
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ObjectRead>, ObjectError> {
        self.1.step().await;
        self.0.read(key, range).await
    }

    async fn size(&self, key: &ObjectKey) -> Result<Option<u64>, ObjectError> {
        self.0.size(key).await
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey) -> Result<bool, ObjectError> {
        self.1.step().await;
        let done = self.0.copy(from, to).await;
        self.1.step().await;
        done
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        self.1.step().await;
        let done = self.0.delete(key).await;
        self.1.step().await;
        done
    }

    async fn delete_some(&self, prefix: &ObjectPrefix, limit: usize) -> Result<usize, ObjectError> {
        self.0.delete_some(prefix, limit).await
    }

    async fn list(
        &self,
        prefix: &ObjectPrefix,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        self.0.list(prefix, after, limit).await
    }

    async fn presign(
        &self,
        key: &ObjectKey,
        method: PresignedMethod,
        now: DateTime<Utc>,
        valid_for: Duration,
    ) -> Result<Option<PresignedRequest>, ObjectError> {
        self.0.presign(key, method, now, valid_for).await
    }
}

struct StoppingWriter(Box<dyn ObjectWriter>, Steps);

#[async_trait]
impl ObjectWriter for StoppingWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError> {
        self.1.step().await;
        self.0.write(bytes).await
    }

    async fn finish(self: Box<Self>, expected: Expected) -> Result<Written, ObjectError> {
        self.1.step().await;
        let done = self.0.finish(expected).await;
        self.1.step().await;
        done
    }

    async fn abort(self: Box<Self>) -> Result<(), ObjectError> {
        self.1.step().await;
        self.0.abort().await
    }
}

#[async_trait]
impl UnitOfWork<dyn FilesTx> for Stopping<Arc<PgStore>> {
    /// A transaction that begins is a step: all that comes before it is committed, and it may never be.
    async fn begin(&self, scope: &WorkspaceScope) -> Result<Box<dyn FilesTx>, StoreError> {
        self.1.step().await;
        self.0.begin(scope).await
    }
}

struct NoLimit;

#[async_trait]
impl FileLimits for NoLimit {
    async fn largest_file(&self, _: &WorkspaceScope) -> Result<Limit, StoreError> {
        Ok(Limit::Unlimited)
    }
}

/// A database, an object store, and processes that use both.
struct Place {
    database: TestDatabase,
    home: Arc<ObjectHome>,
    store: Arc<PgStore>,
    objects: Arc<dyn ObjectStore>,
    clock: Arc<TestClock>,
    env: Environment,
    workspace: WorkspaceId,
}

/// What a process does until it is stopped.
#[derive(Debug, Clone, Copy)]
enum Work {
    Upload,
    BrokenUpload,
    Presigned,
    Purge,
}

impl Place {
    /// Presigned uploads need an S3 server. The others use a directory, on which what a killed writer leaves can be seen.
    async fn new(work: Work) -> Self {
        let (clock, env) = test_clock();
        let database = TestDatabase::new().await;
        let home = if matches!(work, Work::Presigned) { ObjectHome::s3().await } else { ObjectHome::directory() };
        let store = Arc::new(database.store(env.clone()).await);
        let workspace = database.workspace(&env).await;
        let (url, options) = home.location();
        let objects = Location::parse(&url, options).unwrap().open().unwrap();
        Self { database, home, store, objects: Arc::new(objects), clock, env, workspace }
    }

    /// The use cases in a process that does so many steps.
    fn process(&self, steps: &Steps) -> Files {
        let (rows, objects) =
            (Stopping(self.store.clone(), steps.clone()), Stopping(self.objects.clone(), steps.clone()));
        let (quota, limits) = (Arc::new(NoQuota), Arc::new(NoLimit));
        Files::new(Arc::new(rows), Arc::new(objects), quota, limits, FilesConfig::default(), self.env.clone())
    }

    fn tasks(&self, steps: &Steps) -> FileTasks {
        FileTasks::new(self.process(steps), self.store.clone(), Arc::new(system_scope()))
    }

    fn request() -> UploadRequest {
        let name = FileName::new("a.bin").unwrap();
        UploadRequest { name, content_type: None, sha256: None, metadata: Metadata::default() }
    }

    /// Does the work until it ends or the process is stopped. True if it ended.
    async fn work(&self, work: Work, steps: i64) -> bool {
        let scope = workspace_scope(self.workspace);
        let bytes = Bytes::from(vec![7; 6 * 1024 * 1024]);
        let steps = Steps::new(steps);
        let files = self.process(&steps);
        let mut work_of_process = Box::pin(async {
            match work {
                Work::Upload | Work::BrokenUpload => {
                    let mut upload = files.begin_upload(&scope, Self::request(), Some(5_000_000)).await.unwrap();
                    for _ in 0..3 {
                        upload.write(bytes.clone()).await.unwrap();
                    }
                    if matches!(work, Work::Upload) {
                        upload.finish(None).await.unwrap();
                    } else {
                        upload.discard().await;
                    }
                }
                Work::Presigned => {
                    let upload = files.begin_presigned(&scope, Self::request(), 5).await.unwrap();
                    let key = ObjectKey::upload(&scope, UploadId::from_uuid(upload.id.as_uuid()));
                    self.objects.put(&key, "hello".into(), Expected::default()).await.unwrap();
                    files.complete(&scope, upload.id).await.unwrap();
                }
                Work::Purge => {
                    let whole = self.process(&Steps::new(i64::MAX));
                    let mut upload = whole.begin_upload(&scope, Self::request(), None).await.unwrap();
                    upload.write("hello".into()).await.unwrap();
                    let file = upload.finish(None).await.unwrap();
                    whole.delete(&scope, file.id).await.unwrap();
                    self.clock.advance(TimeDelta::days(31));
                    self.tasks(&steps).run(&request_id()).await.unwrap();
                }
            }
        });
        let is_done = tokio::select! {
            () = &mut work_of_process => true,
            () = steps.stopped() => false,
        };
        if !is_done && !matches!(work, Work::Presigned) {
            // A killed process runs no destructor.
            std::mem::forget(work_of_process);
        }
        is_done
    }

    /// Rows, objects and quota agree.
    async fn agrees(&self, context: &str) {
        let scope = workspace_scope(self.workspace);
        let mut tx = UnitOfWork::<dyn FilesTx>::begin(&*self.store, &scope).await.unwrap();
        let used = tx.levels().level(tidegate_kernel::Meter::StorageBytes).await.unwrap();
        let filter = tidegate_files::FileFilter { states: FileState::ALL.to_vec(), ..Default::default() };
        let files = tx.files().list(&filter, None, tidegate_kernel::PageSize::default()).await.unwrap();
        drop(tx);
        let stored: Vec<_> = files.iter().filter(|file| file.state != FileState::Purged).collect();
        assert_eq!(used, stored.iter().map(|file| file.size).sum::<i64>(), "{context}: quota and rows");
        assert!(stored.iter().all(|file| file.state == FileState::Uploaded), "{context}: {stored:?}");
        for file in &stored {
            let size = self.objects.size(&ObjectKey::file(&scope, file.id)).await.unwrap();
            assert_eq!(size, Some(file.size.unsigned_abs()), "{context}: {file:?}");
        }
        let ids: Vec<FileId> = stored.iter().map(|file| file.id).collect();
        let objects = self.home.stored();
        assert_eq!(objects.len(), ids.len(), "{context}: {objects:?} and {ids:?}");
        let rows = self.database.count("select count(*) from file where state = 'abandoned'".to_owned()).await;
        assert_eq!(rows, 0, "{context}: an abandoned upload is forgotten");
    }

    /// A process after the stop does what is due, until nothing is.
    async fn recover(&self) {
        for _ in 0..3 {
            self.clock.advance(TimeDelta::hours(3));
            let figures = self.tasks(&Steps::new(i64::MAX)).run(&request_id()).await.unwrap();
            assert_eq!(figures.failed, 0);
        }
    }
}

/// Stops the work after each of its steps, in turn, until it is done without a stop.
async fn stopped_at_each_step(work: Work) {
    let place = Place::new(work).await;
    for steps in 0.. {
        let done = place.work(work, steps).await;
        place.recover().await;
        place.agrees(&format!("{work:?} after {steps} steps")).await;
        if done {
            assert!(steps > 3, "there are steps to stop at");
            return;
        }
        assert!(steps < 40, "it ends at last");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_stopped_leaves_a_file_or_nothing() {
    stopped_at_each_step(Work::Upload).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_and_is_stopped_leaves_nothing() {
    stopped_at_each_step(Work::BrokenUpload).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presigned_upload_that_is_stopped_leaves_a_file_or_nothing() {
    stopped_at_each_step(Work::Presigned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_is_stopped_goes_on() {
    stopped_at_each_step(Work::Purge).await;
}
