//! A PostgreSQL and a Redis of our own: on free ports, in a temporary folder, gone when we are.
//!
//! Both stay in process groups of their own and a [`Keeper`] stops them, so that they end with us in every way that
//! a process can end: at the end of the chore, on Ctrl-C, on a panic and on a kill.

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

/// Where a test finds the superuser's login of a PostgreSQL that it may fill with databases.
pub(crate) const DATABASE_URL: &str = "TIDEGATE_TEST_DATABASE_URL";
/// Where a test finds a Redis that it may fill.
pub(crate) const REDIS_URL: &str = "TIDEGATE_TEST_REDIS_URL";

/// How long a service may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a service is started again, when another program took the port between our look and its start.
const ATTEMPTS: u32 = 3;

/// Whether PostgreSQL waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Never: tests throw their data away.
    None,
    /// As it is installed: figures have to be honest.
    Full,
}

/// Services that run, or those that the caller's environment already names.
pub(crate) struct Services {
    database_url: String,
    redis_url: String,
    children: Vec<Child>,
    keeper: Option<Keeper>,
}

impl Services {
    /// Those that [`DATABASE_URL`] and [`REDIS_URL`] name, else ones of our own, for tests.
    pub(crate) fn for_tests() -> Result<Self, Failure> {
        match (env::var(DATABASE_URL), env::var(REDIS_URL)) {
            (Ok(database_url), Ok(redis_url)) => {
                Ok(Self { database_url, redis_url, children: Vec::new(), keeper: None })
            }
            _ => Self::start(Durability::None),
        }
    }

    /// Starts both.
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

    /// The variables in which tests look for the services.
    pub(crate) fn variables(&self) -> [(&'static str, &str); 2] {
        [(DATABASE_URL, &self.database_url), (REDIS_URL, &self.redis_url)]
    }

    /// The superuser's login.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Stops another process with the services, first of all.
    pub(crate) fn keep(&mut self, child: Child, stop_signal: &str) -> Result<(), Failure> {
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(child.id(), stop_signal)?;
        }
        self.children.push(child);
        Ok(())
    }

    /// Starts a service until it answers; only a port that was taken is worth another try.
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
        // The keeper stops them when it hears nothing more from us; it must see them reaped, the last first, to know that they ended.
        let keeper = self.keeper.take().map(Keeper::release);
        for child in self.children.iter_mut().rev() {
            let _ = child.wait();
        }
        if let Some(mut keeper) = keeper {
            let _ = keeper.wait();
        }
    }
}

/// A service that was started and may not answer yet.
struct Started {
    child: Child,
    /// The signal that ends it at once and in order.
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
        if ended.is_some() || began.elapsed() > PATIENCE {
            let log = fs::read_to_string(&started.log).unwrap_or_default();
            return Err(Failure::failed(format!("a service did not start; {} says:\n{log}", started.log.display())));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody listens on now.
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

/// An empty log that a service of any user can be given.
fn create_log(path: &Path) -> Result<fs::File, Failure> {
    fs::File::create(path).context(format_args!("creating {}", path.display()))
}
