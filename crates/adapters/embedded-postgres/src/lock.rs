//! A lock that allows one process per data directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process;

/// The file that is locked. Its content, a process id, is only for people to read.
const FILE: &str = "tidegate.lock";

/// An exclusive lock on a directory. The operating system releases it when the process ends, for whatever reason.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

/// The directory could not be locked.
#[derive(Debug)]
pub(crate) enum LockError {
    /// The lock is held, perhaps by this process; the value is the content of the file.
    InUse(String),
    /// The lock file cannot be created or written.
    Io(io::Error),
}

impl DirectoryLock {
    /// Creates `directory` if it is missing, readable for its owner alone, and locks it.
    pub(crate) fn acquire(directory: &Path) -> Result<Self, LockError> {
        create_private(directory).map_err(LockError::Io)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join(FILE))
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(LockError::InUse(holder.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        let named = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", process::id()));
        named.map_err(LockError::Io)?;
        Ok(Self { _file: file })
    }
}

fn create_private(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}
