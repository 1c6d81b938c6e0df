//! Files: uploaded bytes, and what is known about them.
//!
//! - [`object`] has the keys of objects and the port of an object store. [`model`] is a file with its states.
//! - [`name`], [`metadata`] and [`content_type`] decide what is accepted. They see only texts and first bytes.
//! - [`ports`] has the obligations of the store of rows. [`service`] has the use cases.
//!
//! A row is written before the first byte of its object, and goes after the last one. So no object is without a row,
//! whenever a process stops: [`service::FileTasks`] finishes what such a process began.

pub mod content_type;
pub mod error;
pub mod metadata;
pub mod model;
pub mod name;
pub mod object;
pub mod ports;
pub mod service;

pub use content_type::{MediaType, TypeError};
pub use error::{CompleteError, FileError, SettleError, UploadError};
pub use metadata::{Metadata, MetadataError};
pub use model::{File, FileChange, FileFilter, FileState, NewFile, TaskKind, UploadKind};
pub use name::{FileName, FileNameError};
pub use ports::{DueTask, FileLimits, FileRepository, FileTaskQueue, FilesTx};
pub use service::{FileTasks, Files, FilesConfig, Incoming, PresignedUpload, UploadRequest};
