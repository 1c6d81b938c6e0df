//! The PostgreSQL that ships inside the binary.
//!
//! It is PostgreSQL 17 compiled to WebAssembly and then to native code (`pglite-oxide`), run by a thread of this
//! process from a data directory and reached over a socket on 127.0.0.1. Nothing is downloaded: the program and an
//! empty cluster are part of the executable, and are unpacked into a cache folder (see [`cache`]) at the first start.
//!
//! What the caller has to know:
//! - There is exactly **one connection**. A second one waits until the first is closed, so a pool has one connection
//!   that never expires, and nobody waits for a second while holding it.
//! - It runs in the manner of single-user mode: no background process vacuums or makes checkpoints, see
//!   [`maintenance`].
//! - A PL/pgSQL block with `EXCEPTION` ruins the session. A ruined session ends; the next connection begins a new one.
//! - fsync is off: what was acknowledged survives a kill of the process, not a power cut.
//! - The data directory holds what differs from the empty cluster that this version ships, and only this version of
//!   `pglite-oxide` opens it, which is why the root manifest names it exactly. Moving on means copying the rows.

pub mod cache;
mod lock;
pub mod maintenance;
mod server;
mod settings;
mod wal;

pub use maintenance::{CHECKPOINT, Chore, Schedule, VACUUMS_DUE, maintain};
pub use server::{EmbeddedPostgres, ShutdownError, StartError};
pub use wal::Wal;
