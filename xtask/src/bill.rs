//! `bill`: what a customer is charged over time.

use std::path::PathBuf;

use clap::Subcommand;

use crate::failure::{Context, Failure};
use crate::shell;

#[derive(Subcommand)]
pub(crate) enum Action {
    /// Run a customer through time; print each status, each invoice and the balances of the ledger.
    Simulate {
        /// A scenario, such as `crates/domain/billing/tests/scenarios/two-years.json`.
        file: PathBuf,
    },
}

pub(crate) fn run(action: &Action) -> Result<(), Failure> {
    let Action::Simulate { file } = action;
    let file = file.canonicalize().context(format_args!("finding {}", file.display()))?;
    shell::run(shell::cargo().args(["run", "--quiet", "-p", "tidegate-billing", "--example", "simulate"]).arg(file))
}
