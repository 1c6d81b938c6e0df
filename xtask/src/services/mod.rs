//! A private PostgreSQL and Redis: on free ports and in a temporary folder, for as long as this process runs.
//!
//! Both run in process groups of their own, and a [`Keeper`] stops them. So they end with this process however it ends:
//! at the end of the task, on Ctrl-C, on a panic and on a kill.

pub(crate) mod install;
pub(crate) mod keeper;
mod postgres;
mod redis;

use std::env;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{self, Child};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure};
use keeper::Keeper;

/// The variable with the superuser's URL of a PostgreSQL in which tests may create databases.
pub(crate) const DATABASE_URL: &str = "TIDEGATE_TEST_DATABASE_URL";
/// The variable with the URL of a Redis that tests may write to.
pub(crate) const REDIS_URL: &str = "TIDEGATE_TEST_REDIS_URL";

/// The start timeout of a service.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often a service is started, if another program takes the port between finding it free and the start.
const ATTEMPTS: u32 = 3;

/// Whether PostgreSQL waits for the disk (fsync).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Never, for tests, whose data is thrown away.
    None,
    /// By default, for benchmarks, so that the figures are realistic.
    Full,
}

/// Running services: started here, or named by the caller's environment.
pub(crate) struct Services {
    database_url: String,
    redis_url: String,
    children: Vec<Child>,
    keeper: Option<Keeper>,
}

impl Services {
    /// The services for tests: those in [`DATABASE_URL`] and [`REDIS_URL`], or else private ones.
    pub(crate) fn for_tests() -> Result<Self, Failure> {
        match (env::var(DATABASE_URL), env::var(REDIS_URL)) {
            (Ok(database_url), Ok(redis_url)) => {
                Ok(Self { database_url, redis_url, children: Vec::new(), keeper: None })
            }
            _ => Self::start(Durability::None),
        }
    }

    /// Starts private services.
    pub(crate) fn start(durability: Durability) -> Result<Self, Failure> {
        let programs = install::programs()?;
        let folder = temporary_folder()?;
        let keeper = Keeper::start(&folder)?;
        let mut services =
            Self { database_url: String::new(), redis_url: String::new(), children: Vec::new(), keeper: Some(keeper) };
        services.redis_url = services.attempt(|| redis::start(&programs.redis, &folder))?;
        let cluster = postgres::Cluster::create(&programs.postgres, &folder)?;
        services.database_url = services.attempt(|| cluster.start(durability))?;
        Ok(services)
    }

    /// The variables with the addresses of the services.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 2] {
        [(DATABASE_URL, &self.database_url), (REDIS_URL, &self.redis_url)]
    }

    /// The URL of Redis.
    pub(crate) fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The superuser's URL of PostgreSQL.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Stops another process together with the services, before them.
    pub(crate) fn keep(&mut self, child: Child, stop_signal: &str) -> Result<(), Failure> {
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(child.id(), stop_signal)?;
        }
        self.children.push(child);
        Ok(())
    }

    /// Starts a service and waits until it answers. It is tried again only if its port was taken.
    fn attempt(&mut self, start: impl Fn() -> Result<Started, Failure>) -> Result<String, Failure> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let mut started = start()?;
            if let Some(keeper) = &mut self.keeper {
                keeper.keep(started.child.id(), started.stop_signal)?;
            }
            let ready = wait_until_ready(&mut started);
            self.children.push(started.child);
            match ready {
                Ok(()) => return Ok(started.url),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::failed("no service was started")))
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // The keeper stops the services when the pipe closes. They are reaped here, the last first, so that it sees
        // their end.
        let keeper = self.keeper.take().map(Keeper::release);
        for child in self.children.iter_mut().rev() {
            let _ = child.wait();
        }
        if let Some(mut keeper) = keeper {
            let _ = keeper.wait();
        }
    }
}

/// A started service, which may not answer yet.
struct Started {
    child: Child,
    /// The signal for an immediate, orderly shutdown.
    stop_signal: &'static str,
    url: String,
    log: PathBuf,
    ready: Box<dyn Fn() -> bool>,
}

fn wait_until_ready(started: &mut Started) -> Result<(), Failure> {
    let began = Instant::now();
    loop {
        if (started.ready)() {
            return Ok(());
        }
        let ended = started.child.try_wait().context("waiting for a service")?;
        if ended.is_some() || began.elapsed() > TIMEOUT {
            let log = fs::read_to_string(&started.log).unwrap_or_default();
            return Err(Failure::failed(format!("a service did not start; {} says:\n{log}", started.log.display())));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A port that is free now.
fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("looking for a free port")?.port())
}

/// A new folder that other users may enter but not list.
fn temporary_folder() -> Result<PathBuf, Failure> {
    use std::os::unix::fs::PermissionsExt;
    let base = env::temp_dir();
    for number in 0..1000 {
        let folder = base.join(format!("tidegate-services-{}-{number}", process::id()));
        if fs::create_dir(&folder).is_ok() {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o711)).context("opening the folder")?;
            return Ok(folder);
        }
    }
    Err(Failure::refused(format!("cannot make a folder in {}; set TMPDIR to one that can be written", base.display())))
}

/// Creates an empty log file that a service of any user can write to.
fn create_log(path: &Path) -> Result<fs::File, Failure> {
    fs::File::create(path).context(format_args!("creating {}", path.display()))
}
