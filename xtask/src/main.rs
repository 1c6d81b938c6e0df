//! Chores of the repository: `cargo xtask <chore>`.
//!
//! It stays light: it starts other programs and never links the server, so that a chore begins within seconds.

mod bench;
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

/// Chores of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run all tests against a private PostgreSQL and Redis; what follows `--` goes to nextest.
    Test {
        /// Arguments of `cargo nextest run`; where there are any, documentation tests are left out.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run a command with a private PostgreSQL and Redis up.
    Services {
        /// The command; it finds the services in `TIDEGATE_TEST_DATABASE_URL` and `TIDEGATE_TEST_REDIS_URL`.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Change the schema of a database.
    Migrate {
        #[command(subcommand)]
        action: migrate::Action,
    },
    /// Write what is generated.
    Codegen {
        /// Change nothing; fail where a file is not up to date.
        #[arg(long)]
        check: bool,
    },
    /// Run the public conformance suites in a folder; fail where the outcome is not as the lists of differences say.
    Conformance(conformance::Conformance),
    /// Make clients of the OpenAPI document with programs of PyPI and npm, let them use a server, and check its metrics.
    Peers,
    /// Measure the server as it is released.
    Bench(bench::Bench),
    /// Say what this machine has and what it lacks.
    Doctor,
    /// Check the house rules that neither the compiler nor clippy knows.
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
