//! `codegen`: what is generated and committed. With `--check` it changes nothing and fails where a file is not what
//! it would write.

use std::fs;

use crate::failure::{Context, Failure};
use crate::shell;

/// A hidden command of the program, and the file that holds what it prints.
const DOCUMENTS: [(&str, &str); 1] = [("openapi", "docs/openapi.json")];

/// Writes every file, or compares it.
pub(crate) fn run(check: bool) -> Result<(), Failure> {
    let mut stale = Vec::new();
    for (command, file) in DOCUMENTS {
        let mut text = shell::output(shell::cargo().args(["run", "--quiet", "-p", "tidegate", "--", command]))?;
        text.push('\n');
        let path = shell::repository().join(file);
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if committed == text {
            continue;
        }
        if check {
            let line = committed.lines().zip(text.lines()).take_while(|(old, new)| old == new).count() + 1;
            stale.push(format!("{file} is not up to date from line {line} on"));
        } else {
            fs::write(&path, text).context(format_args!("writing {file}"))?;
            println!("{file}");
        }
    }
    if stale.is_empty() {
        Ok(())
    } else {
        Err(Failure::failed(format!("{}; run `cargo xtask codegen` and commit", stale.join("; "))))
    }
}
