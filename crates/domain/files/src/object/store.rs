//! The port of an object store.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;

use super::key::{ObjectKey, ObjectPrefix};

/// Why an operation on objects failed. A missing object is `None`, not an error, where the operation says so.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The store cannot be reached, or failed after its retries. The same call may succeed later.
    #[error("the object store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bytes differ from what was expected of them. Nothing was stored.
    #[error("the object has {}, and {} was expected", .found, .expected)]
    Mismatch {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Any other failure: missing rights, a missing bucket, or a defect of the program.
    #[error("the object store failed")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the writer of an object knows of it in advance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// The length in bytes.
    pub size: Option<u64>,
    /// The SHA-256 of the bytes.
    pub sha256: Option<[u8; 32]>,
}

/// A stored object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The length in bytes.
    pub size: u64,
    /// The SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

/// The bytes of an object, in order.
pub type ByteStream = BoxStream<'static, Result<Bytes, ObjectError>>;

/// An object that is being read.
pub struct ObjectRead {
    /// The length of the whole object in bytes.
    pub size: u64,
    /// The bytes that were asked for.
    pub bytes: ByteStream,
}

impl std::fmt::Debug for ObjectRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectRead").field("size", &self.size).finish_non_exhaustive()
    }
}

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: ObjectKey,
    /// The length in bytes.
    pub size: u64,
}

/// What a presigned request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresignedMethod {
    /// Read the object.
    Get,
    /// Write the object with a SHA-256, if it is known.
    Put {
        /// The SHA-256 of the bytes. The store refuses other bytes if it can.
        sha256: Option<[u8; 32]>,
    },
}

/// A request that whoever has it may send to the store until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedRequest {
    /// The HTTP method.
    pub method: &'static str,
    /// The URL. It is a secret until it expires.
    pub url: String,
    /// Headers that the request must have.
    pub headers: Vec<(String, String)>,
    /// When the store begins to refuse it.
    pub expires_at: DateTime<Utc>,
}

/// Writes one object in parts.
///
/// The object appears as a whole at [`ObjectWriter::finish`], or never. A writer that is dropped is aborted in the
/// background.
#[async_trait]
pub trait ObjectWriter: Send {
    /// Adds bytes. Waits while too many parts are under way, so that memory is bounded.
    ///
    /// # Errors
    /// [`ObjectError`] if a part could not be written. The writer MUST then be aborted or dropped, as after a call that was
    /// not awaited to its end.
    async fn write(&mut self, bytes: Bytes) -> Result<(), ObjectError>;

    /// Completes the object and compares it with `expected` and with the length that the store reports.
    ///
    /// MUST leave neither an object nor parts behind if it fails.
    ///
    /// # Errors
    /// [`ObjectError::Mismatch`] if the bytes are not the expected ones.
    async fn finish(self: Box<Self>, expected: Expected) -> Result<Written, ObjectError>;

    /// Gives the object up. MUST leave neither an object nor parts behind.
    ///
    /// # Errors
    /// [`ObjectError`] if parts may be left; [`ObjectStore::delete`] of the key removes them.
    async fn abort(self: Box<Self>) -> Result<(), ObjectError>;
}

/// A store of objects. Small objects in large numbers are as welcome as large ones.
///
/// Operations retry lost connections and failures of the server by themselves.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// Stores an object as a whole, and replaces one with the same key.
    ///
    /// MUST store nothing if `bytes` are not as `expected`.
    ///
    /// # Errors
    /// [`ObjectError::Mismatch`] if the bytes are not the expected ones.
    async fn put(&self, key: &ObjectKey, bytes: Bytes, expected: Expected) -> Result<Written, ObjectError>;

    /// Begins to write an object of any size in constant memory.
    ///
    /// # Errors
    /// [`ObjectError`] if the store cannot be written to.
    async fn writer(&self, key: &ObjectKey) -> Result<Box<dyn ObjectWriter>, ObjectError>;

    /// Reads an object, or the bytes in `range` of it; `None` if there is no such object.
    ///
    /// # Errors
    /// [`ObjectError::Internal`] if the range does not lie within the object.
    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ObjectRead>, ObjectError>;

    /// The length of an object in bytes; `None` if there is no such object.
    ///
    /// # Errors
    /// [`ObjectError`] if the store does not answer.
    async fn size(&self, key: &ObjectKey) -> Result<Option<u64>, ObjectError>;

    /// Copies an object within the store, and replaces one with the key `to`. Returns false if `from` does not exist.
    ///
    /// # Errors
    /// [`ObjectError`] if nothing was copied.
    async fn copy(&self, from: &ObjectKey, to: &ObjectKey) -> Result<bool, ObjectError>;

    /// Deletes an object, and what unfinished writers have left of it. An object that does not exist is deleted
    /// already.
    ///
    /// # Errors
    /// [`ObjectError`] if it may still exist.
    async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError>;

    /// Deletes up to `limit` objects of a workspace, and what unfinished writers have left. Returns how many objects
    /// it found; 0 means that nothing is left.
    ///
    /// MUST NOT touch objects of another workspace.
    ///
    /// # Errors
    /// [`ObjectError`] if some may still exist.
    async fn delete_some(&self, prefix: &ObjectPrefix, limit: usize) -> Result<usize, ObjectError>;

    /// The first `limit` objects of a workspace after the key `after`, in the order of their keys.
    ///
    /// # Errors
    /// [`ObjectError`] if the store does not answer.
    async fn list(
        &self,
        prefix: &ObjectPrefix,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectError>;

    /// A request for one object that needs no other credentials; `None` if this store cannot make one.
    ///
    /// # Errors
    /// [`ObjectError`] if the credentials of the store cannot be read.
    async fn presign(
        &self,
        key: &ObjectKey,
        method: PresignedMethod,
        now: DateTime<Utc>,
        valid_for: Duration,
    ) -> Result<Option<PresignedRequest>, ObjectError>;
}
