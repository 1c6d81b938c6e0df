//! The address of an object store, and the settings of its client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use url::Url;

use crate::objects::Objects;
use crate::presign::Signing;
use crate::unfinished::Unfinished;

/// The timeout for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request may wait for a byte of the response. Writing a part of 8 MiB lies within it.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// After this time no request is retried.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
/// The most retries of one request.
const MAX_RETRIES: usize = 6;
/// The first delay before a retry, and the longest one.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// An address that names no usable object store.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LocationError(String);

/// The checked address of an object store.
#[derive(Debug, Clone)]
pub enum Location {
    /// A directory of this machine. It is created by [`Location::open`].
    Directory(PathBuf),
    /// A store that is reached over HTTP.
    Remote(Objects),
}

impl Location {
    /// Reads an address such as `s3://bucket/prefix`, `gs://bucket`, `az://container` or `file:///directory`.
    ///
    /// `options` are settings of the client by their names in the environment, such as `AWS_REGION` or
    /// `GOOGLE_SERVICE_ACCOUNT`, in lower or upper case; of two with the same name, the later one counts. Names that
    /// the store does not know are ignored, so that a whole environment can be given. Connects to nothing.
    ///
    /// # Errors
    /// [`LocationError`] if the address cannot be read or the settings do not suffice.
    pub fn parse(address: &str, options: impl IntoIterator<Item = (String, String)>) -> Result<Self, LocationError> {
        let url = Url::parse(address).map_err(|error| LocationError(format!("it is not a URL: {error}")))?;
        if url.query().is_some() || url.fragment().is_some() || url.password().is_some() {
            return Err(LocationError("it has a query, a fragment or a password; these are not supported".to_owned()));
        }
        if url.scheme() == "file" {
            let directory = url
                .to_file_path()
                .map_err(|()| LocationError("write a directory of this machine as file:///directory".to_owned()))?;
            return Ok(Self::Directory(directory));
        }
        // Every client needs it. A second call keeps what is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let failed = |error: object_store::Error| LocationError(error.to_string());
        let prefix = Path::from_url_path(url.path()).map_err(|error| LocationError(error.to_string()))?;
        let options = options.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        // The path is the prefix of the keys here, and for the builders a part of the address.
        let mut bucket = url.clone();
        bucket.set_path("");
        match url.scheme() {
            "s3" => {
                let builder = AmazonS3Builder::new().with_client_options(client()).with_retry(retry());
                let builder =
                    options.filter(|(name, _)| name.starts_with("aws_")).fold(builder, |builder, option| match option
                        .0
                        .parse()
                    {
                        Ok(key) => builder.with_config(key, option.1),
                        Err(_) => builder,
                    });
                let builder = builder.with_url(bucket.to_string());
                let builder = match builder.get_config_value(&AmazonS3ConfigKey::Checksum) {
                    Some(_) => builder,
                    // The server computes it too, and refuses a part that does not agree.
                    None => builder.with_checksum_algorithm(Checksum::SHA256),
                };
                let store = Arc::new(builder.build().map_err(failed)?);
                let unfinished = Unfinished::s3(Arc::clone(&store)).map_err(LocationError)?;
                Ok(Self::Remote(Objects::new(store.clone(), prefix, Some(Signing::s3(store)), unfinished)))
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::new().with_client_options(client()).with_retry(retry());
                let builder = options.filter(|(name, _)| name.starts_with("google_")).fold(
                    builder,
                    |builder, option| match option.0.parse() {
                        Ok(key) => builder.with_config(key, option.1),
                        Err(_) => builder,
                    },
                );
                let store = Arc::new(builder.with_url(bucket.to_string()).build().map_err(failed)?);
                Ok(Self::Remote(Objects::new(store.clone(), prefix, Some(Signing::gcs(store)), Unfinished::Expires)))
            }
            "az" | "azure" => {
                let builder = MicrosoftAzureBuilder::new().with_client_options(client()).with_retry(retry());
                let builder = options.filter(|(name, _)| name.starts_with("azure_")).fold(
                    builder,
                    |builder, option| match option.0.parse() {
                        Ok(key) => builder.with_config(key, option.1),
                        Err(_) => builder,
                    },
                );
                let store = Arc::new(builder.with_url(bucket.to_string()).build().map_err(failed)?);
                Ok(Self::Remote(Objects::new(store.clone(), prefix, Some(Signing::azure(store)), Unfinished::Expires)))
            }
            scheme => Err(LocationError(format!(
                "{scheme}:// is not supported; write s3://bucket/prefix, gs://bucket, az://container or file:///directory"
            ))),
        }
    }

    /// The store at this address. Creates the directory if it is one.
    ///
    /// # Errors
    /// [`LocationError`] if the directory cannot be created or read.
    pub fn open(self) -> Result<Objects, LocationError> {
        match self {
            Self::Remote(objects) => Ok(objects),
            Self::Directory(directory) => {
                std::fs::create_dir_all(&directory)
                    .map_err(|error| LocationError(format!("{} cannot be created: {error}", directory.display())))?;
                let store =
                    LocalFileSystem::new_with_prefix(&directory).map_err(|error| LocationError(error.to_string()))?;
                // A file that was acknowledged is still there after a power failure.
                let store = Arc::new(store.with_fsync(true).with_automatic_cleanup(true));
                let unfinished = Unfinished::Local(Arc::clone(&store));
                Ok(Objects::new(store, Path::default(), None, unfinished))
            }
        }
    }
}

/// The client's timeouts. There is none for a whole request, because an object may be large.
fn client() -> ClientOptions {
    ClientOptions::default()
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(READ_TIMEOUT)
        .with_user_agent(object_store::HeaderValue::from_static("tidegate"))
}

fn retry() -> RetryConfig {
    let (init_backoff, max_backoff) = BACKOFF;
    let backoff = BackoffConfig { init_backoff, max_backoff, ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        Location::parse(address, []).unwrap_err().to_string()
    }

    #[test]
    fn an_address_says_which_store_it_is() {
        let location = Location::parse("file:///var/lib/tidegate/objects", []).unwrap();
        assert!(
            matches!(location, Location::Directory(path) if path == std::path::Path::new("/var/lib/tidegate/objects"))
        );
        let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let aws = [option("AWS_REGION", "eu-central-1"), option("aws_unknown", "x"), option("HOME", "/root")];
        assert!(matches!(Location::parse("s3://bucket/prefix", aws), Ok(Location::Remote(_))));
        let azure = [option("AZURE_STORAGE_ACCOUNT_NAME", "acme"), option("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")];
        assert!(matches!(Location::parse("az://container", azure), Ok(Location::Remote(_))));
    }

    #[test]
    fn an_address_that_cannot_be_used_says_why() {
        assert!(refused("/var/lib").contains("not a URL"));
        assert!(refused("ftp://example.org").contains("s3://bucket/prefix"));
        assert!(refused("file://elsewhere/var").contains("file:///directory"));
        assert!(refused("s3://bucket?endpoint=x").contains("query"));
        assert!(refused("s3://key:secret@bucket").contains("password"));
        assert!(!refused("az://container").is_empty(), "the account is missing");
    }
}
