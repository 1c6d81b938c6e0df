//! The PostgreSQL that is embedded in the binary.
//!
//! It is PostgreSQL 17 compiled to WebAssembly and then to native code (`pglite-oxide`). A thread of this process runs
//! it on a data directory and serves a socket on 127.0.0.1. Nothing is downloaded: the program and an empty cluster are
//! part of the executable, and are unpacked into a cache folder (see [`cache`]) at the first start.
//!
//! What the caller has to know:
//! - There is exactly **one connection**. A second one waits until the first is closed. So the pool has one connection
//!   that never expires, and no task may wait for a second while it holds one.
//! - It runs like single-user mode: no background process vacuums or makes checkpoints; see [`maintenance`].
//! - A PL/pgSQL block with `EXCEPTION` breaks the session. A broken session ends; the next connection begins a new one.
//! - fsync is off: acknowledged commits survive a kill of the process, but not a power failure.
//! - The data directory holds only the differences from the empty cluster of this version. Only this version of
//!   `pglite-oxide` can open it, so the root manifest pins the exact version. To change the version, copy the rows.

pub mod cache;
mod lock;
pub mod maintenance;
mod server;
mod settings;
mod wal;

pub use maintenance::{CHECKPOINT, Chore, Schedule, VACUUMS_DUE, maintain};
pub use server::{EmbeddedPostgres, ShutdownError, StartError};
pub use wal::Wal;
