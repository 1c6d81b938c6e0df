//! The port of an object store on S3 and compatible servers, Google Cloud Storage, Azure Blob Storage, and a local
//! directory.
//!
//! [`Location`] is a checked address, and [`Objects`] the store there. Reading an address touches nothing; the first
//! operation connects.

mod hash;
mod location;
mod objects;
mod pieces;
mod presign;
mod unfinished;
mod writer;

pub use location::{Location, LocationError};
pub use objects::Objects;
