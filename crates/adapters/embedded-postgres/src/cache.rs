//! Where the embedded PostgreSQL is unpacked to.
//!
//! The library takes the user's cache folder: `$XDG_CACHE_HOME`, or `~/.cache`. A service user often has no home that
//! can be written. A process cannot change its environment safely once it runs, so it starts itself again with another.

use std::convert::Infallible;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// The variable that the library reads.
const VARIABLE: &str = "XDG_CACHE_HOME";

/// Does nothing where the user's cache folder can be written; otherwise starts this program again, as the same process
/// and with the same arguments, with `fallback` as its cache folder. Call it first in `main`.
///
/// # Errors
/// When neither folder can be written, or the program cannot be started again.
pub fn ensure(fallback: &Path) -> io::Result<()> {
    if user_cache().is_some_and(|folder| is_writable(&folder.join("pglite-oxide")).is_ok()) {
        return Ok(());
    }
    let fallback = std::path::absolute(fallback)?;
    if env::var_os(VARIABLE).is_some_and(|named| Path::new(&named) == fallback) {
        return is_writable(&fallback);
    }
    is_writable(&fallback)?;
    restart(&fallback).map(|never| match never {})
}

/// The folder that the library would take.
#[cfg(target_os = "linux")]
fn user_cache() -> Option<PathBuf> {
    env::var_os(VARIABLE)
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
}

/// Elsewhere the library does not read [`VARIABLE`], so there is nothing to choose.
#[cfg(not(target_os = "linux"))]
fn user_cache() -> Option<PathBuf> {
    Some(env::temp_dir())
}

fn is_writable(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join(format!(".probe-{}", process::id()));
    fs::write(&probe, [])?;
    fs::remove_file(&probe)
}

#[cfg(unix)]
fn restart(cache: &Path) -> io::Result<Infallible> {
    use std::os::unix::process::CommandExt;
    let mut program = process::Command::new(env::current_exe()?);
    Err(program.args(env::args_os().skip(1)).env(VARIABLE, cache).exec())
}

#[cfg(not(unix))]
fn restart(_: &Path) -> io::Result<Infallible> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
