//! What happens to a file after it was uploaded.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use tidegate_testing::clock::test_clock;

use super::Desk;
use crate::support::{Answer, TestApp, text};

impl Desk {
    async fn patch(&self, id: &str, if_match: Option<&str>, body: &Value) -> Answer {
        let request = self.app.request(Method::PATCH, &self.path(&format!("/{id}"))).bearer(&self.ada.token).json(body);
        match if_match {
            Some(tag) => request.header("if-match", tag).send().await,
            None => request.send().await,
        }
    }

    async fn state(&self, id: &str) -> String {
        text(&self.get(&format!("/{id}")).await.expect(200)["state"])
    }
}

#[tokio::test]
async fn name_and_metadata_are_changed_with_their_revision() {
    let desk = Desk::new().await;
    let id = desk.uploaded(b"x").await;
    let before = desk.get(&format!("/{id}")).await;
    let tag = before.header("etag").to_owned();
    let again = desk.app.get(&desk.path(&format!("/{id}"))).bearer(&desk.ada.token).header("if-none-match", &tag);
    assert_eq!(again.send().await.status, 304);
    let changed = desk.patch(&id, Some(&tag), &json!({"name": "b.txt", "metadata": {"a": 1, "b": {"c": 2}}})).await;
    assert_eq!(changed.expect(200)["name"], "b.txt");
    desk.patch(&id, Some(&tag), &json!({"name": "c.txt"})).await.expect_problem(412, "precondition-failed");
    let changed = desk.patch(&id, None, &json!({"metadata": {"a": null, "b": {"d": 3}}})).await.expect(200);
    assert_eq!(changed["metadata"], json!({"b": {"c": 2, "d": 3}}));
    let contents = desk.app.contents().await;
    for (body, pointer) in [
        (json!({"name": null}), "/name"),
        (json!({"name": " "}), "/name"),
        (json!({"metadata": null}), "/metadata"),
        (json!({"metadata": {"a": "\0"}}), "/metadata/a"),
        (json!({"size": 1}), "/size"),
    ] {
        let problem = desk.patch(&id, None, &body).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(desk.app.contents().await, contents);
}

#[tokio::test]
async fn a_deleted_file_is_restored_or_purged() {
    let (clock, _) = test_clock();
    let desk = Desk::at(TestApp::spawn_at(Arc::clone(&clock)).await).await;
    let id = desk.uploaded(b"hello").await;
    desk.post(&format!("/{id}/restore"), &json!({})).await.expect_problem(409, "file-state");
    let deleted = desk.delete(&id).await.expect(200);
    assert_eq!((&deleted["state"], &deleted["deleted_bytes"]), (&json!("deleted"), &json!(5)));
    assert!(deleted["purge_at"].is_string());
    desk.delete(&id).await.expect_problem(409, "file-state");
    desk.get(&format!("/{id}/content")).await.expect_problem(409, "file-state");
    assert_eq!(desk.used().await, 5, "deleted bytes count");
    desk.post(&format!("/{id}/restore"), &json!({})).await.expect(200);
    assert_eq!(desk.get(&format!("/{id}/content")).await.bytes, b"hello");

    desk.delete(&id).await.expect(200);
    desk.app.settle_files().await;
    assert_eq!(desk.state(&id).await, "deleted", "its days are not over");
    clock.advance(TimeDelta::days(31));
    let desk = Desk { ada: desk.app.log_in(&desk.ada.email, &desk.ada.id).await, ..desk };
    assert_eq!(desk.app.settle_files().await.done, 1);
    assert_eq!(desk.state(&id).await, "purged");
    assert_eq!((desk.used().await, desk.app.objects.stored()), (0, Vec::new()));
    desk.post(&format!("/{id}/restore"), &json!({})).await.expect_problem(409, "file-state");
    desk.app.settle_files().await;
    assert_eq!(desk.used().await, 0, "bytes are given back once");
    clock.advance(TimeDelta::days(91));
    let desk = Desk { ada: desk.app.log_in(&desk.ada.email, &desk.ada.id).await, ..desk };
    desk.app.settle_files().await;
    desk.get(&format!("/{id}")).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_deleted_workspace_leaves_no_object() {
    let desk = Desk::at(TestApp::spawn_with(&["--erase-after", "0s"]).await).await;
    let other = desk.app.workspace(&desk.ada, "Neighbour").await;
    for _ in 0..3 {
        desk.uploaded(b"hello").await;
    }
    desk.app.upload(&desk.ada.token, &other, "kept.txt", "text/plain", b"x").await.expect(201);
    let path = format!("/api/v1/workspaces/{}", desk.workspace);
    desk.app.request(Method::DELETE, &path).bearer(&desk.ada.token).send().await.expect(202);
    let erased = async {
        while desk.app.database.count("select count(*) from workspace_erasure".to_owned()).await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), erased).await.expect("it is erased");
    let stored = desk.app.objects.stored();
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert!(stored[0].starts_with(&other));
}
