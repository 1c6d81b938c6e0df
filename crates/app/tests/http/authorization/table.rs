//! Committed tables of statuses: a test writes them, and later runs compare with them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The folder of the tables.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/authorization/tables");

/// A table under construction. Each is a file of its own, since tests run in separate processes.
pub struct Table {
    file: PathBuf,
    text: String,
}

impl Table {
    pub fn new(name: &str, heading: &str, actors: &[&str]) -> Self {
        let mut text = format!(
            "# {heading}\n\nStatuses of one valid request of each kind of caller. Written by the test; every change of it is a \
             change of the API.\n\n"
        );
        let _ = writeln!(text, "| operation | {} |", actors.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(actors.len()));
        Self { file: Path::new(FOLDER).join(format!("{name}.md")), text }
    }

    pub fn row(&mut self, operation: &str, statuses: impl IntoIterator<Item = u16>) {
        let statuses: Vec<String> = statuses.into_iter().map(|status| status.to_string()).collect();
        let _ = writeln!(self.text, "| `{operation}` | {} |", statuses.join(" | "));
    }

    /// Fails if the committed table differs; writes it with `TIDEGATE_UPDATE=1`.
    pub fn check(self) {
        if std::env::var_os("TIDEGATE_UPDATE").is_some() {
            std::fs::write(&self.file, &self.text).expect("the table can be written");
        }
        let committed = std::fs::read_to_string(&self.file).unwrap_or_default();
        let advice = "is not what the server does; look at it with TIDEGATE_UPDATE=1";
        assert_eq!(self.text, committed, "{} {advice}", self.file.display());
    }
}

/// The names of the committed tables.
pub fn committed() -> Vec<String> {
    let files = std::fs::read_dir(FOLDER).expect("there are tables");
    let names = files.map(|file| file.expect("a table").file_name().to_string_lossy().replace(".md", ""));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
