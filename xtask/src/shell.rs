//! Finding and running other programs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::failure::{Context, Failure};

/// The root of the repository, where every task runs.
pub(crate) fn repository() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // The current value from cargo comes first: a checkout that was moved is not rebuilt.
        let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        here.parent().map_or_else(|| here.clone(), Path::to_owned)
    })
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(repository());
    as_from_a_shell(&mut command);
    command
}

/// Takes away what cargo says about this very program. Build scripts such as that of ring read it, so their libraries, and
/// all that use them, would be built again at each change between `cargo xtask` and cargo alone.
pub(crate) fn as_from_a_shell(command: &mut Command) {
    let ours = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
    };
    for (name, _) in env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
}

/// The profile of tests.
pub(crate) const DEV: &str = "dev";

/// Builds with `arguments` of `cargo build` and a profile, and returns the path of `program` in the output folder.
pub(crate) fn built(program: &str, profile: &str, arguments: &[&str]) -> Result<PathBuf, Failure> {
    run(cargo().args(["build", "--quiet", "--profile", profile]).args(arguments))?;
    let metadata = output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).context("reading cargo metadata")?;
    let target = Path::new(metadata["target_directory"].as_str().unwrap_or("target"));
    // Cargo names the folder of the profile `dev` `debug`.
    Ok(target.join(if profile == DEV { "debug" } else { profile }).join(program))
}

/// The program `name` on the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Runs a command with inherited input and output, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let name = name_of(command);
    let status = command.status().context(format_args!("starting {name}"))?;
    if status.success() { Ok(()) } else { Err(Failure::failed(format!("{name}: {status}"))) }
}

/// Runs a command as the whole task: if it fails, the task fails with the same exit code and prints nothing more.
pub(crate) fn pass_on(command: &mut Command) -> Result<(), Failure> {
    let name = name_of(command);
    let status = command.status().context(format_args!("starting {name}"))?;
    if status.success() { Ok(()) } else { Err(Failure::passed_on(status.code())) }
}

/// The output of a command, trimmed.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let name = name_of(command);
    let output = command.stdin(Stdio::null()).output().context(format_args!("starting {name}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::failed(format!("{name}: {}: {}", output.status, said.trim())))
    }
}

/// The program and its first arguments, for messages.
fn name_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut name = words.take(4).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    if command.get_args().len() > 3 {
        name.push_str(" …");
    }
    name
}
