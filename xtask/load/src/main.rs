//! The load generator of `cargo xtask bench`. It is a process of its own, so that it does not share the server's
//! threads.
//!
//! Each benchmark prepares its data, repeats its rounds, measures PostgreSQL alone with the same rows between them, and
//! prints a report as JSON. It uses only the public API of the server.

mod auth;
mod cache;
mod embedded;
mod embedding;
mod events;
mod failure;
mod files;
mod http;
mod ingest;
mod jobs;
mod list;
mod login;
mod measure;
mod prepare;
mod quota;
mod runs;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::measure::Report;

#[derive(Parser)]
struct Arguments {
    /// The superuser's login of the server's PostgreSQL.
    #[arg(long, default_value = "")]
    admin_url: String,
    /// The host and port of the server.
    #[arg(long, default_value = "127.0.0.1:8080")]
    server: String,
    /// Repetitions of each measurement; the report has the medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Duration of a measurement, in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create the server's login and a second database for PostgreSQL alone; print the login.
    Prepare,
    /// Batches of 100 events over 8 connections into 20 workspaces.
    Ingest {
        /// Keys in the dedupe window before the measurement, in both databases.
        #[arg(long, default_value_t = 0)]
        window: u64,
    },
    /// The newest 50 events of a type, over 16 connections.
    List {
        /// Events in the workspace.
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
    },
    /// Runs of three steps, many at once and one at a time, and the queries of an idle server.
    Runs {
        /// Runs in a round.
        #[arg(long, default_value_t = 5_000)]
        runs: usize,
    },
    /// Empty background jobs in a program that embeds the engine.
    Jobs {
        /// The database login of that program.
        #[arg(long)]
        login: String,
        /// Jobs in a round.
        #[arg(long, default_value_t = 50_000)]
        jobs: usize,
    },
    /// Reservations of a quota in a program that embeds it, beside one row update for each.
    Quota {
        /// The database login of that program.
        #[arg(long)]
        login: String,
    },
    /// `GET /auth/me` over 16 connections, and whether failed logins reveal which addresses have an account.
    Auth,
    /// Files of 1 GB up and down, and 200 uploads of 1 MB at once.
    Files {
        /// The process id of the server.
        #[arg(long)]
        pid: u32,
        /// The directory of the server's object store.
        #[arg(long)]
        objects: PathBuf,
        /// The length of the large file, in bytes.
        #[arg(long, default_value_t = 1_000_000_000)]
        bytes: u64,
    },
    /// A list of 50 workflows over 16 connections: cached, as 304, and from the database.
    Cache {
        /// The host and port of a server that caches in its process; the other one has Redis.
        #[arg(long)]
        in_process: String,
    },
    /// A server with the embedded PostgreSQL, which this command starts itself.
    Embedded {
        /// The server's executable.
        #[arg(long)]
        program: PathBuf,
        /// Events of one tenant while another sends requests.
        #[arg(long, default_value_t = 20_000)]
        asked: usize,
        /// Events without other requests.
        #[arg(long, default_value_t = 100_000)]
        events: usize,
    },
}

/// The parameters of every benchmark.
struct Setting {
    admin_url: String,
    server: String,
    rounds: usize,
    time: Duration,
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let setting = Setting {
        admin_url: arguments.admin_url,
        server: arguments.server,
        rounds: arguments.rounds,
        time: Duration::from_secs(arguments.seconds),
    };
    let report: Report = match arguments.command {
        Command::Prepare => {
            println!("{}", prepare::run(&setting).await?);
            return Ok(());
        }
        Command::Ingest { window } => ingest::run(&setting, window).await?,
        Command::List { rows } => list::run(&setting, rows).await?,
        Command::Runs { runs } => runs::run(&setting, runs).await?,
        Command::Jobs { login, jobs } => jobs::run(&setting, &login, jobs).await?,
        Command::Quota { login } => quota::run(&setting, &login).await?,
        Command::Auth => auth::run(&setting).await?,
        Command::Files { pid, objects, bytes } => files::run(&setting, pid, &objects, bytes).await?,
        Command::Cache { in_process } => cache::run(&setting, &in_process).await?,
        Command::Embedded { program, asked, events } => embedded::run(&setting, &program, asked, events).await?,
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask-load: {failure}");
            ExitCode::FAILURE
        }
    }
}
