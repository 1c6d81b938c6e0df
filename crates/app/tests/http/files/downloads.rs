//! Downloading files.

use reqwest::Method;
use serde_json::json;

use super::Desk;
use crate::support::{Answer, text};

impl Desk {
    async fn content(&self, id: &str, headers: &[(&str, &str)]) -> Answer {
        let path = self.path(&format!("/{id}/content"));
        let request = self.app.get(&path).bearer(&self.ada.token);
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send().await
    }
}

#[tokio::test]
async fn ranges_and_conditions_are_answered_as_the_rfc_has_them() {
    let desk = Desk::new().await;
    let id = desk.uploaded(b"0123456789").await;
    let whole = desk.content(&id, &[]).await;
    whole.expect(200);
    let etag = whole.header("etag").to_owned();
    assert_eq!((whole.header("content-length"), whole.header("accept-ranges")), ("10", "bytes"));
    for (range, content, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=3-5", "345", "bytes 3-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=0-99", "0123456789", "bytes 0-9/10"),
    ] {
        for headers in [vec![("range", range)], vec![("range", range), ("if-range", &etag)]] {
            let part = desk.content(&id, &headers).await;
            part.expect(206);
            assert_eq!((part.bytes.as_slice(), part.header("content-range")), (content.as_bytes(), content_range));
            assert_eq!(part.header("etag"), etag);
        }
        let other = desk.content(&id, &[("range", range), ("if-range", "\"other\"")]).await;
        other.expect(200);
        assert_eq!(other.bytes, b"0123456789");
    }
    let many = desk.content(&id, &[("range", "bytes=0-1,3-4")]).await;
    many.expect(200);
    assert_eq!(many.bytes, b"0123456789");
    let beyond = desk.content(&id, &[("range", "bytes=10-")]).await;
    beyond.expect_problem(416, "range-not-satisfiable");
    assert_eq!(beyond.header("content-range"), "bytes */10");
    for tag in [etag.as_str(), "*", &format!("\"x\", W/{etag}")] {
        let known = desk.content(&id, &[("if-none-match", tag)]).await;
        assert_eq!((known.status.as_u16(), known.bytes.len(), known.header("etag")), (304, 0, etag.as_str()));
    }
    let head =
        desk.app.request(Method::HEAD, &desk.path(&format!("/{id}/content"))).bearer(&desk.ada.token).send().await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.bytes.len()), (200, "10", 0));
}

#[tokio::test]
async fn nothing_that_a_browser_runs_is_served_as_such() {
    let desk = Desk::new().await;
    for (name, content_type, bytes, served) in [
        ("a.html", "text/html", "<script>alert(1)</script>", "text/plain; charset=utf-8"),
        ("a.svg", "image/svg+xml", "<svg onload=\"alert(1)\"/>", "text/plain; charset=utf-8"),
        ("a.js", "text/javascript", "alert(1)", "text/plain; charset=utf-8"),
        ("a.swf", "application/x-shockwave-flash", "FWS", "application/octet-stream"),
        ("a.txt", "text/plain", "text", "text/plain; charset=utf-8"),
    ] {
        let file = desk.upload(name, content_type, bytes.as_bytes()).await.expect(201);
        assert_eq!(file["content_type"], content_type);
        let content = desk.content(&text(&file["id"]), &[]).await;
        content.expect(200);
        assert_eq!(content.header("content-type"), served, "{name}");
        assert_eq!(content.header("x-content-type-options"), "nosniff");
        assert_eq!(content.header("content-security-policy"), "sandbox; default-src 'none'");
        assert!(content.header("content-disposition").starts_with("attachment;"));
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let desk = Desk::new().await;
    for n in 0..3 {
        desk.upload(&format!("n{n}.txt"), "text/plain", b"x").await.expect(201);
    }
    desk.upload("page.html", "text/html", b"<p>").await.expect(201);
    let names = async |query: &str| {
        let list = desk.get(query).await.expect(200);
        list["items"].as_array().unwrap().iter().map(|file| text(&file["name"])).collect::<Vec<_>>()
    };
    assert_eq!(names("").await, ["page.html", "n2.txt", "n1.txt", "n0.txt"]);
    assert_eq!(names("?type=text/html").await, ["page.html"]);
    assert_eq!(names("?name_prefix=n").await, ["n2.txt", "n1.txt", "n0.txt"]);
    assert_eq!(names(&format!("?uploaded_by={}", desk.ada.id)).await.len(), 4);
    assert_eq!(names("?state=deleted&state=purged").await, Vec::<String>::new());
    assert_eq!(names("?from=2999-01-01T00:00:00Z").await, Vec::<String>::new());
    let first = desk.get("?limit=3").await.expect(200);
    let rest = desk.get(&format!("?limit=3&cursor={}", text(&first["next_cursor"]))).await.expect(200);
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &json!(null)));
    for bad in ["?state=abandoned", "?state=x", "?uploaded_by=ws_1", "?name_prefix=", "?from=2&to=1", "?unknown=1"] {
        desk.get(bad).await.expect_problem(400, "invalid-query");
    }
}
