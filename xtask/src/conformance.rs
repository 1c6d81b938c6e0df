//! `conformance`: runs public suites against Tidegate's parsers and evaluators. `xtask-conformance` is a program of its
//! own, because it links the code under test.

use std::path::{self, PathBuf};

use clap::Args;

use crate::failure::{Context, Failure};
use crate::shell;

/// Arguments of `cargo xtask conformance`.
#[derive(Args)]
pub(crate) struct Conformance {
    /// The folder with the suites, each in a folder of its own.
    folder: PathBuf,
    /// The suites to run; default: all.
    suites: Vec<String>,
}

/// Runs the suites and fails if they fail.
pub(crate) fn run(conformance: &Conformance) -> Result<(), Failure> {
    let folder = path::absolute(&conformance.folder).context("finding the suites")?;
    let mut command = shell::cargo();
    command.args(["run", "--quiet", "-p", "xtask-conformance", "--"]).arg(folder).args(&conformance.suites);
    shell::pass_on(&mut command)
}
