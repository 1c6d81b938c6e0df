//! A private PostgreSQL cluster.
//!
//! PostgreSQL refuses to run as root. If this process is root, it runs as the user `postgres`, or else `nobody`.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Durability, Started, create_log, free_port};
use crate::failure::{Context, Failure};
use crate::shell;

/// A cluster that has been created and can be started.
pub(super) struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<User>,
}

/// Another user and their group.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Cluster {
    /// Creates a cluster in `folder` with the programs in the folder `programs`.
    pub(super) fn create(programs: &Path, folder: &Path) -> Result<Self, Failure> {
        let cluster =
            Self { programs: programs.to_owned(), folder: folder.join("postgres"), user: unprivileged_user()? };
        fs::create_dir(&cluster.folder).context("making a folder for PostgreSQL")?;
        if let Some(user) = cluster.user {
            chown(&cluster.folder, Some(user.uid), Some(user.gid)).context("giving PostgreSQL its folder")?;
        }
        let mut initdb = cluster.command("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        shell::output(initdb.arg("--pgdata").arg(cluster.data()))?;
        Ok(cluster)
    }

    /// Starts the server; it may not answer yet.
    pub(super) fn start(&self, durability: Durability) -> Result<Started, Failure> {
        let port = free_port()?;
        let log = self.folder.with_extension("log");
        let output = create_log(&log)?;
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data()).args(["-p", &port.to_string()]);
        for setting in settings(durability) {
            server.args(["-c", setting]);
        }
        let child = server
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(output.try_clone().context("opening PostgreSQL's log")?)
            .stdout(output)
            .spawn()
            .context("starting postgres")?;
        let status = self.data().join("postmaster.pid");
        Ok(Started {
            child,
            stop_signal: "INT",
            url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            log,
            ready: Box::new(move || accepts_connections(&status)),
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

fn settings(durability: Durability) -> impl Iterator<Item = &'static str> {
    let always = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=400",
        "timezone=UTC",
        "logging_collector=off",
        "max_wal_size=4GB",
    ];
    let careless = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
    always.into_iter().chain(careless.into_iter().filter(move |_| durability == Durability::None))
}

/// Whether line 8 of the server's lock file says that it is ready.
fn accepts_connections(lock_file: &Path) -> bool {
    fs::read_to_string(lock_file).is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
}

/// The user that the server runs as, if it is not the current one.
fn unprivileged_user() -> Result<Option<User>, Failure> {
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| Some(User { uid: id(&["-u", name]).ok()?, gid: id(&["-g", name]).ok()? }))
        .map(Some)
        .ok_or_else(|| Failure::refused("PostgreSQL cannot run as root and there is no user `postgres` or `nobody`"))
}

fn id(arguments: &[&str]) -> Result<u32, Failure> {
    shell::output(Command::new("id").args(arguments))?.parse().context("reading the output of `id`")
}
