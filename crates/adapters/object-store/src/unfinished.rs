//! What writers leave behind whose process was killed: parts that belong to no object.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3;
use object_store::local::LocalFileSystem;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use serde::Deserialize;
use tidegate_files::object::ObjectError;

use crate::objects::{failure, unavailable};

/// How long the signed request for a list is valid.
const LIST_VALID: Duration = Duration::from_secs(60);
/// The most aborts that are under way at once.
const ABORTS: usize = 8;

/// How parts without an object are found in a store.
#[derive(Debug, Clone)]
pub(crate) enum Unfinished {
    /// Files beside the object, whose names go on with `#` and a number.
    Local(Arc<LocalFileSystem>),
    /// Multipart uploads.
    S3 { store: Arc<AmazonS3>, http: reqwest::Client },
    /// The store removes them by itself, or by a rule of the bucket.
    Expires,
}

/// A page of ListMultipartUploads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MultipartUploads {
    #[serde(default)]
    upload: Vec<MultipartUpload>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: Option<String>,
    #[serde(default)]
    next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MultipartUpload {
    key: String,
    upload_id: String,
}

impl Unfinished {
    /// Finds the multipart uploads of an S3 bucket.
    pub(crate) fn s3(store: Arc<AmazonS3>) -> Result<Self, String> {
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(30));
        Ok(Self::S3 { store, http: http.build().map_err(|error| error.to_string())? })
    }

    /// Removes the parts of one object.
    pub(crate) async fn remove(&self, path: &Path) -> Result<(), ObjectError> {
        match self {
            Self::Expires => Ok(()),
            Self::S3 { store, http } => abort(store, http, path.as_ref(), |key| key == path.as_ref()).await,
            Self::Local(store) => {
                let file = store.path_to_filesystem(path).map_err(failure)?;
                blocking(move || remove_staged(&file)).await
            }
        }
    }

    /// Removes the parts of all objects below a prefix that ends with a slash.
    pub(crate) async fn remove_all(&self, prefix: &str) -> Result<(), ObjectError> {
        match self {
            Self::Expires => Ok(()),
            Self::S3 { store, http } => abort(store, http, prefix, |key| key.starts_with(prefix)).await,
            Self::Local(store) => {
                let path = Path::from(prefix.trim_end_matches('/'));
                let directory = store.path_to_filesystem(&path).map_err(failure)?;
                blocking(move || match std::fs::remove_dir_all(directory) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                })
                .await
            }
        }
    }
}

async fn blocking(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), ObjectError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(unavailable)?;
    done.map_err(unavailable)
}

/// Removes the files beside `file` that have its name and a `#`.
fn remove_staged(file: &std::path::Path) -> std::io::Result<()> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let staged = format!("{name}#");
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(&staged)) {
            match std::fs::remove_file(entry.path()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Aborts the multipart uploads below `prefix` whose key is `wanted`.
async fn abort(
    store: &AmazonS3,
    http: &reqwest::Client,
    prefix: &str,
    wanted: impl Fn(&str) -> bool,
) -> Result<(), ObjectError> {
    let mut markers: Option<(String, String)> = None;
    loop {
        let mut query = vec![("uploads".to_owned(), String::new()), ("prefix".to_owned(), prefix.to_owned())];
        if let Some((key, upload)) = &markers {
            query.push(("key-marker".to_owned(), key.clone()));
            query.push(("upload-id-marker".to_owned(), upload.clone()));
        }
        let options = SignedUrlOptions::default().with_query(query);
        let url = store.signed_url_opts(Method::GET, &Path::default(), LIST_VALID, &options).await.map_err(failure)?;
        let response = http.get(url).send().await.map_err(unavailable)?;
        // Some compatible servers have no such list. Their rules for incomplete uploads remove the parts.
        if matches!(response.status().as_u16(), 405 | 501) {
            return Ok(());
        }
        let response = response.error_for_status().map_err(|error| unavailable(error.without_url()))?;
        let text = response.text().await.map_err(|error| unavailable(error.without_url()))?;
        let page: MultipartUploads = quick_xml::de::from_str(&text).map_err(unavailable)?;
        let ours = page.upload.into_iter().filter(|upload| wanted(&upload.key));
        futures::stream::iter(ours.map(Ok::<_, ObjectError>))
            .try_for_each_concurrent(ABORTS, |upload| async move {
                let path = Path::parse(&upload.key).map_err(unavailable)?;
                match store.abort_multipart(&path, &upload.upload_id).await {
                    Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
                    Err(error) => Err(failure(error)),
                }
            })
            .await?;
        markers = page.next_key_marker.zip(page.next_upload_id_marker);
        if !page.is_truncated || markers.is_none() {
            return Ok(());
        }
    }
}

/// Deletes the objects at `paths`, many at once.
pub(crate) async fn delete_all<S: ObjectStoreExt + ?Sized>(store: &S, paths: Vec<Path>) -> Result<(), ObjectError> {
    let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
    let mut deleted = store.delete_stream(paths);
    while let Some(one) = deleted.next().await {
        match one {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failure(error)),
        }
    }
    Ok(())
}
