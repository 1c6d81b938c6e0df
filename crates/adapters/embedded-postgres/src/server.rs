//! Starting and stopping the embedded PostgreSQL.

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

/// The shutdown timeout: how long to wait for the open connection to be closed.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);
/// The pause after a failure, so that repeated failures do not occupy a core.
const RECOVERY: Duration = Duration::from_millis(50);

/// The embedded PostgreSQL could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process, or another part of this one, uses the directory.
    #[error("the data directory {} is in use by {}; stop that, or choose another --data-dir", directory.display(), Holder(holder))]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The id of the process that holds the lock, if it is known.
        holder: String,
    },
    /// The directory cannot be created or written to.
    #[error("the data directory {} cannot be used: {source}", directory.display())]
    Unusable {
        /// The directory.
        directory: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// PostgreSQL could not be unpacked, or the directory is not from this version.
    #[error("the embedded PostgreSQL cannot be prepared in {}: {reason}", directory.display())]
    Unprepared {
        /// The directory.
        directory: PathBuf,
        /// The error of the library.
        reason: String,
    },
    /// No socket on 127.0.0.1 could be opened.
    #[error("no socket for the embedded PostgreSQL: {0}")]
    Socket(#[source] io::Error),
}

struct Holder<'a>(&'a str);

impl fmt::Display for Holder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("another process") } else { write!(f, "process {}", self.0) }
    }
}

/// The embedded PostgreSQL did not stop in time.
#[derive(Debug, thiserror::Error)]
#[error("the embedded PostgreSQL still has an open connection; close it first")]
pub struct ShutdownError(());

/// A PostgreSQL that runs in this process. [`EmbeddedPostgres::shutdown`] stops it. If it is dropped, it stops as soon
/// as its connection is closed.
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

    /// Waits until the thread has ended; `false` if the timeout is over first.
    fn wait(&self, timeout: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(ended, timeout, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl EmbeddedPostgres {
    /// Starts on `directory`, which is created if it is missing. This takes seconds and blocks; an async caller uses
    /// `spawn_blocking`.
    ///
    /// # Errors
    /// [`StartError`] if it cannot be started; its text says what to do.
    pub fn start(directory: &Path) -> Result<Self, StartError> {
        Self::start_on(directory, None)
    }

    /// Starts on a new temporary directory, which is removed at the end.
    ///
    /// # Errors
    /// [`StartError`] if it cannot be started; its text says what to do.
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
            // Released first, so that the directory is free as soon as the end is reported.
            drop(lock);
            ended.set();
        });
        serving.map_err(unusable_thread(&directory))?;
        Ok(Self { address, directory, wal: Wal::of(&cluster), stopping, stopped, temporary })
    }

    /// The URL of the database for the superuser. At most one connection is open at a time; another one waits.
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

    /// Stops the embedded PostgreSQL and blocks until it has ended. Close the connection first: PostgreSQL ends in
    /// order with it. A checkpoint before ([`crate::Chore::Checkpoint`]) leaves a small directory, and nothing for the
    /// next start to recover.
    ///
    /// # Errors
    /// [`ShutdownError`] if the connection is still open after ten seconds. Ending the process then loses nothing that
    /// was committed.
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
            // Wakes the thread if it waits for a connection.
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

/// Unpacks PostgreSQL and creates the cluster if either is missing, and returns the cluster's directory. The library
/// must not run on a thread of an async runtime, so it gets its own thread.
fn prepare(directory: &Path) -> Result<PathBuf, StartError> {
    let unprepared = |reason: String| StartError::Unprepared { directory: directory.to_owned(), reason };
    let root = directory.to_owned();
    let preparing = thread::spawn(move || {
        install_into(&root).map(|installed| installed.paths.pgdata).map_err(|error| format!("{error:#}"))
    });
    preparing.join().map_err(|_| unprepared("it panicked".to_owned()))?.map_err(unprepared)
}

/// Sets `TCP_NODELAY`, which accepted sockets inherit. The library sends a response in several small pieces with
/// Nagle's algorithm on, so each last piece would wait for an acknowledgement, which the other side delays by 40 ms.
#[cfg(unix)]
fn answer_at_once(listener: &TcpListener) -> io::Result<()> {
    let socket: std::os::fd::OwnedFd = listener.try_clone()?.into();
    TcpStream::from(socket).set_nodelay(true)
}

#[cfg(not(unix))]
fn answer_at_once(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

/// The thread's loop: serves one connection after another until it is stopped.
struct Server {
    proxy: PgliteProxy,
    listener: TcpListener,
    stopping: Arc<AtomicBool>,
}

impl Server {
    fn run(&self) {
        while !self.stopping.load(Ordering::SeqCst) {
            // Each connection has its own PostgreSQL on the same cluster. So what ends one connection, such as a lost
            // socket or a broken session, ends no other.
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
