//! Settings of PostgreSQL in addition to those that `pglite-oxide` sets on the command line.

use std::fs;
use std::io;
use std::path::Path;

/// The file that PostgreSQL reads last. Nothing runs `ALTER SYSTEM` here, so the file is free for these settings.
const FILE: &str = "postgresql.auto.conf";

/// The settings with their reasons. All of them may change from one start to the next.
const SETTINGS: &str = "\
# Written at each start.

# Nobody makes checkpoints here but Tidegate, by the size of the log. What a checkpoint frees is removed and not kept for
# later, so that the directory is small when little is written.
wal_recycle = off
# A new segment is not first filled with zeros: that would be 16 MB of writes in the middle of somebody's commit.
wal_init_zero = off
# A page that is written for the first time after a checkpoint goes into the log as a whole, and would be most of it.
wal_compression = pglz
# Statements are short and few rows are sampled while everybody waits.
default_statistics_target = 20
# Planning with compilation costs more than it can give back, and there is no compiler in here.
jit = off
";

/// Writes the settings into the cluster in `directory`.
pub(crate) fn write(directory: &Path) -> io::Result<()> {
    let (file, new) = (directory.join(FILE), directory.join("postgresql.auto.conf.new"));
    fs::write(&new, SETTINGS)?;
    fs::rename(new, file)
}
