//! Uploads lines to a server in batches, with retries and the pauses that the server asks for.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::lines::Lines;
use crate::cli::client::api::{Api, LINES, Proxies, position};

/// The timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(90);

/// The most attempts for one batch. With the pauses between them they take about two minutes.
const ATTEMPTS: u32 = 9;

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A batch takes further events until it has this many bytes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The events of one workspace on one server.
#[derive(Debug, Clone)]
pub(super) struct Target {
    api: Api,
    url: Url,
}

/// The progress of an import.
#[derive(Debug, Clone, Default)]
pub(super) struct Summary {
    /// Events that were added.
    pub(super) accepted: u64,
    /// Events that the workspace already had.
    pub(super) duplicates: u64,
    /// Lines that were rejected.
    pub(super) rejected: Vec<Rejected>,
    /// The workspace's head after the last request.
    pub(super) position: i64,
}

/// A rejected line.
#[derive(Debug, Clone)]
pub(super) struct Rejected {
    /// Its number in the file.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) detail: String,
}

/// The upload stopped.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("{0:?} is not an address such as http://127.0.0.1:8080")]
    Address(String),
    #[error("the file cannot be read on: {0}")]
    File(#[from] std::io::Error),
    #[error("{url} does not answer: {cause}")]
    Unreachable { url: String, cause: String },
    #[error("the server refuses ({status}): {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("the server failed ({status}): {detail}")]
    Failed { status: StatusCode, detail: String },
}

impl UploadError {
    /// Whether the server has refused the upload; otherwise it has failed.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

#[derive(Deserialize)]
struct Verdicts {
    accepted: u64,
    duplicates: u64,
    rejected: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    index: usize,
    code: String,
    detail: String,
    pointer: String,
}

#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: String,
}

impl Target {
    /// The events of `workspace`, an id or a slug, on the server at `url`.
    pub(super) fn new(url: &str, token: &str, workspace: &str) -> Result<Self, UploadError> {
        let bad = || UploadError::Address(url.to_owned());
        let mut address =
            Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(bad)?;
        let segments = ["api", "v1", "workspaces", workspace, "events"];
        address.path_segments_mut().map_err(|()| bad())?.pop_if_empty().extend(segments);
        let api = Api::new(url, TIMEOUT, Proxies::FromEnvironment).map_err(|_| bad())?;
        Ok(Self { api: api.with_token(token), url: address })
    }

    async fn send(&self, body: &[u8]) -> Result<Response, UploadError> {
        let mut pause = Duration::from_millis(250);
        let mut attempt = 1;
        loop {
            let request = self.api.request(Method::POST, self.url.clone());
            let request = request.header("content-type", LINES).body(body.to_vec());
            let result = request.send().await;
            let wait = match &result {
                Ok(answer) if matches!(answer.status().as_u16(), 429 | 502..=504) => asked_pause(answer),
                Ok(_) => None,
                // Sending the batch again is safe: events are deduplicated by source and id.
                Err(_) => Some(pause),
            };
            let Some(wait) = wait.filter(|_| attempt < ATTEMPTS) else {
                return result.map_err(|error| UploadError::Unreachable {
                    url: self.url.origin().ascii_serialization(),
                    cause: cause(&error),
                });
            };
            if attempt == 1 {
                let why = match &result {
                    Ok(answer) => format!("answers {}", answer.status()),
                    Err(error) => format!("does not answer: {}", cause(error)),
                };
                eprintln!("{} {why}; trying again for about two minutes", self.url.origin().ascii_serialization());
            }
            tokio::time::sleep(wait.max(pause).min(LONGEST_PAUSE)).await;
            pause *= 2;
            attempt += 1;
        }
    }
}

/// The pause in `Retry-After`; zero if there is no such header.
fn asked_pause(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Some(Duration::from_secs(seconds.unwrap_or(0)))
}

/// The innermost cause, which usually says what to do.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

/// Uploads every line, `batch` at a time, and calls `progress` after each request.
///
/// # Errors
/// The reason why it stopped, with the progress so far.
pub(super) async fn upload(
    target: &Target,
    mut lines: Lines,
    batch: usize,
    mut progress: impl FnMut(&Summary),
) -> Result<Summary, (UploadError, Summary)> {
    let mut summary = Summary::default();
    let mut held = None;
    loop {
        let (numbers, body) = match gather(&mut lines, &mut held, batch) {
            Ok(gathered) => gathered,
            Err(error) => return Err((error.into(), summary)),
        };
        if numbers.is_empty() {
            return Ok(summary);
        }
        if let Err(error) = deliver(target, &numbers, &body, &mut summary).await {
            return Err((error, summary));
        }
        progress(&summary);
    }
}

/// Builds the next batch: its line numbers and its body. A line that no longer fits is kept for the next batch.
fn gather(
    lines: &mut Lines,
    held: &mut Option<(usize, Vec<u8>)>,
    batch: usize,
) -> std::io::Result<(Vec<usize>, Vec<u8>)> {
    let (mut numbers, mut body) = (Vec::new(), Vec::new());
    while numbers.len() < batch {
        let Some((number, line)) = held.take().map_or_else(|| lines.next(), |line| Ok(Some(line)))? else { break };
        if !numbers.is_empty() && body.len() + line.len() > BATCH_BYTES {
            *held = Some((number, line));
            break;
        }
        numbers.push(number);
        body.extend_from_slice(&line);
        body.push(b'\n');
    }
    Ok((numbers, body))
}

async fn deliver(target: &Target, numbers: &[usize], body: &[u8], summary: &mut Summary) -> Result<(), UploadError> {
    let answer = target.send(body).await?;
    let status = answer.status();
    summary.position = position(answer.headers(), "tidegate-position").unwrap_or(summary.position);
    let bytes = answer.bytes().await.map_err(|error| UploadError::Failed { status, detail: cause(&error) })?;
    if status == StatusCode::ACCEPTED {
        let verdicts: Verdicts = serde_json::from_slice(&bytes)
            .map_err(|error| UploadError::Failed { status, detail: format!("its answer cannot be read: {error}") })?;
        return apply(verdicts, numbers, status, summary);
    }
    let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_default();
    if problem.code == "malformed-body" {
        // No line of the batch is an event.
        let detail = without_line(&problem.detail).to_owned();
        summary.rejected.extend(numbers.iter().map(|line| Rejected { line: *line, detail: detail.clone() }));
        return Ok(());
    }
    let detail = if problem.detail.is_empty() { "no reason was given".to_owned() } else { problem.detail };
    Err(if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        UploadError::Refused { status, detail }
    } else {
        UploadError::Failed { status, detail }
    })
}

fn apply(verdicts: Verdicts, numbers: &[usize], status: StatusCode, summary: &mut Summary) -> Result<(), UploadError> {
    summary.accepted += verdicts.accepted;
    summary.duplicates += verdicts.duplicates;
    let over = verdicts.rejected.iter().find(|verdict| verdict.code == "quota-exceeded");
    if let Some(over) = over {
        return Err(UploadError::Refused { status, detail: over.detail.clone() });
    }
    summary.rejected.extend(verdicts.rejected.into_iter().map(|verdict| Rejected {
        line: numbers.get(verdict.index).copied().unwrap_or_default(),
        detail: match verdict.pointer.as_str() {
            "" => without_line(&verdict.detail).to_owned(),
            pointer => format!("{pointer}: {}", without_line(&verdict.detail)),
        },
    }));
    Ok(())
}

/// Removes the line number from a message: the server counts within the request, but the number in the file is printed.
fn without_line(detail: &str) -> &str {
    let rest = detail.strip_prefix("line ").or_else(|| detail.strip_prefix("Line "));
    rest.and_then(|rest| rest.split_once(": ")).map_or(detail, |(_, detail)| detail)
}
