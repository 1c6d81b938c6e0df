//! What an upload and a download are compared with: the object store without a server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use tidegate_files::object::{Expected, ObjectKey, ObjectPrefix, ObjectStore};
use tidegate_kernel::{FileId, RequestId, ScopeIssuer, WorkspaceId, WorkspaceScope};
use tidegate_object_store::{Location, Objects};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::failure::Failure;

/// The bytes of one write.
const CHUNK: usize = 256 * 1024;
/// The first byte of a connection that reads the object.
const READ: u8 = b'r';
/// The first byte of a connection that writes it, and the response when it is written.
const WRITE: u8 = b'w';

/// The object store without a server.
#[derive(Clone)]
pub(super) struct Bare {
    objects: Objects,
    scope: Arc<WorkspaceScope>,
}

impl Bare {
    #[expect(clippy::disallowed_methods, reason = "it writes objects of a workspace that does not exist")]
    pub(super) fn open(directory: &Path) -> Result<Self, Failure> {
        let location = Location::parse(&format!("file://{}", directory.display()), [])?;
        let request_id = RequestId::new("bench").ok_or_else(|| Failure::new("a request id"))?;
        let scope = ScopeIssuer::root().system("a benchmark").enter(WorkspaceId::from_uuid(Uuid::nil()), request_id);
        Ok(Self { objects: location.open()?, scope: Arc::new(scope) })
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::file(&self.scope, FileId::from_uuid(Uuid::nil()))
    }

    pub(super) async fn write(&self, bytes: &Bytes) -> Result<(), Failure> {
        let mut writer = self.objects.writer(&self.key()).await?;
        for start in (0..bytes.len()).step_by(CHUNK) {
            writer.write(bytes.slice(start..bytes.len().min(start + CHUNK))).await?;
        }
        writer.finish(Expected::default()).await?;
        Ok(())
    }

    pub(super) async fn read(&self, target: &mut [u8]) -> Result<(), Failure> {
        let mut read = self.objects.read(&self.key(), None).await?.ok_or_else(|| Failure::new("the object is gone"))?;
        let mut rest = target;
        while let Some(piece) = read.bytes.try_next().await? {
            let (start, end) = rest.split_at_mut_checked(piece.len()).ok_or_else(super::too_long)?;
            start.copy_from_slice(&piece);
            rest = end;
        }
        if rest.is_empty() { Ok(()) } else { Err(Failure::new("fewer bytes came than the object has")) }
    }

    pub(super) async fn clear(&self) -> Result<(), Failure> {
        while self.objects.delete_some(&ObjectPrefix::workspace(&self.scope), 100).await? > 0 {}
        Ok(())
    }

    /// Serves the object on a thread of its own, over TCP alone: the first byte says what to do, and the rest is bytes.
    pub(super) fn listen(&self) -> Result<SocketAddr, Failure> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (address, bare) = (listener.local_addr()?, self.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            let served: Result<(), Failure> = runtime.block_on(async {
                let listener = TcpListener::from_std(listener)?;
                loop {
                    bare.serve(listener.accept().await?.0).await?;
                }
            });
            if let Err(failure) = served {
                eprintln!("the copy over TCP failed: {failure}");
            }
        });
        Ok(address)
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<(), Failure> {
        if stream.read_u8().await? == READ {
            let read = self.objects.read(&self.key(), None).await?.ok_or_else(|| Failure::new("the object is gone"))?;
            let mut pieces = read.bytes;
            while let Some(piece) = pieces.try_next().await? {
                stream.write_all(&piece).await?;
            }
            return Ok(());
        }
        let mut writer = self.objects.writer(&self.key()).await?;
        loop {
            let mut piece = BytesMut::with_capacity(CHUNK);
            if stream.read_buf(&mut piece).await? == 0 {
                break;
            }
            writer.write(piece.freeze()).await?;
        }
        writer.finish(Expected::default()).await?;
        Ok(stream.write_u8(WRITE).await?)
    }
}

/// Copies bytes into the store over TCP.
pub(super) async fn send(to: SocketAddr, bytes: &[u8]) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_u8(WRITE).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    stream.read_u8().await?;
    Ok(())
}

/// Copies bytes out of the store over TCP.
pub(super) async fn receive(from: SocketAddr, target: &mut [u8]) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(from).await?;
    stream.write_u8(READ).await?;
    stream.read_exact(target).await?;
    Ok(())
}
