//! Starting and stopping it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pglite_oxide::{PgliteProxy, install_into};
use tempfile::TempDir;

use crate::lock::{DirectoryLock, LockError};
use crate::settings;
use crate::wal::Wal;

/// How long a shutdown waits for the open connection to be closed.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);
/// How long to rest after a failure, so that one that comes back at once does not occupy a core.
const RECOVERY: Duration = Duration::from_millis(50);

/// Why it could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process, or another part of this one, runs on the directory.
    #[error("the data directory {} is in use by {}; stop that, or choose another --data-dir", directory.display(), Holder(holder))]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The id of the process that holds it, where that is known.
        holder: String,
    },
    /// The directory cannot be made or written.
    #[error("the data directory {} cannot be used: {source}", directory.display())]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// PostgreSQL could not be unpacked or its directory is not one of this version.
    #[error("the embedded PostgreSQL cannot be prepared in {}: {reason}", directory.display())]
    Unprepared {
        /// The directory.
        directory: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// No socket on 127.0.0.1.
    #[error("no socket for the embedded PostgreSQL: {0}")]
    Socket(#[source] io::Error),
}

struct Holder<'a>(&'a str);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("another process") } else { write!(f, "process {}", self.0) }
    }
}

/// Why it did not stop.
#[derive(Debug, thiserror::Error)]
#[error("the embedded PostgreSQL still has an open connection; close it first")]
pub struct ShutdownError(());

/// A PostgreSQL that runs in this process. It ends with [`EmbeddedPostgres::shutdown`]; when it is dropped, it ends
/// as soon as its connection is closed.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    address: SocketAddr,
    directory: PathBuf,
    wal: Wal,
    stopping: Arc<AtomicBool>,
    stopped: Arc<Stopped>,
    temporary: Option<TempDir>,
}

/// Whether the thread has ended.
#[derive(Debug, Default)]
struct Stopped {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl Stopped {
    fn set(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for the end; `false` when it did not come in time.
    fn wait(&self, timeout: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(ended, timeout, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl EmbeddedPostgres {
    /// Starts on `directory`, which is made where it is missing. Takes seconds and blocks; an async caller uses
    /// `spawn_blocking`.
    ///
    /// # Errors
    /// [`StartError`], each with what to do about it.
    pub fn start(directory: &Path) -> Result<Self, StartError> {
        Self::start_on(directory, None)
    }

    /// Starts on a new directory that is removed at the end.
    ///
    /// # Errors
    /// [`StartError`], each with what to do about it.
    pub fn temporary() -> Result<Self, StartError> {
        let directory = tempfile::Builder::new()
            .prefix("tidegate-")
            .tempdir()
            .map_err(|source| StartError::Unusable { directory: std::env::temp_dir(), source })?;
        let path = directory.path().to_owned();
        Self::start_on(&path, Some(directory))
    }

    fn start_on(directory: &Path, temporary: Option<TempDir>) -> Result<Self, StartError> {
        let unusable = |source| StartError::Unusable { directory: directory.to_owned(), source };
        let directory = std::path::absolute(directory).map_err(unusable)?;
        let lock = DirectoryLock::acquire(&directory).map_err(|error| match error {
            LockError::InUse(holder) => StartError::InUse { directory: directory.clone(), holder },
            LockError::Io(source) => StartError::Unusable { directory: directory.clone(), source },
        })?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(StartError::Socket)?;
        answer_at_once(&listener).map_err(StartError::Socket)?;
        let address = listener.local_addr().map_err(StartError::Socket)?;
        let cluster = prepare(&directory)?;
        settings::write(&cluster).map_err(|source| StartError::Unusable { directory: directory.clone(), source })?;

        let stopping = Arc::new(AtomicBool::new(false));
        let stopped = Arc::new(Stopped::default());
        let ended = Arc::clone(&stopped);
        let server = Server { proxy: PgliteProxy::new(&directory), listener, stopping: Arc::clone(&stopping) };
        let serving = thread::Builder::new().name("embedded-postgres".to_owned()).spawn(move || {
            server.run();
            // The directory is free again before anybody is told so.
            drop(lock);
            ended.set();
        });
        serving.map_err(unusable_thread(&directory))?;
        Ok(Self { address, directory, wal: Wal::of(&cluster), stopping, stopped, temporary })
    }

    /// The address of the superuser's database. At most one connection at a time; another one waits.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres?sslmode=disable", self.address)
    }

    /// The data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The write-ahead log, for [`crate::maintain`].
    #[must_use]
    pub const fn wal(&self) -> &Wal {
        &self.wal
    }

    /// Stops it. Close the connection first: PostgreSQL ends with it, in order. Blocks. Whoever makes a checkpoint before
    /// ([`crate::Chore::Checkpoint`]) leaves a small directory behind, and the next start has nothing to recover.
    ///
    /// # Errors
    /// [`ShutdownError`] when the connection is still open after ten seconds. Ending the process then loses nothing
    /// that was committed.
    pub fn shutdown(mut self) -> Result<(), ShutdownError> {
        self.stop();
        if !self.stopped.wait(SHUTDOWN_PATIENCE) {
            return Err(ShutdownError(()));
        }
        drop(self.temporary.take());
        Ok(())
    }

    fn stop(&self) {
        if !self.stopping.swap(true, Ordering::SeqCst) {
            // Wakes the thread where it waits for a connection.
            let _ = TcpStream::connect(self.address);
        }
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn unusable_thread(directory: &Path) -> impl FnOnce(io::Error) -> StartError {
    let directory = directory.to_owned();
    move |source| StartError::Unusable { directory, source }
}

/// Unpacks PostgreSQL and makes the cluster where either is missing, and says where the cluster is. The library must not run
/// on a thread of an async runtime, so it gets one of its own.
fn prepare(directory: &Path) -> Result<PathBuf, StartError> {
    let unprepared = |reason: String| StartError::Unprepared { directory: directory.to_owned(), reason };
    let root = directory.to_owned();
    let preparing = thread::spawn(move || {
        install_into(&root).map(|installed| installed.paths.pgdata).map_err(|error| format!("{error:#}"))
    });
    preparing.join().map_err(|_| unprepared("it panicked".to_owned()))?.map_err(unprepared)
}

/// The sockets that it accepts send what they have: they inherit `TCP_NODELAY`. The library answers in several small pieces and
/// leaves Nagle's algorithm on, so each last piece would wait for an acknowledgement that the other side delays by 40 ms.
#[cfg(unix)]
fn answer_at_once(listener: &TcpListener) -> io::Result<()> {
    let socket: std::os::fd::OwnedFd = listener.try_clone()?.into();
    TcpStream::from(socket).set_nodelay(true)
}

#[cfg(not(unix))]
fn answer_at_once(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

/// Serves one connection after another until it is told to stop.
struct Server {
    proxy: PgliteProxy,
    listener: TcpListener,
    stopping: Arc<AtomicBool>,
}

impl Server {
    fn run(&self) {
        while !self.stopping.load(Ordering::SeqCst) {
            // Each connection has a PostgreSQL of its own on the same cluster, so what ended one, be it a lost socket
            // or a ruined session, ends no other.
            match catch_unwind(AssertUnwindSafe(|| self.proxy.accept_tcp_once(&self.listener))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = format!("{error:#}"), "a connection to the embedded PostgreSQL broke");
                    thread::sleep(RECOVERY);
                }
                Err(_) => {
                    tracing::error!("the embedded PostgreSQL panicked; the next connection starts it again");
                    thread::sleep(RECOVERY);
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_answers_at_once() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        answer_at_once(&listener).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }
}
