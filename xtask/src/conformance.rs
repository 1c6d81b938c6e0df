//! `conformance`: public suites against our own parsers and evaluators. `xtask-conformance` runs them, because it links
//! what they are run against.

use std::path::{self, PathBuf};

use clap::Args;

use crate::failure::{Context, Failure};
use crate::shell;

/// Which suites, and where they are.
#[derive(Args)]
pub(crate) struct Conformance {
    /// The folder that holds the suites, each in a folder of its own.
    folder: PathBuf,
    /// The suites to run; all where none is named.
    suites: Vec<String>,
}

/// Runs the suites and passes their verdict on.
pub(crate) fn run(conformance: &Conformance) -> Result<(), Failure> {
    let folder = path::absolute(&conformance.folder).context("finding the suites")?;
    let mut command = shell::cargo();
    command.args(["run", "--quiet", "-p", "xtask-conformance", "--"]).arg(folder).args(&conformance.suites);
    shell::pass_on(&mut command)
}
