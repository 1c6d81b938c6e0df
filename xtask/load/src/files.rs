//! A large file up and down, and many small ones at once. Beside it, the same file is copied into the same object store
//! and out of it without a server.

use std::fs::File;
use std::io::{Read, Write, repeat};
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::try_join_all;
use tempfile::TempDir;
use tidegate_files::object::{Expected, ObjectKey, ObjectPrefix, ObjectStore};
use tidegate_kernel::{FileId, RequestId, ScopeIssuer, WorkspaceId, WorkspaceScope};
use tidegate_object_store::{Location, Objects};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::failure::Failure;
use crate::measure::{Metric, Report};
use crate::{Setting, story};

/// Small files that are uploaded at once, and their length in bytes.
const SMALL: (usize, u64) = (200, 1_000_000);
/// The bytes of one write.
const CHUNK: usize = 256 * 1024;
const MB: f64 = 1_000_000.0;

/// Runs the benchmark.
pub(crate) async fn run(setting: &Setting, pid: u32, objects: &Path, bytes: u64) -> Result<Report, Failure> {
    let mut person = story::person(&setting.server).await?;
    let workspace = story::workspace(&mut person, "files").await?;
    let (server, token) = (setting.server.as_str(), person.token.as_str());
    let path = format!("/api/v1/workspaces/{workspace}/files");
    let bare = Bare::open(objects)?;
    let local = Local::new(objects, bytes)?;
    upload(server, token, &path, repeat(7), SMALL.1).await?;
    let (mut up, mut down, mut bare_up, mut bare_down) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut added, mut small, mut small_memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.rounds {
        let before = Memory::begin(pid)?;
        let began = Instant::now();
        let file = upload(server, token, &path, local.source()?, bytes).await?;
        up.push(rate(bytes, began));
        let mut target = local.target()?;
        let began = Instant::now();
        download(server, token, &format!("{path}/{file}/content"), bytes, &mut target).await?;
        down.push(rate(bytes, began));
        added.push(before.added()?);
        let began = Instant::now();
        let key = bare.write(local.source()?, bytes).await?;
        bare_up.push(rate(bytes, began));
        let mut target = local.target()?;
        let began = Instant::now();
        bare.read(&key, &mut target).await?;
        bare_down.push(rate(bytes, began));
        drop(target);
        bare.clear().await?;
        let before = Memory::begin(pid)?;
        let began = Instant::now();
        try_join_all((0..SMALL.0).map(|_| upload(server, token, &path, repeat(7), SMALL.1))).await?;
        small.push(rate(SMALL.1 * SMALL.0 as u64, began));
        small_memory.push(before.added()?);
    }
    Ok(Report {
        bench: "files",
        setting: format!(
            "{bytes} bytes up and down, then {} uploads of {} bytes at once; a directory",
            SMALL.0, SMALL.1
        ),
        metrics: vec![
            Metric::share("up, share", &up, &bare_up).at_least(0.8),
            Metric::new("up", "MB/s", up).beside(&bare_up),
            Metric::share("down, share", &down, &bare_down).at_least(0.8),
            Metric::new("down", "MB/s", down).beside(&bare_down),
            Metric::new("memory added", "MB", added).below(64.0),
            Metric::new("200 at once", "MB/s", small),
            Metric::new("memory, 200", "MB", small_memory),
        ],
    })
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
fn rate(bytes: u64, began: Instant) -> f64 {
    bytes as f64 / MB / began.elapsed().as_secs_f64()
}

async fn request(server: &str, head: &str) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

/// Reads the head of a response, and returns it with the first bytes of the body.
async fn head(stream: &mut TcpStream, expected: &str) -> Result<(String, Vec<u8>), Failure> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let body = read.split_off(end + 4);
            let head = String::from_utf8_lossy(&read).into_owned();
            if !head.starts_with(&format!("HTTP/1.1 {expected}")) {
                return Err(Failure::new(format!("{head}{}", String::from_utf8_lossy(&body))));
            }
            return Ok((head, body));
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(Failure::new("the server closed the connection"));
        }
    }
}

/// Uploads so many bytes in a form, and returns the id of the file.
async fn upload(server: &str, token: &str, path: &str, mut from: impl Read, bytes: u64) -> Result<String, Failure> {
    let before = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"bench.bin\"\r\n\r\n";
    let after = "\r\n--b--\r\n";
    let length = bytes + (before.len() + after.len()) as u64;
    let mut stream = request(
        server,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\
             content-type: multipart/form-data; boundary=b\r\nconnection: close\r\n\r\n{before}"
        ),
    )
    .await?;
    let (mut chunk, mut left) = (vec![0; CHUNK], usize::try_from(bytes)?);
    while left > 0 {
        let next = chunk.get_mut(..left.min(CHUNK)).unwrap_or_default();
        from.read_exact(next)?;
        stream.write_all(next).await?;
        left -= next.len();
    }
    stream.write_all(after.as_bytes()).await?;
    let (_, mut body) = head(&mut stream, "201").await?;
    stream.read_to_end(&mut body).await?;
    let file: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(file["id"].as_str().unwrap_or_default().to_owned())
}

async fn download(server: &str, token: &str, path: &str, bytes: u64, to: &mut File) -> Result<(), Failure> {
    let head_of_request =
        format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    let mut stream = request(server, &head_of_request).await?;
    let (_, first) = head(&mut stream, "200").await?;
    to.write_all(&first)?;
    let (mut got, mut chunk) = (first.len() as u64, vec![0; CHUNK]);
    loop {
        match stream.read(&mut chunk).await? {
            0 if got == bytes => return Ok(()),
            0 => return Err(Failure::new(format!("{got} bytes of {bytes} came"))),
            some => {
                to.write_all(chunk.get(..some).unwrap_or_default())?;
                got += some as u64;
            }
        }
    }
}

/// Files beside the object store: the one that is copied into it, and the one that copies out of it are written to.
struct Local(TempDir);

impl Local {
    fn new(objects: &Path, bytes: u64) -> Result<Self, Failure> {
        let beside = objects.parent().ok_or_else(|| Failure::new("the object store is the root directory"))?;
        let local = Self(tempfile::tempdir_in(beside)?);
        let mut source = File::create(local.0.path().join("source"))?;
        std::io::copy(&mut repeat(7).take(bytes), &mut source)?;
        source.sync_all()?;
        Ok(local)
    }

    fn source(&self) -> Result<File, Failure> {
        Ok(File::open(self.0.path().join("source"))?)
    }

    /// An empty file. It is gone when it is closed, so that the system does not write it to the disk later.
    fn target(&self) -> Result<File, Failure> {
        Ok(tempfile::tempfile_in(self.0.path())?)
    }
}

/// The object store without a server.
struct Bare {
    objects: Objects,
    scope: WorkspaceScope,
}

impl Bare {
    #[expect(clippy::disallowed_methods, reason = "it writes objects of a workspace that does not exist")]
    fn open(directory: &Path) -> Result<Self, Failure> {
        let location = Location::parse(&format!("file://{}", directory.display()), [])?;
        let request_id = RequestId::new("bench").ok_or_else(|| Failure::new("a request id"))?;
        let scope = ScopeIssuer::root().system("a benchmark").enter(WorkspaceId::from_uuid(Uuid::nil()), request_id);
        Ok(Self { objects: location.open()?, scope })
    }

    async fn write(&self, mut from: File, bytes: u64) -> Result<ObjectKey, Failure> {
        let key = ObjectKey::file(&self.scope, FileId::from_uuid(Uuid::nil()));
        let mut writer = self.objects.writer(&key).await?;
        let mut left = usize::try_from(bytes)?;
        while left > 0 {
            let mut next = vec![0; left.min(CHUNK)];
            from.read_exact(&mut next)?;
            left -= next.len();
            writer.write(Bytes::from(next)).await?;
        }
        writer.finish(Expected::default()).await?;
        Ok(key)
    }

    async fn read(&self, key: &ObjectKey, to: &mut File) -> Result<(), Failure> {
        let mut read = self.objects.read(key, None).await?.ok_or_else(|| Failure::new("the object is gone"))?;
        while let Some(piece) = read.bytes.try_next().await? {
            to.write_all(&piece)?;
        }
        Ok(())
    }

    async fn clear(&self) -> Result<(), Failure> {
        while self.objects.delete_some(&ObjectPrefix::workspace(&self.scope), 100).await? > 0 {}
        Ok(())
    }
}

/// The memory of the server at the beginning of a measurement.
struct Memory {
    pid: u32,
    before: f64,
}

impl Memory {
    /// Resets the server's peak.
    fn begin(pid: u32) -> Result<Self, Failure> {
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        Ok(Self { pid, before: resident(pid, "VmRSS:")? })
    }

    /// The peak since the beginning beyond what the server had then, in MB.
    fn added(&self) -> Result<f64, Failure> {
        Ok(resident(self.pid, "VmHWM:")? - self.before)
    }
}

fn resident(pid: u32, name: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.map(|kib| kib * 1_024.0 / MB).ok_or_else(|| Failure::new(format!("no {name} of process {pid}")))
}
