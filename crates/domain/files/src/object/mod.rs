//! Objects: immutable sequences of bytes under a key, in an object store.

mod key;
mod store;

pub use key::{KeyError, ObjectKey, ObjectPrefix};
pub use store::{
    ByteStream, Expected, ListedObject, ObjectError, ObjectRead, ObjectStore, ObjectWriter, PresignedMethod,
    PresignedRequest, Written,
};
