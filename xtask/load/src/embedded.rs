//! The server with the embedded PostgreSQL: how much one tenant's events slow down another, how fast detection is, and
//! the use of disk and memory. It starts the server itself, on a new folder for each round.

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Setting;
use crate::events::Maker;
use crate::failure::Failure;
use crate::http::Client;
use crate::measure::{Latencies, Metric, Report};
use crate::story;

/// Events in one request.
const BATCH: usize = 1_000;
/// The pause of the other tenant between two requests.
const REST: Duration = Duration::from_millis(10);
/// How often the progress of detection and the size of the write-ahead log are measured.
const LOOK: Duration = Duration::from_millis(250);
/// The timeout of detection.
const DETECTION: Duration = Duration::from_secs(900);

/// The results of a round: latencies in milliseconds, durations in seconds, sizes in MiB.
#[derive(Default)]
struct Found {
    sending: Latencies,
    detecting: Latencies,
    detected: f64,
    folder: f64,
    log: f64,
    left: f64,
    left_log: f64,
    idle: f64,
    peak: f64,
}

/// Measures the server with `asked` events of one tenant while another sends requests, then with `events` alone.
pub(crate) async fn run(setting: &Setting, program: &Path, asked: usize, events: usize) -> Result<Report, Failure> {
    let mut rounds = Vec::new();
    for n in 0..setting.rounds {
        let folder = Folder(std::env::temp_dir().join(format!("tidegate-bench-{}-{n}", process::id())));
        rounds.push(round(program, &folder, asked, events).await?);
    }
    let mut each = |of: fn(&mut Found) -> f64| rounds.iter_mut().map(of).collect::<Vec<f64>>();
    Ok(Report {
        bench: "embedded",
        setting: format!("{asked} events of one tenant while another lists workflows, then {events} while nobody asks"),
        metrics: vec![
            Metric::new("p50, sending", "ms", each(|found| found.sending.percentile(50))),
            Metric::new("p99, sending", "ms", each(|found| found.sending.percentile(99))),
            Metric::new("p50, detecting", "ms", each(|found| found.detecting.percentile(50))),
            Metric::new("p99, detecting", "ms", each(|found| found.detecting.percentile(99))).below(50.0),
            Metric::new("detection alone", "s", each(|found| found.detected)).below(60.0),
            Metric::new("data directory", "MiB", each(|found| found.folder)),
            Metric::new("log, largest", "MiB", each(|found| found.log)).below(256.0),
            Metric::new("after a stop", "MiB", each(|found| found.left)),
            Metric::new("log after a stop", "MiB", each(|found| found.left_log)),
            Metric::new("memory, idle", "MiB", each(|found| found.idle)),
            Metric::new("memory, peak", "MiB", each(|found| found.peak)),
        ],
    })
}

async fn round(program: &Path, folder: &Folder, asked: usize, events: usize) -> Result<Found, Failure> {
    let mut found = Found::default();
    let server = Server::start(program, folder, "all")?;
    let mut person = story::person(&server.address).await?;
    let sender = story::workspace(&mut person, "sender").await?;
    let list = format!("/workspaces/{}/workflows", story::workspace(&mut person, "neighbour").await?);
    found.idle = server.memory("VmRSS:")?;

    let token = person.token.clone();
    let mut neighbour = Client::connect(&server.address, Some(&token)).await?;
    let sending = send(&server, &token, &sender, "asked", asked, &mut found.log);
    let head = while_asked(&mut neighbour, &list, &mut found.sending, sending).await?;
    let mut neighbour = Client::connect(&server.address, Some(&token)).await?;
    let detecting = until_detected(&server, &token, &sender, head, &mut found.log);
    while_asked(&mut neighbour, &list, &mut found.detecting, detecting).await?;
    found.peak = server.memory("VmHWM:")?;
    server.stop()?;

    // One server with the role `api` ingests the events; then one that works has only detection to do.
    let server = Server::start(program, folder, "api")?;
    let head = send(&server, &token, &sender, "alone", events, &mut found.log).await?;
    found.peak = found.peak.max(server.memory("VmHWM:")?);
    server.stop()?;
    let server = Server::start(program, folder, "all")?;
    let began = Instant::now();
    until_detected(&server, &token, &sender, head, &mut found.log).await?;
    found.detected = began.elapsed().as_secs_f64();
    found.peak = found.peak.max(server.memory("VmHWM:")?);
    found.folder = folder.size("");
    server.stop()?;
    (found.left, found.left_log) = (folder.size(""), folder.size("pg_wal"));
    Ok(found)
}

/// Runs `work` while a client repeats a GET, with a pause after each.
async fn while_asked<T>(
    client: &mut Client,
    path: &str,
    latencies: &mut Latencies,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        done = work => done,
        failed = ask(client, path, latencies) => failed.map(|never| match never {}),
    }
}

async fn ask(client: &mut Client, path: &str, latencies: &mut Latencies) -> Result<Infallible, Failure> {
    loop {
        let sent = Instant::now();
        client.get(path).await?.expect(200)?;
        latencies.add(sent.elapsed());
        tokio::time::sleep(REST).await;
    }
}

/// Sends events over one connection and returns the last position.
async fn send(
    server: &Server<'_>,
    token: &str,
    workspace: &str,
    source: &str,
    events: usize,
    log: &mut f64,
) -> Result<i64, Failure> {
    let mut client = Client::connect(&server.address, Some(token)).await?;
    let path = format!("/workspaces/{workspace}/events");
    let (mut maker, mut body, mut head) = (Maker::new(source), String::new(), None);
    for _ in 0..events.div_ceil(BATCH) {
        maker.batch(BATCH, &mut body);
        let answer = client.send("POST", &path, "application/cloudevents-batch+json", body.as_bytes()).await?;
        answer.expect(202)?;
        head = answer.position;
        *log = log.max(server.folder.size("pg_wal"));
    }
    head.ok_or_else(|| Failure::new("ingest did not tell the position"))
}

async fn until_detected(
    server: &Server<'_>,
    token: &str,
    workspace: &str,
    head: i64,
    log: &mut f64,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut client = Client::connect(&server.address, Some(token)).await?;
    loop {
        let patterns = client.get(&format!("/workspaces/{workspace}/patterns?limit=1")).await?;
        patterns.expect(200)?;
        *log = log.max(server.folder.size("pg_wal"));
        if patterns.position >= Some(head) {
            return Ok(());
        }
        if began.elapsed() > DETECTION {
            return Err(Failure::new(format!("detection is at {:?} of {head}", patterns.position)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    /// The disk usage in MiB of the files whose path contains `part`.
    fn size(&self, part: &str) -> f64 {
        fn blocks(folder: &Path, part: &str) -> u64 {
            let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            let each = entries.map(|entry| match entry.metadata() {
                Ok(meta) if meta.is_dir() => blocks(&entry.path(), part),
                Ok(meta) if entry.path().to_string_lossy().contains(part) => meta.blocks(),
                _ => 0,
            });
            each.sum()
        }
        // The unit is 512 bytes, whatever the block size of the file system is.
        mebibytes(blocks(&self.0, part) / 2)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server on a folder. If it is not stopped, dropping kills it.
struct Server<'a> {
    child: Child,
    address: String,
    folder: &'a Folder,
}

impl<'a> Server<'a> {
    fn start(program: &Path, folder: &'a Folder, role: &str) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--role", role, "--log", "error"])
            .args(["--rate-limit", "login=off,register=off"])
            .arg("--data-dir")
            .arg(&folder.0)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or_else(|| Failure::new("the server has no output"))?;
        let mut server = Self { child, address: String::new(), folder };
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("listening on http://")?.1.to_owned()));
        server.address = address.ok_or_else(|| Failure::new("the server did not start; it says why above"))?;
        // Reads the rest of its output, so that it never blocks on a full pipe.
        thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    /// A figure of the process in MiB, from Linux's `/proc`.
    fn memory(&self, field: &str) -> Result<f64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kibibytes =
            status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
        kibibytes.map(mebibytes).ok_or_else(|| Failure::new(format!("no {field} of the server")))
    }

    /// Stops it with SIGTERM, and waits for its end.
    fn stop(mut self) -> Result<(), Failure> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("the server ended with {status}"))) }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes here are far below 2^52")]
fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
