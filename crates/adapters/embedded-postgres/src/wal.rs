//! The size of the write-ahead log, measured by its folder.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the write-ahead log.
#[derive(Debug, Clone)]
pub struct Wal {
    folder: PathBuf,
}

impl Wal {
    pub(crate) fn of(cluster: &Path) -> Self {
        Self { folder: cluster.join("pg_wal") }
    }

    /// Its size in bytes, in segments of 16 MiB; 0 if it cannot be read. A checkpoint shrinks it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let Ok(files) = fs::read_dir(&self.folder) else { return 0 };
        files.filter_map(|file| file.ok()?.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len()).sum()
    }
}
