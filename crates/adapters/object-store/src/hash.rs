//! The SHA-256 of an object while it is written.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tidegate_files::object::ObjectError;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::objects::unavailable;

/// Below this many bytes, hashing takes less time than handing it to another thread.
const INLINE: usize = 64 * 1024;

/// A SHA-256 that is computed on a thread for blocking work, while the next bytes come.
#[derive(Default)]
pub(crate) struct Hash {
    done: Sha256,
    /// The bytes that are being hashed. Their result replaces `done`.
    under_way: Option<JoinHandle<Sha256>>,
}

impl Hash {
    /// Adds bytes, as soon as those before are hashed.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if the process is about to end.
    pub(crate) async fn add(&mut self, pieces: Vec<Bytes>) -> Result<(), ObjectError> {
        self.wait().await?;
        let mut hash = std::mem::take(&mut self.done);
        if pieces.iter().map(Bytes::len).sum::<usize>() < INLINE {
            pieces.iter().for_each(|piece| hash.update(piece));
            self.done = hash;
        } else {
            self.under_way = Some(spawn_blocking(move || {
                pieces.iter().for_each(|piece| hash.update(piece));
                hash
            }));
        }
        Ok(())
    }

    /// The hash of all bytes. It begins anew then.
    ///
    /// # Errors
    /// [`ObjectError::Unavailable`] if the process is about to end.
    pub(crate) async fn finish(&mut self) -> Result<[u8; 32], ObjectError> {
        self.wait().await?;
        Ok(std::mem::take(&mut self.done).finalize().into())
    }

    async fn wait(&mut self) -> Result<(), ObjectError> {
        if let Some(under_way) = self.under_way.take() {
            self.done = under_way.await.map_err(unavailable)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_of_any_size_have_the_hash_of_the_whole() {
        let bytes: Vec<u8> = (0..500_000_u32).map(|n| (n % 251) as u8).collect();
        for piece in [1_000, INLINE - 1, INLINE, 200_000, bytes.len()] {
            let mut hash = Hash::default();
            for some in bytes.chunks(piece) {
                let halves = some.split_at(some.len() / 2);
                let halves = vec![Bytes::copy_from_slice(halves.0), Bytes::copy_from_slice(halves.1)];
                hash.add(halves).await.unwrap();
            }
            assert_eq!(hash.finish().await.unwrap(), <[u8; 32]>::from(Sha256::digest(&bytes)), "{piece}");
        }
    }
}
