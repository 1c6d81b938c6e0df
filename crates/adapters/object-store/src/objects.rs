//! The port on any store of the `object_store` crate.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStoreExt, PutPayload};
use sha2::{Digest, Sha256};
use tidegate_files::object::{
    Expected, ListedObject, ObjectError, ObjectKey, ObjectPrefix, ObjectRead, ObjectStore, ObjectWriter,
    PresignedMethod, PresignedRequest, Written,
};

use crate::pieces::pieces;
use crate::presign::Signing;
use crate::unfinished::{Unfinished, delete_all};
use crate::writer::PartWriter;

/// A store of objects.
#[derive(Debug, Clone)]
pub struct Objects {
    pub(crate) store: Arc<dyn object_store::ObjectStore>,
    /// What every key begins with in the store.
    prefix: Path,
    signing: Option<Signing>,
    unfinished: Unfinished,
}

impl Objects {
    pub(crate) fn new(
        store: Arc<dyn object_store::ObjectStore>,
        prefix: Path,
        signing: Option<Signing>,
        unfinished: Unfinished,
    ) -> Self {
        Self { store, prefix, signing, unfinished }
    }

    /// The path of a key in the store.
    fn path(&self, key: &ObjectKey) -> Path {
        self.path_of(&key.to_string())
    }

    fn path_of(&self, text: &str) -> Path {
        if self.prefix.as_ref().is_empty() { Path::from(text) } else { Path::from(format!("{}/{text}", self.prefix)) }
    }

    /// The key with this path; an error if the path is not below `prefix`.
    fn key(&self, prefix: &ObjectPrefix, path: &Path) -> Result<ObjectKey, ObjectError> {
        let text = path.as_ref();
        let text = match self.prefix.as_ref() {
            "" => text,
            own => text.strip_prefix(own).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text),
        };
        prefix.key(text).map_err(|error| ObjectError::Internal(Box::new(error)))
    }

    /// Deletes an object that was not to be stored. The failure that led here is the one to report.
    pub(crate) async fn discard(&self, path: &Path) {
        if let Err(error) = delete_all(&self.store, vec![path.clone()]).await {
            tracing::warn!(%error, "an object that was refused is still stored");
        }
    }

    /// Checks that the store holds `written.size` bytes at `path`, and deletes the object if it does not.
    pub(crate) async fn confirm(&self, path: &Path, written: Written) -> Result<Written, ObjectError> {
        let stored = match self.store.head(path).await {
            Ok(meta) => meta.size,
            Err(error) => {
                self.discard(path).await;
                return Err(failure(error));
            }
        };
        if stored == written.size {
            return Ok(written);
        }
        self.discard(path).await;
        Err(mismatch_of_size(written.size, stored))
    }
}

/// Compares bytes with what was expected of them.
pub(crate) fn compare(written: Written, expected: Expected) -> Result<(), ObjectError> {
    if let Some(size) = expected.size.filter(|size| *size != written.size) {
        return Err(mismatch_of_size(size, written.size));
    }
    let text = |sha256: [u8; 32]| format!("the SHA-256 {}", base64::engine::general_purpose::STANDARD.encode(sha256));
    match expected.sha256.filter(|sha256| *sha256 != written.sha256) {
        Some(sha256) => Err(ObjectError::Mismatch { expected: text(sha256), found: text(written.sha256) }),
        None => Ok(()),
    }
}

fn mismatch_of_size(expected: u64, found: u64) -> ObjectError {
    ObjectError::Mismatch { expected: format!("{expected} bytes"), found: format!("{found} bytes") }
}

pub(crate) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> ObjectError {
    ObjectError::Unavailable(Box::new(error))
}

/// What an error of the store means to callers of the port. Where a missing object is no error, the caller has looked
/// for it before: here the bucket is missing.
pub(crate) fn failure(error: object_store::Error) -> ObjectError {
    match error {
        object_store::Error::Generic { .. } | object_store::Error::JoinError { .. } => unavailable(error),
        error => ObjectError::Internal(Box::new(error)),
    }
}

/// `None` for an object that does not exist.
fn existing<T>(result: object_store::Result<T>) -> Result<Option<T>, ObjectError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

#[async_trait]
impl ObjectStore for Objects {
    async fn put(&self, key: &ObjectKey, bytes: Bytes, expected: Expected) -> Result<Written, ObjectError> {
        let written = Written { size: bytes.len() as u64, sha256: Sha256::digest(&bytes).into() };
        compare(written, expected)?;
        let path = self.path(key);
        if let Err(error) = self.store.put(&path, PutPayload::from_bytes(bytes)).await {
            // The request may have taken effect although its answer was lost.
            self.discard(&path).await;
            return Err(failure(error));
        }
        self.confirm(&path, written).await
    }

    async fn writer(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, ObjectError> {
        Ok(Box::new(PartWriter::new(self.clone(), self.path(key))))
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ObjectRead>, ObjectError> {
        let path = self.path(key);
        if range.as_ref().is_some_and(Range::is_empty) {
            let size = self.size(key).await?;
            return Ok(size.map(|size| ObjectRead { size, bytes: futures::stream::empty().boxed() }));
        }
        let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
        let Some(found) = existing(self.store.get_opts(&path, options).await)? else { return Ok(None) };
        if let Some(range) = range.filter(|range| *range != found.range) {
            return Err(ObjectError::Internal(format!("the store gave {:?} for {range:?}", found.range).into()));
        }
        let size = found.meta.size;
        let bytes = match found.payload {
            GetResultPayload::File(file, _) => pieces(file, found.range),
            GetResultPayload::Stream(parts) => parts.map(|part| part.map_err(failure)).boxed(),
        };
        Ok(Some(ObjectRead { size, bytes }))
    }

    async fn size(&self, key: &ObjectKey) -> Result<Option<u64>, ObjectError> {
        Ok(existing(self.store.head(&self.path(key)).await)?.map(|meta| meta.size))
    }

    async fn copy(&self, from: &ObjectKey, to: &ObjectKey) -> Result<bool, ObjectError> {
        Ok(existing(self.store.copy(&self.path(from), &self.path(to)).await)?.is_some())
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let path = self.path(key);
        // First the parts: a writer that goes on can then not complete the object any more.
        self.unfinished.remove(&path).await?;
        delete_all(&self.store, vec![path]).await
    }

    async fn delete_some(&self, prefix: &ObjectPrefix, limit: usize) -> Result<usize, ObjectError> {
        let found = self.list(prefix, None, limit).await?;
        if found.is_empty() {
            let prefix = self.path_of(prefix.to_string().trim_end_matches('/'));
            self.unfinished.remove_all(&format!("{prefix}/")).await?;
        }
        delete_all(&self.store, found.iter().map(|object| self.path(&object.key)).collect()).await?;
        Ok(found.len())
    }

    async fn list(
        &self,
        prefix: &ObjectPrefix,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        let path = self.path_of(prefix.to_string().trim_end_matches('/'));
        let after = after.map(|key| self.path(key));
        let remote = self.signing.is_some();
        let mut objects = match &after {
            Some(after) => self.store.list_with_offset(Some(&path), after),
            None => self.store.list(Some(&path)),
        };
        let mut found = Vec::new();
        while let Some(object) = objects.next().await {
            let object = object.map_err(failure)?;
            found.push(ListedObject { key: self.key(prefix, &object.location)?, size: object.size });
            // A directory is listed in no order, so the first ones are known after the last.
            if remote && found.len() == limit {
                break;
            }
        }
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found.truncate(limit);
        Ok(found)
    }

    async fn presign(
        &self,
        key: &ObjectKey,
        method: PresignedMethod,
        now: chrono::DateTime<chrono::Utc>,
        valid_for: Duration,
    ) -> Result<Option<PresignedRequest>, ObjectError> {
        let Some(signing) = &self.signing else { return Ok(None) };
        let (method, url, headers) = match signing.sign(&self.path(key), method, valid_for).await {
            Err(object_store::Error::NotSupported { .. }) => return Ok(None),
            signed => signed.map_err(failure)?,
        };
        Ok(Some(PresignedRequest { method, url, headers, expires_at: now + valid_for }))
    }
}
