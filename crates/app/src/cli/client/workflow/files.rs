//! Finds and reads workflow documents: single files, and the files in folders.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tidegate_engine::handlers::step_types;
use tidegate_workflows::definition::{Definition, DefinitionError, Format, MAX_BYTES, Problem};
use tidegate_workflows::step::StepRegistry;
use walkdir::{DirEntry, WalkDir};

use crate::cli::Failure;

/// The file name endings of documents in a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The path that stands for standard input.
const INPUT: &str = "-";

/// Every file among `paths`, and every document in the folders among them, recursively and sorted by name, without
/// duplicates. Entries of folders that begin with a dot are skipped.
pub(super) fn found(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !path.is_dir() {
            // Checked now, so that a missing file is reported before any document is checked.
            if path != Path::new(INPUT) {
                std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            }
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        let shown = |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
        for entry in WalkDir::new(path).sort_by_file_name().into_iter().filter_entry(shown) {
            let entry = entry.map_err(|error| unreadable(path, &io::Error::from(error)))?;
            if ENDINGS.iter().any(|ending| has_ending(entry.path(), ending)) && entry.path().is_file() {
                files.push(entry.into_path());
            }
        }
        if files.len() == before {
            return Err(Failure::Usage(format!("{} holds no *.yaml, *.yml or *.json", path.display())));
        }
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// Reads and compiles a document. The inner error lists the problems of the document.
pub(super) fn compiled(file: &Path, steps: &StepRegistry) -> Result<Result<Definition, Vec<Problem>>, Failure> {
    let source = read(file).map_err(|error| unreadable(file, &error))?;
    let format = if has_ending(file, "json") { Format::Json } else { Format::Yaml };
    Ok(Definition::compile(&source, format, steps).map_err(|error| match error {
        DefinitionError::Unreadable(problem) => vec![problem],
        DefinitionError::Invalid(problems) => problems,
    }))
}

/// The step types that this program knows.
pub(super) fn steps() -> Result<StepRegistry, Failure> {
    step_types().map_err(|error| Failure::Failed(error.to_string()))
}

fn has_ending(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|found: &OsStr| found.eq_ignore_ascii_case(ending))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    // One byte over the size limit is enough to find that a document is too large.
    let limit = MAX_BYTES as u64 + 1;
    let mut source = Vec::new();
    if file == Path::new(INPUT) {
        io::stdin().take(limit).read_to_end(&mut source)?;
    } else {
        std::fs::File::open(file)?.take(limit).read_to_end(&mut source)?;
    }
    Ok(source)
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("cannot read {}: {error}", file.display()))
}
