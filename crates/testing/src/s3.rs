//! An S3 server in this process, over a directory. Tests make it fail on purpose.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpResponse};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The bucket that the server has.
const BUCKET: &str = "tidegate-test";
const ACCESS_KEY: &str = "test-access-key";
const SECRET_KEY: &str = "test-secret-key";

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// With status 500.
    InternalError,
    /// The connection is cut without an answer.
    Cut,
}

#[derive(Default)]
struct State {
    /// The faults to come, each with the only method that it is for.
    faults: Mutex<VecDeque<(Option<hyper::Method>, Fault)>>,
    requests: AtomicUsize,
}

impl State {
    /// The fault of the next request, which has this method.
    fn fault(&self, method: &hyper::Method) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let (only, _) = faults.front()?;
        if only.as_ref().is_none_or(|only| only == method) { faults.pop_front().map(|(_, fault)| fault) } else { None }
    }
}

/// The server. It stops when it is dropped.
pub struct S3Server {
    address: SocketAddr,
    root: TempDir,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl S3Server {
    /// A server with one empty bucket, on a free port.
    pub async fn start() -> Self {
        let root = TempDir::new().expect("a directory");
        std::fs::create_dir(root.path().join(BUCKET)).expect("a bucket");
        let files = FileSystem::new(root.path()).expect("a file system");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let task = tokio::spawn(accept(listener, service, Arc::clone(&state)));
        Self { address, root, state, task }
    }

    /// The address of a prefix in the bucket, for `OBJECT_STORE_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("s3://{BUCKET}/prefix")
    }

    /// The settings of a client of the server, by their names in the environment.
    #[must_use]
    pub fn options(&self) -> Vec<(String, String)> {
        [
            ("aws_endpoint", format!("http://{}", self.address)),
            ("aws_allow_http", "true".to_owned()),
            ("aws_region", "us-east-1".to_owned()),
            ("aws_access_key_id", ACCESS_KEY.to_owned()),
            ("aws_secret_access_key", SECRET_KEY.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Makes the next `times` requests fail.
    pub fn fail_next(&self, fault: Fault, times: usize) {
        self.plan(None, fault, times);
    }

    /// Makes the next `times` POST requests fail, which begin and complete uploads in parts.
    pub fn fail_next_posts(&self, fault: Fault, times: usize) {
        self.plan(Some(hyper::Method::POST), fault, times);
    }

    fn plan(&self, method: Option<hyper::Method>, fault: Fault, times: usize) {
        let mut faults = self.state.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.extend(std::iter::repeat_n((method, fault), times));
    }

    /// How many requests have come.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// The names of all objects and of all parts without an object.
    #[must_use]
    pub fn stored(&self) -> Vec<String> {
        stored(self.root.path())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The names of all files below `folder`, relative to it, sorted; those of objects' attributes are left out.
#[must_use]
pub fn stored(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                let is_attribute = name.starts_with(".bucket-") && !name.contains(".upload");
                found.extend((!is_attribute).then_some(name));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort_unstable();
    found
}

async fn accept(listener: TcpListener, service: S3Service, state: Arc<State>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (service, state) = (service.clone(), Arc::clone(&state));
        let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            state.requests.fetch_add(1, Ordering::Relaxed);
            let fault = state.fault(request.method());
            let service = service.clone();
            async move {
                match fault {
                    None => Service::call(&service, request).await,
                    Some(Fault::Cut) => Err(HttpError::new("cut on purpose".into())),
                    Some(Fault::InternalError) => {
                        let mut response = HttpResponse::new(Body::empty());
                        *response.status_mut() = 500.try_into().expect("a status");
                        Ok(response)
                    }
                }
            }
        });
        tokio::spawn(async move {
            // A connection that is cut on purpose ends with an error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}
