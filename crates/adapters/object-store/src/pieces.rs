//! The bytes of an object of a directory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use tidegate_files::object::ObjectError;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::objects::unavailable;

/// The bytes of one read. Each is a task on a thread for blocking work, which costs as much as reading tens of KiB.
const PIECE: u64 = 256 * 1024;

/// A read under way: the piece, and the file for the next one.
type Reading = JoinHandle<io::Result<(Bytes, File)>>;

/// The bytes of a file in this range. While the caller handles a piece, the next one is read, and no further one: a slow
/// caller holds two pieces, and no thread.
pub(crate) fn pieces(file: File, range: Range<u64>) -> BoxStream<'static, Result<Bytes, ObjectError>> {
    let first = (!range.is_empty()).then(|| read(file, range.clone()));
    stream::try_unfold((first, range), async |(reading, range)| {
        let Some(reading) = reading else { return Ok(None) };
        let (piece, file) = reading.await.map_err(unavailable)?.map_err(unavailable)?;
        let rest = range.start + piece.len() as u64..range.end;
        let next = (!rest.is_empty()).then(|| read(file, rest.clone()));
        Ok(Some((piece, (next, rest))))
    })
    .boxed()
}

/// Reads the first piece of the range.
fn read(mut file: File, range: Range<u64>) -> Reading {
    spawn_blocking(move || {
        let size = (range.end - range.start).min(PIECE);
        file.seek(SeekFrom::Start(range.start))?;
        let mut piece = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact(&mut piece)?;
        Ok((Bytes::from(piece), file))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_file_that_is_shorter_than_it_was_fails_and_gives_no_byte_too_many() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..600_000_u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let mut stream = pieces(file.try_clone().unwrap(), 100..600_001);
        let mut got = Vec::new();
        let ended = loop {
            match stream.try_next().await {
                Ok(Some(piece)) => got.extend_from_slice(&piece),
                ended => break ended,
            }
        };
        assert!(matches!(ended, Err(ObjectError::Unavailable(_))), "{ended:?}");
        assert!(bytes[100..].starts_with(&got) && got.len() as u64 == 2 * PIECE);
        let whole: Vec<Bytes> = pieces(file, 100..600_000).try_collect().await.unwrap();
        assert!(whole.concat() == bytes[100..]);
    }
}
