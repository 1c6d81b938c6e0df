//! `tidegate workflow`: what can be done with a document on one's own machine.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use tidegate_workflows::definition::{Definition, DefinitionError, Format, JSON_SCHEMA, MAX_BYTES, Problem};

use super::{Failure, print};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Workflow {
    /// Check a document: prints `file:line:column: message` for each problem, and nothing where there is none
    Validate {
        /// The document, YAML or (by its ending `.json`) JSON; `-` reads YAML from standard input
        file: PathBuf,
    },
    /// Print the JSON Schema of documents, for editors
    Schema,
}

pub(super) fn run(command: &Workflow) -> Result<(), Failure> {
    let Workflow::Validate { file } = command else {
        print(JSON_SCHEMA.trim_end());
        return Ok(());
    };
    let source = read(file).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))?;
    let json = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let problems = match Definition::compile(&source, if json { Format::Json } else { Format::Yaml }) {
        Ok(_) => return Ok(()),
        Err(DefinitionError::Unreadable(problem)) => vec![problem],
        Err(DefinitionError::Invalid(problems)) => problems,
    };
    for problem in &problems {
        print(&line(file, problem));
    }
    let count = problems.len();
    Err(Failure::Failed(format!("{} has {count} problem{}", file.display(), if count == 1 { "" } else { "s" })))
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    // One byte more than a document may have is enough to say that it has too many.
    let limit = MAX_BYTES as u64 + 1;
    let mut source = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut source)?;
    } else {
        std::fs::File::open(file)?.take(limit).read_to_end(&mut source)?;
    }
    Ok(source)
}

fn line(file: &Path, problem: &Problem) -> String {
    let place = format!("{}:{}:{}: {}", file.display(), problem.line, problem.column, problem.detail);
    match &problem.suggestion {
        Some(meant) => format!("{place}; did you mean `{meant}`?"),
        None => place,
    }
}
