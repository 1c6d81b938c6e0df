//! Tasks of the repository: `cargo xtask <task>`.
//!
//! It stays light: it starts other programs and never links the server, so that a task begins within seconds.

mod bench;
mod bill;
mod codegen;
mod conformance;
mod doctor;
mod failure;
mod migrate;
mod peers;
mod services;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

/// Tasks of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run all tests against a private PostgreSQL and Redis; arguments after `--` go to nextest.
    Test {
        /// Arguments of `cargo nextest run`; with any, documentation tests are left out.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run a command with a private PostgreSQL and Redis.
    Services {
        /// The command; `TIDEGATE_TEST_DATABASE_URL` and `TIDEGATE_TEST_REDIS_URL` have the addresses of the services.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Change the schema of a database.
    Migrate {
        #[command(subcommand)]
        action: migrate::Action,
    },
    /// Write the generated files.
    Codegen {
        /// Change nothing; fail if a file is not up to date.
        #[arg(long)]
        check: bool,
    },
    /// Run the public conformance suites in a folder; fail if an outcome is not as the lists of known differences say.
    Conformance(conformance::Conformance),
    /// Test the API, metrics, traces and mails with foreign programs: generated clients, Prometheus, OpenTelemetry and
    /// a mail server.
    Peers,
    /// Run a benchmark of the release build.
    Bench(bench::Bench),
    /// Show what a customer is charged.
    Bill {
        #[command(subcommand)]
        action: bill::Action,
    },
    /// Report which tools this machine has and lacks.
    Doctor,
    /// Check the rules that neither the compiler nor clippy checks.
    Tidy,
}

fn run(chore: Chore) -> Result<(), Failure> {
    match chore {
        Chore::Test { arguments } => test::run(&arguments),
        Chore::Services { command } => test::run_with_services(&command),
        Chore::Migrate { action } => migrate::run(&action),
        Chore::Codegen { check } => codegen::run(check),
        Chore::Conformance(conformance) => conformance::run(&conformance),
        Chore::Peers => peers::run(),
        Chore::Bench(bench) => bench::run(&bench),
        Chore::Bill { action } => bill::run(&action),
        Chore::Doctor => doctor::run(),
        Chore::Tidy => tidy::run(),
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_said() {
                eprintln!("xtask: {failure}");
            }
            failure.exit_code()
        }
    }
}
