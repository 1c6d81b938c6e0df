//! Presigned requests.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use object_store::aws::AmazonS3;
use object_store::azure::MicrosoftAzure;
use object_store::gcp::GoogleCloudStorage;
use object_store::path::Path;
use object_store::signer::{HeaderName, HeaderValue, Method, SignedUrlOptions, Signer};
use tidegate_files::object::PresignedMethod;

/// The header with which S3 checks the SHA-256 of an object.
const S3_SHA256: &str = "x-amz-checksum-sha256";

/// How a store signs requests.
#[derive(Debug, Clone)]
pub(crate) struct Signing {
    signer: Arc<dyn Signer>,
    /// Whether the store checks a SHA-256 in a header of the request.
    checks_sha256: bool,
    /// A header that every PUT needs.
    put_header: Option<(&'static str, &'static str)>,
}

impl Signing {
    pub(crate) fn s3(store: Arc<AmazonS3>) -> Self {
        Self { signer: store, checks_sha256: true, put_header: None }
    }

    pub(crate) fn gcs(store: Arc<GoogleCloudStorage>) -> Self {
        Self { signer: store, checks_sha256: false, put_header: None }
    }

    pub(crate) fn azure(store: Arc<MicrosoftAzure>) -> Self {
        Self { signer: store, checks_sha256: false, put_header: Some(("x-ms-blob-type", "BlockBlob")) }
    }

    /// The URL of a request and the headers that it must have.
    pub(crate) async fn sign(
        &self,
        path: &Path,
        method: PresignedMethod,
        valid_for: Duration,
    ) -> object_store::Result<(&'static str, String, Vec<(String, String)>)> {
        let (mut options, mut headers) = (SignedUrlOptions::default(), Vec::new());
        let (name, method) = match method {
            PresignedMethod::Get => ("GET", Method::GET),
            PresignedMethod::Put { sha256 } => {
                if let Some(sha256) = sha256.filter(|_| self.checks_sha256) {
                    let value = STANDARD.encode(sha256);
                    if let Ok(header) = HeaderValue::from_str(&value) {
                        options = options.with_signed_header(HeaderName::from_static(S3_SHA256), header);
                        headers.push((S3_SHA256.to_owned(), value));
                    }
                }
                headers.extend(self.put_header.map(|(name, value)| (name.to_owned(), value.to_owned())));
                ("PUT", Method::PUT)
            }
        };
        let url = self.signer.signed_url_opts(method, path, valid_for, &options).await?;
        Ok((name, url.to_string(), headers))
    }
}
