//! A large file up and down, and many small ones at once. Beside it, the same bytes are copied into the same object store
//! and out of it without a server, with and without a connection in between. All of them come from memory and go to
//! memory, which is taken before it is measured.

mod bare;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::bare::Bare;
use crate::failure::Failure;
use crate::measure::{Metric, Report};
use crate::{Setting, story};

/// Small files that are uploaded at once, and their length in bytes.
const SMALL: (usize, usize) = (200, 1_000_000);
const MB: f64 = 1_000_000.0;

/// Runs the benchmark.
pub(crate) async fn run(setting: &Setting, pid: u32, objects: &Path, bytes: u64) -> Result<Report, Failure> {
    let mut person = story::person(&setting.server).await?;
    let workspace = story::workspace(&mut person, "files").await?;
    let (server, token) = (setting.server.as_str(), person.token.as_str());
    let path = format!("/api/v1/workspaces/{workspace}/files");
    let bare = Bare::open(objects)?;
    let connected = bare.listen()?;
    let source = Bytes::from(vec![7; usize::try_from(bytes)?]);
    let mut target = vec![1; usize::try_from(bytes)?];
    let small_source = source.slice(..SMALL.1.min(source.len()));
    upload(server, token, &path, &small_source).await?;
    let (mut up, mut down, mut bare_up, mut bare_down) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut tcp_up, mut tcp_down) = (Vec::new(), Vec::new());
    let (mut added, mut small, mut small_memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..setting.rounds {
        settle()?;
        let before = Memory::begin(pid)?;
        let began = Instant::now();
        let file = upload(server, token, &path, &source).await?;
        up.push(rate(bytes, began));
        let began = Instant::now();
        download(server, token, &format!("{path}/{file}/content"), &mut target).await?;
        down.push(rate(bytes, began));
        added.push(before.added()?);
        settle()?;
        let began = Instant::now();
        bare.write(&source).await?;
        bare_up.push(rate(bytes, began));
        let began = Instant::now();
        bare.read(&mut target).await?;
        bare_down.push(rate(bytes, began));
        settle()?;
        let began = Instant::now();
        bare::send(connected, &source).await?;
        tcp_up.push(rate(bytes, began));
        let began = Instant::now();
        bare::receive(connected, &mut target).await?;
        tcp_down.push(rate(bytes, began));
        bare.clear().await?;
        settle()?;
        let before = Memory::begin(pid)?;
        let began = Instant::now();
        try_join_all((0..SMALL.0).map(|_| upload(server, token, &path, &small_source))).await?;
        small.push(rate((small_source.len() * SMALL.0) as u64, began));
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
            Metric::share("up, beside TCP", &up, &tcp_up),
            Metric::new("up", "MB/s", up).beside(&bare_up),
            Metric::share("down, share", &down, &bare_down).at_least(0.8),
            Metric::share("down, beside TCP", &down, &tcp_down),
            Metric::new("down", "MB/s", down).beside(&bare_down),
            Metric::new("memory added", "MB", added).below(64.0),
            Metric::new("200 at once", "MB/s", small),
            Metric::new("memory, 200", "MB", small_memory),
        ],
    })
}

/// Writes to the disk what the system still has to write, so that it is not measured with what follows.
fn settle() -> Result<(), Failure> {
    let status = Command::new("sync").status()?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("sync: {status}"))) }
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

/// Uploads bytes in a form, and returns the id of the file.
async fn upload(server: &str, token: &str, path: &str, bytes: &[u8]) -> Result<String, Failure> {
    let before = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"bench.bin\"\r\n\r\n";
    let after = "\r\n--b--\r\n";
    let length = before.len() + bytes.len() + after.len();
    let mut stream = request(
        server,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\
             content-type: multipart/form-data; boundary=b\r\nconnection: close\r\n\r\n{before}"
        ),
    )
    .await?;
    stream.write_all(bytes).await?;
    stream.write_all(after.as_bytes()).await?;
    let (_, mut body) = head(&mut stream, "201").await?;
    stream.read_to_end(&mut body).await?;
    let file: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(file["id"].as_str().unwrap_or_default().to_owned())
}

/// Downloads a file of the length of `target`.
async fn download(server: &str, token: &str, path: &str, target: &mut [u8]) -> Result<(), Failure> {
    let head_of_request =
        format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    let mut stream = request(server, &head_of_request).await?;
    let (_, first) = head(&mut stream, "200").await?;
    let (start, rest) = target.split_at_mut_checked(first.len()).ok_or_else(too_long)?;
    start.copy_from_slice(&first);
    stream.read_exact(rest).await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(too_long()),
    }
}

fn too_long() -> Failure {
    Failure::new("more bytes came than the file has")
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
