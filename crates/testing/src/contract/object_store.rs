//! Obligations of object stores. `leftovers` lists everything that is stored, parts without an object included.

use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tidegate_files::object::{
    Expected, ObjectError, ObjectKey, ObjectPrefix, ObjectStore, PresignedMethod, PresignedRequest,
};
use tidegate_kernel::{Environment, FileId, UploadId, WorkspaceId, WorkspaceScope};

use crate::clock::test_clock;
use crate::scope::workspace_scope;

/// More than two parts of every store.
const LARGE: usize = 20 * 1024 * 1024 + 17;

/// A store, and what a test knows of what lies in it.
pub struct ObjectStoreContract<'a> {
    /// The store.
    pub store: &'a dyn ObjectStore,
    /// The names of everything that is stored.
    pub leftovers: &'a (dyn Fn() -> Vec<String> + Sync),
    /// Sends a presigned request with a body, and returns the status and the body of the response.
    pub send: &'a (dyn AsyncSend + Sync),
}

/// Sends presigned requests.
#[async_trait::async_trait]
pub trait AsyncSend {
    /// Sends `request` with `body`, and returns the status and the body of the response.
    async fn send(&self, request: PresignedRequest, body: Bytes) -> (u16, Bytes);
}

impl std::fmt::Debug for ObjectStoreContract<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectStoreContract").finish_non_exhaustive()
    }
}

fn env() -> Environment {
    test_clock().1
}

fn scope() -> WorkspaceScope {
    workspace_scope(WorkspaceId::generate(&env()))
}

fn key(scope: &WorkspaceScope) -> ObjectKey {
    ObjectKey::file(scope, FileId::generate(&env()))
}

/// Bytes whose value depends on their place, so that parts in another order are noticed.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|n| u8::try_from((n / 251 + n) % 251).unwrap_or_default()).collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

impl ObjectStoreContract<'_> {
    async fn read(&self, key: &ObjectKey, range: Option<std::ops::Range<u64>>) -> Option<Bytes> {
        let read = self.store.read(key, range).await.expect("it is read")?;
        let parts: Vec<Bytes> = read.bytes.try_collect().await.expect("every part arrives");
        Some(parts.concat().into())
    }

    async fn write(&self, key: &ObjectKey, bytes: &Bytes, expected: Expected) -> Result<(), ObjectError> {
        let mut writer = self.store.writer(key).await?;
        for start in (0..bytes.len()).step_by(3_000_001) {
            writer.write(bytes.slice(start..bytes.len().min(start + 3_000_001))).await?;
        }
        let written = writer.finish(expected).await?;
        assert_eq!((written.size, written.sha256), (bytes.len() as u64, sha256(bytes)));
        Ok(())
    }

    /// Waits until nothing is stored any more: a writer that is dropped is aborted in the background.
    async fn until_empty(&self) {
        let waited = tokio::time::timeout(Duration::from_secs(20), async {
            while !(self.leftovers)().is_empty() {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{:?} is left", (self.leftovers)());
    }

    /// Objects of every size read back as they were written, whole and in ranges.
    pub async fn what_is_written_reads_back(&self) {
        let scope = scope();
        for length in [0, 1, 65_536, 8 * 1024 * 1024, 8 * 1024 * 1024 + 1, LARGE] {
            let (bytes, key) = (pattern(length), key(&scope));
            self.write(&key, &bytes, Expected::default()).await.expect("it is written");
            assert_eq!(self.store.size(&key).await.expect("a size"), Some(length as u64));
            assert!(self.read(&key, None).await.expect("it exists") == bytes, "{length} bytes");
            let end = length.min(1_000_000);
            for range in [0..end, end / 2..end, length.saturating_sub(1)..length] {
                let part = self.read(&key, Some(range.start as u64..range.end as u64)).await.expect("it exists");
                assert!(part == bytes.slice(range.clone()), "{range:?} of {length} bytes");
            }
            self.store.delete(&key).await.expect("it is deleted");
        }
        self.until_empty().await;
    }

    /// `put` stores small objects, and a second one replaces the first.
    pub async fn a_put_replaces(&self) {
        let key = key(&scope());
        for text in ["first", "second, longer"] {
            let expected = Expected { size: Some(text.len() as u64), sha256: Some(sha256(text.as_bytes())) };
            self.store.put(&key, text.into(), expected).await.expect("it is stored");
            assert_eq!(self.read(&key, None).await.expect("it exists"), text);
        }
        self.store.delete(&key).await.expect("it is deleted");
        self.store.delete(&key).await.expect("it is deleted already");
        assert_eq!(self.read(&key, None).await, None);
        assert_eq!(self.store.size(&key).await.expect("an answer"), None);
        self.until_empty().await;
    }

    /// MUST store nothing, and leave no parts, if the bytes are not the expected ones.
    pub async fn other_bytes_are_refused_and_leave_nothing(&self) {
        let scope = scope();
        for length in [5, LARGE] {
            let bytes = pattern(length);
            let wrong_size = Expected { size: Some(length as u64 + 1), sha256: None };
            let wrong_sha256 = Expected { size: None, sha256: Some(sha256(b"other")) };
            for expected in [wrong_size, wrong_sha256] {
                let key = key(&scope);
                let error = self.write(&key, &bytes, expected).await.expect_err("it is refused");
                assert!(matches!(error, ObjectError::Mismatch { .. }), "{error:?}");
                assert_eq!(self.store.size(&key).await.expect("an answer"), None);
                let error = self.store.put(&key, bytes.clone(), expected).await.expect_err("it is refused");
                assert!(matches!(error, ObjectError::Mismatch { .. }), "{error:?}");
                assert_eq!(self.store.size(&key).await.expect("an answer"), None);
            }
        }
        self.until_empty().await;
    }

    /// MUST leave neither an object nor parts if a writer is aborted or dropped.
    pub async fn a_writer_that_gives_up_leaves_nothing(&self) {
        let scope = scope();
        for is_dropped in [false, true] {
            let key = key(&scope);
            let mut writer = self.store.writer(&key).await.expect("a writer");
            writer.write(pattern(LARGE)).await.expect("it is written");
            assert_eq!(self.store.size(&key).await.expect("an answer"), None, "an object appears when it is finished");
            if is_dropped {
                drop(writer);
            } else {
                writer.abort().await.expect("it is aborted");
            }
            self.until_empty().await;
            assert_eq!(self.store.size(&key).await.expect("an answer"), None);
        }
    }

    /// `delete` MUST remove what a writer of a killed process has left.
    pub async fn a_delete_removes_parts_of_a_lost_writer(&self) {
        let (scope, other) = (scope(), scope());
        let (key, kept) = (key(&scope), key(&scope));
        for lost in [&key, &kept] {
            let mut writer = self.store.writer(lost).await.expect("a writer");
            writer.write(pattern(LARGE)).await.expect("it is written");
            // A killed process runs no destructor.
            std::mem::forget(writer);
        }
        self.write(&self::key(&other), &pattern(3), Expected::default()).await.expect("it is written");
        self.store.delete(&key).await.expect("it is deleted");
        assert!((self.leftovers)().len() >= 2, "another object's parts stay");
        let mut found = usize::MAX;
        while found > 0 {
            found = self.store.delete_some(&ObjectPrefix::workspace(&scope), 10).await.expect("they are deleted");
        }
        assert_eq!((self.leftovers)().len(), 1, "another workspace's object stays: {:?}", (self.leftovers)());
        self.store.delete_some(&ObjectPrefix::workspace(&other), 10).await.expect("they are deleted");
        self.until_empty().await;
    }

    /// A copy has the bytes of its source; copying what does not exist changes nothing.
    pub async fn a_copy_has_the_same_bytes(&self) {
        let scope = scope();
        let from = ObjectKey::upload(&scope, UploadId::generate(&env()));
        let to = key(&scope);
        assert!(!self.store.copy(&from, &to).await.expect("an answer"));
        assert_eq!(self.store.size(&to).await.expect("an answer"), None);
        self.store.put(&from, pattern(1_000), Expected::default()).await.expect("it is stored");
        assert!(self.store.copy(&from, &to).await.expect("it is copied"));
        self.store.put(&from, pattern(5), Expected::default()).await.expect("it is replaced");
        assert_eq!(self.read(&to, None).await.expect("it exists"), pattern(1_000), "a copy is no link");
        for key in [&from, &to] {
            self.store.delete(key).await.expect("it is deleted");
        }
        self.until_empty().await;
    }

    /// A list has the objects of one workspace in the order of their keys, page by page, and none of another.
    pub async fn a_prefix_reaches_one_workspace(&self) {
        let (ours, theirs) = (scope(), scope());
        let mut keys: Vec<_> = (0..5).map(|_| key(&ours)).collect();
        keys.push(ObjectKey::upload(&ours, UploadId::generate(&env())));
        keys.sort_unstable();
        let foreign = key(&theirs);
        for (n, key) in keys.iter().chain([&foreign]).enumerate() {
            self.store.put(key, pattern(n), Expected::default()).await.expect("it is stored");
        }
        let prefix = ObjectPrefix::workspace(&ours);
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&prefix, after.as_ref(), 4).await.expect("they are listed");
            assert!(page.len() <= 4);
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            listed.extend(page.into_iter().map(|object| (object.key, object.size)));
        }
        let expected: Vec<_> = keys.into_iter().enumerate().map(|(n, key)| (key, n as u64)).collect();
        assert_eq!(listed, expected);
        let mut deleted = 0;
        loop {
            match self.store.delete_some(&prefix, 4).await.expect("they are deleted") {
                0 => break,
                some => deleted += some,
            }
        }
        assert_eq!(deleted, 6);
        assert_eq!(self.store.size(&foreign).await.expect("an answer"), Some(6), "another workspace's object stays");
        self.store.delete(&foreign).await.expect("it is deleted");
        self.until_empty().await;
    }

    /// A presigned request does what it is for, and no other; a store that cannot make one says so.
    pub async fn a_presigned_request_is_for_one_object(&self, can_presign: bool) {
        let scope = scope();
        let upload = ObjectKey::upload(&scope, UploadId::generate(&env()));
        let (now, hour) = (DateTime::from_timestamp(1_000_000, 0).expect("a time"), Duration::from_secs(3600));
        let bytes = pattern(1_000);
        let method = PresignedMethod::Put { sha256: Some(sha256(&bytes)) };
        let put = self.store.presign(&upload, method, now, hour).await.expect("an answer");
        assert_eq!(put.is_some(), can_presign);
        let Some(put) = put else { return };
        assert_eq!((put.method, put.expires_at), ("PUT", now + chrono::TimeDelta::hours(1)));
        let (status, _) = self.send.send(put.clone(), pattern(999)).await;
        assert!((400..500).contains(&status), "other bytes are refused by the store: {status}");
        assert_eq!(self.store.size(&upload).await.expect("an answer").unwrap_or_default() % 999, 0);
        let (status, _) = self.send.send(put.clone(), bytes.clone()).await;
        assert_eq!(status, 200);
        assert_eq!(self.store.size(&upload).await.expect("an answer"), Some(1_000));
        let other = PresignedRequest { url: put.url.replacen("/upl_", "/upl_0", 1), ..put };
        let (status, _) = self.send.send(other, bytes.clone()).await;
        assert_eq!(status, 403, "the URL is for one object");
        let get = self.store.presign(&upload, PresignedMethod::Get, now, hour).await.expect("an answer");
        let (status, read) = self.send.send(get.expect("it can be made"), Bytes::new()).await;
        assert_eq!((status, read), (200, bytes));
        self.store.delete(&upload).await.expect("it is deleted");
        self.until_empty().await;
    }
}
