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

/// Aborts an upload when its parts have arrived: a store may keep a part that arrives after the abort, as S3 does. If that
/// takes too long, the upload is aborted now, and once more when the last part has arrived.
///
/// # Errors
/// [`ObjectError`] if parts may be left.
async fn give_up(
    mut parts: JoinSet<object_store::Result<()>>,
    upload: Option<Box<dyn MultipartUpload>>,
) -> Result<(), ObjectError> {
    let Some(mut upload) = upload else { return Ok(()) };
    let arrived = timeout(ARRIVAL, arrival(&mut parts)).await;
    let aborted = upload.abort().await.map_err(failure);
    let Err(late) = arrived else { return aborted };
    tokio::spawn(async move {
        arrival(&mut parts).await;
        if let Err(error) = upload.abort().await {
            tracing::debug!(%error, "an upload was aborted already");
        }
    });
    Err(unavailable(late))
}

/// Waits for parts to arrive or fail. The store's timeouts end each of them.
async fn arrival(parts: &mut JoinSet<object_store::Result<()>>) {
    while parts.join_next().await.is_some() {}
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use object_store::{PutResult, UploadPart};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// An upload that counts how often it was aborted.
    #[derive(Debug)]
    struct Counted(Arc<AtomicU32>);

    #[async_trait]
    impl MultipartUpload for Counted {
        fn put_part(&mut self, _: PutPayload) -> UploadPart {
            Box::pin(async { Ok(()) })
        }

        async fn complete(&mut self) -> object_store::Result<PutResult> {
            Err(object_store::Error::NotImplemented { operation: "complete".into(), implementer: "a test".into() })
        }

        async fn abort(&mut self) -> object_store::Result<()> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_is_aborted_after_its_last_part_has_arrived() {
        for (part, waited, is_late) in [(1, 1, false), (40, ARRIVAL.as_secs(), true)] {
            let (aborts, mut parts) = (Arc::new(AtomicU32::new(0)), JoinSet::new());
            let seen = Arc::clone(&aborts);
            parts.spawn(async move {
                sleep(Duration::from_secs(part)).await;
                assert_eq!(seen.load(Ordering::SeqCst), u32::from(is_late), "aborts before the part arrives");
                seen.fetch_add(100, Ordering::SeqCst);
                Ok(())
            });
            let began = Instant::now();
            let given_up = give_up(parts, Some(Box::new(Counted(Arc::clone(&aborts))))).await;
            assert_eq!((given_up.is_err(), began.elapsed().as_secs()), (is_late, waited));
            sleep(Duration::from_secs(60)).await;
            let expected = if is_late { 102 } else { 101 };
            assert_eq!(aborts.load(Ordering::SeqCst), expected, "the part arrived, and an abort came after it");
        }
    }
}
