//! Runs public conformance suites, which are in a folder outside of the repository, against Tidegate's own code.
//!
//! Each suite is a module that turns its files into cases and reports whether each passed, failed or was skipped. A
//! case may fail only if the list of its suite in `known/` says why, and a listed case that passes is an error too.

mod cel;
mod json;
mod json_schema;
mod known;
mod report;
mod yaml;

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::report::Report;

/// A suite could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A file or a folder cannot be read.
    #[error("reading {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    /// A file does not have the format of its suite.
    #[error("{}: {detail}", path.display())]
    Format { path: PathBuf, detail: String },
    /// A line in a list of known differences cannot be parsed.
    #[error("{0}")]
    Known(String),
}

/// A suite: its name, its folder in the suites' folder, its list of known differences, and the function that runs it.
struct Suite {
    name: &'static str,
    folder: &'static str,
    known: &'static str,
    run: fn(&Path, &mut Report) -> Result<(), Failure>,
}

const SUITES: &[Suite] = &[
    Suite { name: "cel", folder: "cel", known: include_str!("../known/cel.txt"), run: cel::run },
    Suite {
        name: "json_schema",
        folder: "json-schema",
        known: include_str!("../known/json_schema.txt"),
        run: json_schema::run,
    },
    Suite { name: "json", folder: "json", known: include_str!("../known/json.txt"), run: json::run },
    Suite { name: "yaml", folder: "yaml", known: include_str!("../known/yaml.txt"), run: yaml::run },
];

fn run(suite: &Suite, folder: &Path) -> Result<bool, Failure> {
    let known = known::read(suite.name, suite.known)?;
    let mut report = Report::default();
    (suite.run)(&folder.join(suite.folder), &mut report)?;
    let unexpected = report.compare(&known);
    println!("{report}");
    for line in &unexpected {
        println!("  {line}");
    }
    println!("{:8} {}, {} not as listed\n", suite.name, report.total(), unexpected.len());
    Ok(unexpected.is_empty())
}

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: cargo xtask conformance DIR [SUITE…]");
        return ExitCode::from(2);
    };
    let asked: Vec<String> = arguments.collect();
    if let Some(name) = asked.iter().find(|name| SUITES.iter().all(|suite| suite.name != **name)) {
        let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
        eprintln!("conformance: there is no suite `{name}`; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut as_listed = true;
    for suite in SUITES.iter().filter(|suite| asked.is_empty() || asked.iter().any(|name| name == suite.name)) {
        match run(suite, &folder) {
            Ok(same) => as_listed &= same,
            Err(failure) => {
                eprintln!("conformance: {}: {failure}", suite.name);
                return ExitCode::FAILURE;
            }
        }
    }
    if as_listed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
