//! Writing an object in parts.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tidegate_files::object::{Expected, ObjectError, ObjectWriter, Written};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::hash::Hash;
use crate::objects::{Objects, compare, failure, unavailable};

/// The size of a part in bytes. S3 wants at least 5 MiB of all but the last, and some compatible servers the same size
/// of all; with its 10,000 parts an object has up to 78 GiB.
const PART: usize = 8 * 1024 * 1024;
/// The most parts that are on their way at once. With the one that is being filled, a writer holds up to three.
const UNDER_WAY: usize = 2;
/// How long an upload that is given up waits for the parts that are on their way.
const ARRIVAL: Duration = Duration::from_secs(10);

/// A writer that sends parts while more bytes come. An object that fits into one part is written by one request.
pub(crate) struct PartWriter {
    objects: Objects,
    path: Path,
    /// What is left to abort.
    upload: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
    buffer: Vec<Bytes>,
    buffered: usize,
    size: u64,
    hash: Hash,
}

impl PartWriter {
    pub(crate) fn new(objects: Objects, path: Path) -> Self {
        let parts = JoinSet::new();
        Self { objects, path, upload: None, parts, buffer: Vec::new(), buffered: 0, size: 0, hash: Hash::default() }
    }

    /// Hashes the buffered bytes and sends them as a part, as soon as fewer than [`UNDER_WAY`] are on their way.
    async fn send(&mut self) -> Result<(), ObjectError> {
        self.hash.add(self.buffer.clone()).await?;
        self.send_hashed().await
    }

    async fn send_hashed(&mut self) -> Result<(), ObjectError> {
        while self.parts.len() >= UNDER_WAY {
            self.joined().await?;
        }
        if self.upload.is_none() {
            self.upload = Some(self.objects.store.put_multipart(&self.path).await.map_err(failure)?);
        }
        self.buffered = 0;
        let part = PutPayload::from_iter(std::mem::take(&mut self.buffer));
        if let Some(upload) = &mut self.upload {
            self.parts.spawn(upload.put_part(part));
        }
        Ok(())
    }

    /// Waits for one part to arrive.
    async fn joined(&mut self) -> Result<(), ObjectError> {
        match self.parts.join_next().await {
            Some(part) => part.map_err(unavailable)?.map_err(failure),
            None => Ok(()),
        }
    }

    async fn give_up(&mut self) -> Result<(), ObjectError> {
        give_up(std::mem::take(&mut self.parts), self.upload.take()).await
    }

    async fn complete(&mut self, expected: Expected) -> Result<Written, ObjectError> {
        self.hash.add(self.buffer.clone()).await?;
        let written = Written { size: self.size, sha256: self.hash.finish().await? };
        compare(written, expected)?;
        if self.upload.is_some() {
            if self.buffered > 0 {
                self.send_hashed().await?;
            }
            while !self.parts.is_empty() {
                self.joined().await?;
            }
            if let Some(upload) = &mut self.upload {
                upload.complete().await.map_err(failure)?;
            }
            self.upload = None;
        } else {
            let whole = PutPayload::from_iter(std::mem::take(&mut self.buffer));
            self.objects.store.put(&self.path, whole).await.map_err(failure)?;
        }
        self.objects.confirm(&self.path, written).await
    }
}

/// Aborts an upload when its parts have arrived: a store may keep a part that arrives after the abort, as S3 does.
///
/// # Errors
/// [`ObjectError`] if parts may be left.
async fn give_up(
    mut parts: JoinSet<object_store::Result<()>>,
    upload: Option<Box<dyn MultipartUpload>>,
) -> Result<(), ObjectError> {
    let Some(mut upload) = upload else { return Ok(()) };
    let arrival = async { while parts.join_next().await.is_some() {} };
    let arrived = timeout(ARRIVAL, arrival).await;
    parts.shutdown().await;
    upload.abort().await.map_err(failure)?;
    arrived.map_err(unavailable)
}

#[async_trait]
impl ObjectWriter for PartWriter {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), ObjectError> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full part is sent when more follows, so that an object of exactly one part is one request.
            if self.buffered == PART {
                self.send().await?;
            }
            let next = bytes.split_to(bytes.len().min(PART - self.buffered));
            self.buffered += next.len();
            self.buffer.push(next);
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, expected: Expected) -> Result<Written, ObjectError> {
        match self.complete(expected).await {
            Err(error) => {
                let mismatch = matches!(error, ObjectError::Mismatch { .. });
                if let Err(error) = self.give_up().await {
                    tracing::warn!(%error, "an upload that failed could not be aborted");
                }
                if !mismatch {
                    // The last request may have taken effect although its answer was lost.
                    self.objects.discard(&self.path).await;
                }
                Err(error)
            }
            written => written,
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<(), ObjectError> {
        self.give_up().await
    }
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let parts = std::mem::take(&mut self.parts);
        // Without a runtime the process is about to end; deleting the key removes the parts then.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if let Err(error) = give_up(parts, Some(upload)).await {
                tracing::warn!(%error, "an upload that was dropped could not be aborted");
            }
        });
    }
}
