//! `tidegate events`: sends events from a file to a server.

mod lines;
mod upload;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};

use crate::cli::{Failure, print};
use lines::Lines;
use upload::{Rejected, Summary, Target, upload};

/// The most rejected lines that are printed; the rest is only counted.
const PRINTED: usize = 20;

/// The subcommands of `tidegate events`.
#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Send a file of CloudEvents, one JSON object a line, plain or gzip; events that the workspace already has are
    /// skipped
    Import(Import),
}

/// Arguments of `tidegate events import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file; `-` reads standard input
    file: PathBuf,

    #[command(flatten)]
    server: Server,

    /// Events per request
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
}

/// The server, the credentials and the workspace.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Address of the server
    #[arg(long, env = "TIDEGATE_URL", default_value = "http://127.0.0.1:8080")]
    url: String,

    /// Access token or API key
    #[arg(long, env = "TIDEGATE_TOKEN", hide_env_values = true)]
    token: String,

    /// Workspace, by id or slug
    #[arg(long, env = "TIDEGATE_WORKSPACE")]
    workspace: String,
}

pub(crate) async fn run(command: Events) -> Result<(), Failure> {
    let Events::Import(import) = command;
    let name = import.file.display().to_string();
    let lines = Lines::open(&import.file).map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    let target = Target::new(&import.server.url, &import.server.token, &import.server.workspace)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let batch = usize::try_from(import.batch).unwrap_or(usize::MAX);
    let mut progress = Progress::new(&name);
    let result = upload(&target, lines, batch, |summary| progress.show(summary)).await;
    progress.end();
    let summary = result.map_err(|(error, summary)| {
        let text = format!("{error}\n  until then: {}; the same command goes on from there", sentence(&summary));
        if error.is_refusal() { Failure::Refused(text) } else { Failure::Failed(text) }
    })?;
    for Rejected { line, detail } in summary.rejected.iter().take(PRINTED) {
        print(&format!("{name}:{line}: {detail}"));
    }
    print(&sentence(&summary));
    match summary.rejected.len() {
        0 => Ok(()),
        count => Err(Failure::Failed(format!(
            "{count} line{} could not be taken{}",
            if count == 1 { "" } else { "s" },
            if count > PRINTED { format!("; the first {PRINTED} are above") } else { String::new() }
        ))),
    }
}

fn sentence(summary: &Summary) -> String {
    let Summary { accepted, duplicates, rejected, .. } = summary;
    format!("{accepted} accepted, {duplicates} there before, {} rejected", rejected.len())
}

/// A progress line that overwrites itself on a terminal, and nothing elsewhere.
struct Progress<'a> {
    name: &'a str,
    started: Instant,
    shown: bool,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, started: Instant::now(), shown: false }
    }

    fn show(&mut self, summary: &Summary) {
        let mut out = std::io::stderr();
        if out.is_terminal() {
            let sent = summary.accepted + summary.duplicates + summary.rejected.len() as u64;
            let rate = sent.checked_div(self.started.elapsed().as_secs().max(1)).unwrap_or(sent);
            // The import goes on if its progress cannot be shown.
            let _ = write!(out, "\r\x1b[K{}: {sent} events, {rate}/s", self.name);
            let _ = out.flush();
            self.shown = true;
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
