//! The contract of object stores, on a directory and on an S3 server.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use tidegate_files::object::PresignedRequest;
use tidegate_object_store::{Location, Objects};
use tidegate_testing::S3Server;
use tidegate_testing::contract::object_store::{AsyncSend, ObjectStoreContract};
use tidegate_testing::s3::stored;

/// Sends presigned requests with reqwest.
struct Sender;

#[async_trait]
impl AsyncSend for Sender {
    async fn send(&self, request: PresignedRequest, body: Bytes) -> (u16, Bytes) {
        let method = reqwest::Method::from_bytes(request.method.as_bytes()).unwrap();
        let mut builder = reqwest::Client::new().request(method, request.url).body(body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let response = builder.send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap())
    }
}

fn directory(path: &Path) -> Objects {
    Location::parse(&format!("file://{}", path.display()), []).unwrap().open().unwrap()
}

fn s3(server: &S3Server) -> Objects {
    Location::parse(&server.url(), server.options()).unwrap().open().unwrap()
}

macro_rules! obligations {
    ($($obligation:ident)*) => {
        mod on_a_directory {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $obligation() {
                let root = tempfile::tempdir().unwrap();
                let leftovers = || super::stored(root.path());
                let store = super::directory(root.path());
                super::ObjectStoreContract { store: &store, leftovers: &leftovers, send: &super::Sender }.$obligation().await;
            })*
        }

        mod on_s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $obligation() {
                let server = super::S3Server::start().await;
                let leftovers = || server.stored();
                let store = super::s3(&server);
                super::ObjectStoreContract { store: &store, leftovers: &leftovers, send: &super::Sender }.$obligation().await;
            })*
        }
    };
}

obligations! {
    what_is_written_reads_back
    a_put_replaces
    other_bytes_are_refused_and_leave_nothing
    a_writer_that_gives_up_leaves_nothing
    a_copy_has_the_same_bytes
    a_prefix_reaches_one_workspace
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_lost_writer_are_removed_from_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let leftovers = || stored(root.path());
    let store = directory(root.path());
    let contract = ObjectStoreContract { store: &store, leftovers: &leftovers, send: &Sender };
    contract.a_delete_removes_parts_of_a_lost_writer().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_cannot_presign_and_s3_can() {
    let root = tempfile::tempdir().unwrap();
    let (leftovers, store) = (|| stored(root.path()), directory(root.path()));
    let contract = ObjectStoreContract { store: &store, leftovers: &leftovers, send: &Sender };
    contract.a_presigned_request_is_for_one_object(false).await;
    let server = S3Server::start().await;
    let (leftovers, store) = (|| server.stored(), s3(&server));
    let contract = ObjectStoreContract { store: &store, leftovers: &leftovers, send: &Sender };
    contract.a_presigned_request_is_for_one_object(true).await;
}

/// The contract on a foreign S3 server, whose address is in `TIDEGATE_TEST_S3`. It does not check signatures, so presigned
/// requests are left out.
mod on_a_foreign_server {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::{Location, ObjectStoreContract, Objects, Sender};

    const BUCKET: &str = "tidegate-peer";

    fn address() -> String {
        std::env::var("TIDEGATE_TEST_S3").expect("the address of an S3 server, such as 127.0.0.1:5000")
    }

    /// Sends a request without credentials, and returns the response.
    fn send(method: &str, path: &str) -> String {
        let address = address();
        let mut stream = TcpStream::connect(&address).unwrap();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// The keys of all objects, and the ids of all multipart uploads.
    fn stored() -> Vec<String> {
        let texts = |response: &str, tag: &str| -> Vec<String> {
            let open = format!("<{tag}>");
            let parts = response.split(&open).skip(1);
            parts.filter_map(|part| Some(part.split_once('<')?.0.to_owned())).collect()
        };
        let mut found = texts(&send("GET", &format!("/{BUCKET}?list-type=2")), "Key");
        found.extend(texts(&send("GET", &format!("/{BUCKET}?uploads")), "UploadId"));
        found
    }

    fn store() -> Objects {
        let option = |name: &str, value: String| (name.to_owned(), value);
        let options = [
            option("aws_endpoint", format!("http://{}", address())),
            option("aws_allow_http", "true".to_owned()),
            option("aws_region", "us-east-1".to_owned()),
            option("aws_access_key_id", "key".to_owned()),
            option("aws_secret_access_key", "secret".to_owned()),
        ];
        Location::parse(&format!("s3://{BUCKET}/prefix"), options).unwrap().open().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "needs a foreign S3 server, which `cargo xtask peers` starts"]
    async fn every_obligation_is_met() {
        assert!(send("PUT", &format!("/{BUCKET}")).starts_with("HTTP/1.1 200"));
        let (store, leftovers) = (store(), stored);
        let contract = ObjectStoreContract { store: &store, leftovers: &leftovers, send: &Sender };
        contract.what_is_written_reads_back().await;
        contract.a_put_replaces().await;
        contract.other_bytes_are_refused_and_leave_nothing().await;
        contract.a_writer_that_gives_up_leaves_nothing().await;
        contract.a_delete_removes_parts_of_a_lost_writer().await;
        contract.a_copy_has_the_same_bytes().await;
        contract.a_prefix_reaches_one_workspace().await;
    }
}

mod failures {
    use bytes::Bytes;
    use futures::TryStreamExt;
    use tidegate_files::object::{Expected, ObjectError, ObjectKey, ObjectStore};
    use tidegate_kernel::{FileId, WorkspaceId};
    use tidegate_testing::clock::test_clock;
    use tidegate_testing::s3::Fault;
    use tidegate_testing::scope::workspace_scope;

    use super::{S3Server, s3};

    fn key() -> ObjectKey {
        let (_, env) = test_clock();
        ObjectKey::file(&workspace_scope(WorkspaceId::generate(&env)), FileId::generate(&env))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_kind_of_request_is_tried_again() {
        let server = S3Server::start().await;
        let (store, key, copy) = (s3(&server), key(), key());
        for fault in [Fault::InternalError, Fault::Cut] {
            server.fail_next(fault, 2);
            let bytes = Bytes::from(vec![7; 9 * 1024 * 1024]);
            store.put(&key, "small".into(), Expected::default()).await.unwrap();
            server.fail_next(fault, 2);
            let mut writer = store.writer(&key).await.unwrap();
            writer.write(bytes.clone()).await.unwrap();
            server.fail_next(fault, 2);
            assert_eq!(writer.finish(Expected::default()).await.unwrap().size, bytes.len() as u64);
            server.fail_next(fault, 2);
            let read = store.read(&key, None).await.unwrap().unwrap();
            let parts: Vec<Bytes> = read.bytes.try_collect().await.unwrap();
            assert!(parts.concat() == bytes);
            server.fail_next(fault, 2);
            assert!(store.copy(&key, &copy).await.unwrap());
            assert_eq!(store.size(&copy).await.unwrap(), Some(bytes.len() as u64));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_goes_on_failing_is_unavailable_and_keeps_nothing() {
        let server = S3Server::start().await;
        let (store, key) = (s3(&server), key());
        let mut writer = store.writer(&key).await.unwrap();
        writer.write(Bytes::from(vec![7; 17 * 1024 * 1024])).await.unwrap();
        // The requests that complete the object, and none that clean up after it.
        server.fail_next_posts(Fault::InternalError, 7);
        let error = writer.finish(Expected::default()).await.unwrap_err();
        assert!(matches!(error, ObjectError::Unavailable(_)), "{error:?}");
        assert_eq!(server.stored(), Vec::<String>::new());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn another_secret_is_refused_at_once() {
        let server = S3Server::start().await;
        let wrong = ("AWS_SECRET_ACCESS_KEY".to_owned(), "wrong".to_owned());
        let options = server.options().into_iter().chain([wrong]);
        let store = super::Location::parse(&server.url(), options).unwrap().open().unwrap();
        let error = store.put(&key(), "x".into(), Expected::default()).await.unwrap_err();
        assert!(matches!(error, ObjectError::Internal(_)), "{error:?}");
        assert!(server.requests() < 4, "it is not tried again");
    }
}
