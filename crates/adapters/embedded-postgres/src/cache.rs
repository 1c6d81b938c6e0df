//! The cache folder to which the embedded PostgreSQL is unpacked.
//!
//! The library uses the user's cache folder: `$XDG_CACHE_HOME`, or `~/.cache`. A service user often has no writable
//! home. A process cannot change its environment safely while it runs, so it restarts itself with another environment.

use std::convert::Infallible;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

/// The variable that the library reads.
const VARIABLE: &str = "XDG_CACHE_HOME";

/// Makes sure that the cache folder can be written to. If the user's cannot, this starts the program again, as the same
/// process and with the same arguments, with `fallback` as its cache folder. Call it first in `main`.
///
/// # Errors
/// An I/O error if neither folder can be written to, or if the program cannot be started again.
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

/// The cache folder that the library uses.
#[cfg(target_os = "linux")]
fn user_cache() -> Option<PathBuf> {
    env::var_os(VARIABLE)
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
}

/// On other systems the library does not read [`VARIABLE`], so there is no folder to choose.
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
