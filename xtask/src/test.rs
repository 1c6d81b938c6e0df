//! `test` and `services`: run commands with private services.

use std::ffi::OsStr;
use std::process::Command;

use crate::failure::Failure;
use crate::services::Services;
use crate::shell;

/// Runs the tests. Without arguments it runs all tests, documentation tests first, so that the test runner's summary comes
/// last.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let services = Services::for_tests()?;
    if arguments.is_empty() {
        let mut doc = shell::cargo();
        shell::run(doc.args(["test", "--quiet", "--doc", "--workspace"]).envs(services.variables()))?;
    }
    let mut tests = shell::cargo();
    if shell::find("cargo-nextest").is_some() {
        tests.args(["nextest", "run"]);
    } else {
        eprintln!("xtask: cargo-nextest is missing, so `cargo test` runs the tests, more slowly;");
        eprintln!("xtask: `cargo install --locked cargo-nextest` installs it");
        tests.args(["test", "--all-targets"]);
    }
    if !arguments.iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package")) {
        tests.arg("--workspace");
    }
    shell::run(tests.args(arguments).envs(services.variables()))
}

/// Runs any command in the current folder.
pub(crate) fn run_with_services(words: &[String]) -> Result<(), Failure> {
    let services = Services::for_tests()?;
    let mut words = words.iter().map(OsStr::new);
    let Some(program) = words.next() else { return Ok(()) };
    let mut command = Command::new(program);
    shell::as_from_a_shell(&mut command);
    shell::pass_on(command.args(words).envs(services.variables()))
}
