//! A user without a writable home directory.

use std::env;
use std::path::Path;
use std::process::Command;

use tidegate_embedded_postgres::cache;

/// The variable with the fallback folder for the helper process.
const FALLBACK: &str = "TIDEGATE_CACHE_TEST_FALLBACK";

/// Not a test by itself: the process that the test below starts, and that restarts itself.
#[test]
#[ignore = "a helper of a_program_moves_its_cache_where_it_can_write"]
fn program() {
    let Some(fallback) = env::var_os(FALLBACK) else { return };
    cache::ensure(Path::new(&fallback)).unwrap();
    println!("cache {}", env::var("XDG_CACHE_HOME").unwrap_or_default());
}

fn cache_of_program(home: &Path, fallback: &Path) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "cache::program", "--ignored", "--nocapture"])
        .env_remove("XDG_CACHE_HOME")
        .env("HOME", home)
        .env(FALLBACK, fallback)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find_map(|line| Some(line.split_once("cache ")?.1.to_owned())).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_program_moves_its_cache_where_it_can_write() {
    let (home, fallback) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(cache_of_program(home.path(), fallback.path()), "", "a home that can be written needs no other folder");
    // Even root cannot create folders in /proc.
    let moved = cache_of_program(Path::new("/proc/no-home"), fallback.path());
    assert_eq!(Path::new(&moved), fallback.path());
}
