//! The object store of a server under test.

use std::sync::Arc;

use tidegate_testing::S3Server;

/// The object store of a server.
pub enum ObjectHome {
    /// There is none.
    Nothing,
    /// A directory.
    Directory(tempfile::TempDir),
    /// An S3 server.
    S3(S3Server),
}

impl ObjectHome {
    /// A directory.
    pub fn directory() -> Arc<Self> {
        Arc::new(Self::Directory(tempfile::tempdir().expect("a directory")))
    }

    /// An S3 server.
    pub async fn s3() -> Arc<Self> {
        Arc::new(Self::S3(S3Server::start().await))
    }

    /// Its address, and the options of its client.
    pub fn location(&self) -> (String, Vec<(String, String)>) {
        match self {
            Self::Nothing => (String::new(), Vec::new()),
            Self::Directory(directory) => (format!("file://{}", directory.path().display()), Vec::new()),
            Self::S3(server) => (server.url(), server.options()),
        }
    }

    /// The flags of a server that uses it.
    pub fn flags(&self) -> Vec<String> {
        let (url, options) = self.location();
        let url = (!url.is_empty()).then(|| ["--object-store-url".to_owned(), url]);
        let options = options.into_iter().map(|(name, value)| format!("{name}={value}"));
        let options = options.flat_map(|option| ["--object-store-option".to_owned(), option]);
        url.into_iter().flatten().chain(options).collect()
    }

    /// The names of all objects, and of parts without an object.
    pub fn stored(&self) -> Vec<String> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Directory(directory) => tidegate_testing::s3::stored(directory.path()),
            Self::S3(server) => server.stored(),
        }
    }
}
