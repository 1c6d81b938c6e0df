//! The command line. Exit codes: 0 success, 1 failure, 2 wrong usage, 3 refused.

mod client;
mod demo;
mod server;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::client::{events, keys, workflow};
use self::server::{migrate, serve};
use crate::secrets::SecretError;
use crate::server::StartError;
use crate::settings::Settings;

/// A multi-tenant event and workflow platform.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<Settings>),
    /// Show what Tidegate does with real events
    Demo(demo::Demo),
    /// Change the schema of a PostgreSQL server
    Migrate(migrate::Migrate),
    /// Send events to a server
    #[command(subcommand)]
    Events(events::Events),
    /// List and rotate the keys that sign access tokens; for operators
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Check workflow documents without a server
    #[command(subcommand)]
    Workflow(workflow::Workflow),
    /// Print the OpenAPI document
    #[command(hide = true)]
    Openapi,
    /// Print the version
    Version,
}

/// Why a command failed; it decides the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command was tried and failed.
    Failed(String),
    /// The command was called wrongly.
    Usage(String),
    /// The command was refused because it would do harm, or the server does not allow it.
    Refused(String),
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let text = error.to_string();
        match error {
            StartError::Setting(_) | StartError::Secret(SecretError::TooShort(_)) => Self::Usage(text),
            StartError::Isolation(_) => Self::Refused(text),
            StartError::Secret(_)
            | StartError::DataDirectory { .. }
            | StartError::Store(_)
            | StartError::Listen { .. } => Self::Failed(text),
        }
    }
}

/// Prints a line. A closed pipe is no failure.
pub(crate) fn print(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tidegate_outbound_http::install_tls();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(Failure::Failed(format!("cannot start: {error}"))),
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Serve(settings) => serve::run(*settings).await,
            Command::Demo(demo) => demo::run(demo).await,
            Command::Migrate(migrate) => migrate::run(migrate).await,
            Command::Events(command) => events::run(command).await,
            Command::Keys(command) => keys::run(command).await,
            Command::Workflow(workflow) => workflow::run(&workflow),
            Command::Openapi => {
                print(&crate::http::openapi::json());
                Ok(())
            }
            Command::Version => {
                print(concat!("tidegate ", env!("CARGO_PKG_VERSION")));
                Ok(())
            }
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(failure),
    }
}

fn report(failure: Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Failed(text) => (text, 1),
        Failure::Usage(text) => (text, 2),
        Failure::Refused(text) => (text, 3),
    };
    eprintln!("tidegate: {text}");
    ExitCode::from(code)
}
