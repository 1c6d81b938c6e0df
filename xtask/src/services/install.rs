//! Finds PostgreSQL and Redis on this machine, or installs them if one command can.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::shell;

/// The oldest supported major version of PostgreSQL.
const OLDEST_POSTGRES: u32 = 15;

/// The programs that the services need.
pub(crate) struct Programs {
    /// The folder that has both `initdb` and `postgres`.
    pub(crate) postgres: PathBuf,
    /// `redis-server`.
    pub(crate) redis: PathBuf,
}

/// The programs, which are installed first if they are missing.
pub(crate) fn programs() -> Result<Programs, Failure> {
    if let (Some(postgres), Some(redis)) = (postgres(), redis()) {
        return Ok(Programs { postgres, redis });
    }
    install()?;
    match (postgres(), redis()) {
        (Some(postgres), Some(redis)) => Ok(Programs { postgres, redis }),
        _ => Err(Failure::refused(format!("PostgreSQL {OLDEST_POSTGRES} or Redis is still missing; {ADVICE}"))),
    }
}

/// The folder of a supported PostgreSQL: the one on the search path, or else the newest that is installed.
pub(crate) fn postgres() -> Option<PathBuf> {
    let on_path = shell::find("initdb").and_then(|file| fs::canonicalize(file).ok()?.parent().map(Path::to_owned));
    let mut installed: Vec<_> = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr"]
        .iter()
        .flat_map(versions_below)
        .collect();
    installed.sort();
    on_path
        .into_iter()
        .chain(installed.into_iter().rev())
        .find(|folder| folder.join("initdb").is_file() && major_version(folder) >= Some(OLDEST_POSTGRES))
}

/// `redis-server`, or its compatible successor.
pub(crate) fn redis() -> Option<PathBuf> {
    shell::find("redis-server").or_else(|| shell::find("valkey-server"))
}

/// `…/15/bin` of Debian, `…/postgresql@15/bin` of Homebrew, `/usr/pgsql-15/bin` of Red Hat.
fn versions_below(folder: &&str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.parse::<u32>().is_ok() || name.starts_with("postgresql") || name.starts_with("pgsql-")
        })
        .map(|entry| entry.path().join("bin"))
        .collect()
}

/// `15` of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`.
pub(crate) fn major_version(folder: &Path) -> Option<u32> {
    let text = shell::output(Command::new(folder.join("postgres")).arg("--version")).ok()?;
    let version = text.split_whitespace().nth(2)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The advice if they cannot be installed automatically.
pub(crate) const ADVICE: &str = "install PostgreSQL 15 or later and Redis 7 or later (Debian: postgresql redis-server; \
                      Fedora: postgresql-server redis; macOS: brew install postgresql@17 redis), \
                      or name running ones in TIDEGATE_TEST_DATABASE_URL and TIDEGATE_TEST_REDIS_URL";

/// Installs both with apt-get, as root or through sudo.
fn install() -> Result<(), Failure> {
    if shell::find("apt-get").is_none() {
        return Err(Failure::refused(format!("PostgreSQL or Redis is missing; {ADVICE}")));
    }
    let root = shell::output(Command::new("id").arg("-u"))? == "0";
    if !root && shell::find("sudo").is_none() {
        return Err(Failure::refused(format!("PostgreSQL or Redis is missing and there is no sudo; {ADVICE}")));
    }
    eprintln!("xtask: PostgreSQL or Redis is missing; installing both with apt-get");
    let apt_get = |arguments: &[&str]| {
        let mut command = if root { Command::new("env") } else { Command::new("sudo") };
        if !root {
            command.arg("env");
        }
        shell::run(command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]).args(arguments))
            .map_err(|failure| Failure::refused(format!("{failure}; {ADVICE}")))
    };
    apt_get(&["update"])?;
    apt_get(&["install", "--no-install-recommends", "postgresql", "redis-server"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_postgresql_has_no_version() {
        assert_eq!(major_version(Path::new("/nonexistent")), None);
    }
}
