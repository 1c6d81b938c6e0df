//! Cached lists: a list is read from the database once, and its response is used again for the same caller and query
//! until something in it changes, or for 30 to 60 seconds.
//!
//! The caller's access is checked before, by [`super::caller::Entered`]. The permissions are part of the key, so a
//! caller never gets what was read with other permissions, and each response was made by a service that checked them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, ETAG, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tidegate_kernel::{
    Actor, CacheCounts, CacheFigures, CacheKey, Environment, ListCache, ListTag, Versions, WorkspaceScope,
};
use tokio::sync::OnceCell;

use super::conditional::hash;
use super::cursor::List;
use super::position::WATERMARK;
use super::problem::Problem;

/// How the response was made (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The shortest time that a list is kept, in milliseconds. Up to as much again is added at random, so that lists that
/// were read together do not end together.
const KEEP_MS: u32 = 30_000;

/// What a list is answered with.
pub(crate) struct ListAnswer<T> {
    /// The body.
    pub(crate) body: T,
    /// The position up to which events are included, if the list has one.
    pub(crate) watermark: Option<i64>,
}

impl<T> From<List<T>> for ListAnswer<List<T>> {
    fn from(body: List<T>) -> Self {
        Self { body, watermark: None }
    }
}

/// A response as it is kept.
#[derive(Debug, Clone)]
struct Kept {
    tag: HeaderValue,
    watermark: Option<HeaderValue>,
    body: Bytes,
}

impl Kept {
    fn new<T: Serialize>(answer: &ListAnswer<T>) -> Result<Self, Problem> {
        let body = serde_json::to_vec(&answer.body).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            Problem::internal()
        })?;
        Ok(Self { tag: hash(&body), watermark: answer.watermark.map(HeaderValue::from), body: body.into() })
    }

    /// The tag and the watermark on a line each, and the body.
    fn encode(&self) -> Arc<[u8]> {
        let watermark = self.watermark.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        [self.tag.as_bytes(), b"\n", watermark, b"\n", &self.body].concat().into()
    }

    fn decode(bytes: Arc<[u8]>) -> Option<Self> {
        let bytes = Bytes::from_owner(bytes);
        let tag_end = bytes.iter().position(|byte| *byte == b'\n')?;
        let watermark_end = tag_end + 1 + bytes.get(tag_end + 1..)?.iter().position(|byte| *byte == b'\n')?;
        let watermark = bytes.slice(tag_end + 1..watermark_end);
        Some(Self {
            tag: HeaderValue::from_maybe_shared(bytes.slice(..tag_end)).ok()?,
            watermark: (!watermark.is_empty()).then(|| HeaderValue::from_maybe_shared(watermark)).transpose().ok()?,
            body: bytes.slice(watermark_end + 1..),
        })
    }

    fn response(self, status: &'static str) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        response.insert_header((ETAG, self.tag)).insert_header((CACHE_STATUS, HeaderValue::from_static(status)));
        if let Some(watermark) = self.watermark {
            response.insert_header((WATERMARK, watermark));
        }
        response.content_type("application/json").body(self.body)
    }
}

/// A list that is being read: its key, and the versions that its readers have seen. Who comes after a change has seen
/// other versions, and does not wait for a reading that began before the change.
type Reading = (CacheKey, Versions);

/// Cached lists.
#[derive(Clone)]
pub(crate) struct Lists(Arc<Inner>);

struct Inner {
    cache: Option<Arc<dyn ListCache>>,
    readings: Mutex<HashMap<Reading, Weak<OnceCell<Kept>>>>,
    counts: CacheCounts,
    env: Environment,
}

impl Lists {
    /// Lists in this cache; without one, every list is read from the database.
    pub(crate) fn new(cache: Option<Arc<dyn ListCache>>, env: Environment) -> Self {
        Self(Arc::new(Inner { cache, readings: Mutex::default(), counts: CacheCounts::default(), env }))
    }

    /// How the cache is used.
    pub(crate) fn figures(&self) -> CacheFigures {
        let (entries, capacity) = self.0.cache.as_ref().map_or((0, 1), |cache| cache.size());
        self.0.counts.figures("lists", entries, capacity)
    }

    /// The response to a request for a list of a workspace. `tags` stand for everything that the list shows. `read`
    /// reads it from the database.
    ///
    /// # Errors
    /// Those of `read`. They are not kept.
    pub(crate) async fn answer<T: Serialize>(
        &self,
        request: &HttpRequest,
        scope: &WorkspaceScope,
        tags: &[ListTag],
        read: impl AsyncFnOnce() -> Result<ListAnswer<T>, Problem>,
    ) -> Result<HttpResponse, Problem> {
        let Inner { cache, counts, .. } = &*self.0;
        let key = key(request, scope);
        let looked = match cache {
            Some(cache) => cache.look(&key, tags).await.map(|looked| (cache, looked)),
            None => None,
        };
        let Some((cache, looked)) = looked else {
            if cache.is_some() {
                counts.count::<()>(None);
            }
            return Ok(Kept::new(&read().await?)?.response("tidegate; fwd=bypass"));
        };
        if asks_again(request) {
            let kept = Kept::new(&read().await?)?;
            cache.store(key, looked.versions, kept.encode(), self.keep());
            return Ok(kept.response("tidegate; fwd=request; stored"));
        }
        if let Some(kept) = counts.count(looked.value.and_then(Kept::decode)) {
            return Ok(kept.response("tidegate; hit"));
        }
        // One of those who miss the same list reads it, the others wait. If it fails or gives up, the next one reads.
        let reading = (key, looked.versions);
        let shared = self.join(&reading);
        let made = shared
            .get_or_try_init(|| async {
                let kept = Kept::new(&read().await?)?;
                cache.store(reading.0.clone(), reading.1.clone(), kept.encode(), self.keep());
                Ok::<_, Problem>(kept)
            })
            .await
            .cloned();
        drop(shared);
        self.leave(&reading);
        Ok(made?.response("tidegate; fwd=miss; stored"))
    }

    fn join(&self, reading: &Reading) -> Arc<OnceCell<Kept>> {
        let mut readings = self.0.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = readings.get(reading).and_then(Weak::upgrade) {
            return shared;
        }
        let shared = Arc::default();
        readings.insert(reading.clone(), Arc::downgrade(&shared));
        shared
    }

    /// Forgets a reading that nobody takes part in any more. Readings whose requests were given up are forgotten too.
    fn leave(&self, reading: &Reading) {
        let mut readings = self.0.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.get(reading).is_some_and(|shared| shared.strong_count() == 0) {
            readings.remove(reading);
        }
        if readings.len() > 1000 {
            readings.retain(|_, shared| shared.strong_count() > 0);
        }
    }

    fn keep(&self) -> Duration {
        let jitter = u32::from_le_bytes(self.0.env.random()) % KEEP_MS;
        Duration::from_millis((KEEP_MS + jitter).into())
    }
}

/// Whether the caller wants the list from the database: `Cache-Control: no-cache` (RFC 9111, section 5.2.1.4).
fn asks_again(request: &HttpRequest) -> bool {
    request.headers().get_all(CACHE_CONTROL).filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|part| ["no-cache", "no-store"].iter().any(|no| part.trim().eq_ignore_ascii_case(no)))
    })
}

/// The key of a list: who reads with which permissions, the path behind the workspace, and the query. Each part has its
/// length in front.
fn key(request: &HttpRequest, scope: &WorkspaceScope) -> CacheKey {
    let (kind, id) = match scope.actor() {
        Actor::Person(user) => (1, user.as_uuid()),
        Actor::ApiKey(key) => (2, key.as_uuid()),
        Actor::System => (3, uuid::Uuid::nil()),
    };
    let path = request.path().strip_prefix("/api/v1/workspaces/").and_then(|path| path.split_once('/'));
    let path = path.map_or(request.path(), |(_, path)| path);
    let mut hash = Sha256::new();
    hash.update([kind]);
    hash.update(id.as_bytes());
    hash.update(scope.permissions().bits().to_le_bytes());
    for part in [path, request.query_string()] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    CacheKey { workspace: scope.workspace(), digest: hash.finalize().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use actix_web::test::TestRequest;
    use tidegate_in_process::InProcessListCache;
    use tidegate_kernel::{PermissionSet, UserId, WorkspaceId};
    use tidegate_testing::scope::scope_with;
    use tokio::sync::Notify;

    use crate::system::environment;

    fn scope(user: UserId, workspace: WorkspaceId, permissions: PermissionSet) -> WorkspaceScope {
        scope_with(workspace, Actor::Person(user), permissions)
    }

    #[test]
    fn a_kept_response_is_read_as_it_was_written() {
        for watermark in [None, Some(42)] {
            let kept = Kept::new(&ListAnswer { body: vec!["a\nb"], watermark }).unwrap();
            let read = Kept::decode(kept.encode()).unwrap();
            assert_eq!((&read.tag, &read.watermark, &read.body), (&kept.tag, &kept.watermark, &kept.body));
        }
    }

    #[test]
    fn a_key_depends_on_who_reads_what_and_on_nothing_else() {
        let env = environment();
        let (ada, eve, here) = (UserId::generate(&env), UserId::generate(&env), WorkspaceId::generate(&env));
        let of = |path: &str, scope: &WorkspaceScope| key(&TestRequest::with_uri(path).to_http_request(), scope);
        let path = "/api/v1/workspaces/acme/workflows/wf_1/versions?limit=1";
        let first = of(path, &scope(ada, here, PermissionSet::ALL));
        // The name of the workspace in the path does not matter: it may be its id or its slug.
        assert_eq!(first, of(&path.replace("acme", "ws_1"), &scope(ada, here, PermissionSet::ALL)));
        for (path, scope) in [
            (path, scope(eve, here, PermissionSet::ALL)),
            (path, scope(ada, WorkspaceId::generate(&env), PermissionSet::ALL)),
            (path, scope(ada, here, PermissionSet::EMPTY)),
            ("/api/v1/workspaces/acme/workflows/wf_2/versions?limit=1", scope(ada, here, PermissionSet::ALL)),
            ("/api/v1/workspaces/acme/workflows/wf_1/versions?limit=2", scope(ada, here, PermissionSet::ALL)),
            ("/api/v1/workspaces/acme/workflows/wf_1/versions", scope(ada, here, PermissionSet::ALL)),
        ] {
            assert_ne!(first, of(path, &scope), "{path}");
        }
    }

    /// What [`Lists::answer`] says of how it made a response.
    async fn status(
        lists: &Lists,
        scope: &WorkspaceScope,
        read: impl AsyncFnOnce() -> Result<ListAnswer<i32>, Problem>,
    ) -> String {
        let request = TestRequest::with_uri("/api/v1/workspaces/x/members").to_http_request();
        let answer = lists.answer(&request, scope, &[ListTag::Members], read).await.unwrap();
        answer.headers().get(CACHE_STATUS).unwrap().to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn many_who_miss_the_same_list_read_it_once_and_who_comes_after_a_change_reads_again() {
        let env = environment();
        let cache = Arc::new(InProcessListCache::new());
        let lists = Lists::new(Some(cache.clone()), env.clone());
        let scope = scope(UserId::generate(&env), WorkspaceId::generate(&env), PermissionSet::ALL);
        let (reads, go) = (AtomicUsize::new(0), Notify::new());
        let slow = async || {
            reads.fetch_add(1, Ordering::Relaxed);
            go.notified().await;
            Ok(ListAnswer { body: 1, watermark: None })
        };
        let fast = async || {
            reads.fetch_add(1, Ordering::Relaxed);
            Ok(ListAnswer { body: 2, watermark: None })
        };
        let late = async {
            // While the first ones read, something changes, and its caller hears of it.
            cache.invalidate(scope.workspace(), &[ListTag::Members]).await;
            let status = status(&lists, &scope, fast).await;
            go.notify_one();
            status
        };
        let early = futures::future::join_all((0..8).map(|_| status(&lists, &scope, slow)));
        let (early, late) = futures::future::join(early, late).await;
        assert_eq!(reads.load(Ordering::Relaxed), 2, "one for those before the change, and one for after it");
        assert!(early.iter().chain([&late]).all(|status| status == "tidegate; fwd=miss; stored"), "{early:?} {late}");
        // Those from before the change may have stored theirs last, which nobody finds.
        status(&lists, &scope, async || Ok(ListAnswer { body: 2, watermark: None })).await;
        let found = status(&lists, &scope, async || unreachable!("the list after the change is kept")).await;
        assert_eq!(found, "tidegate; hit");
        assert!(lists.0.readings.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_not_kept_and_the_next_one_reads() {
        let env = environment();
        let lists = Lists::new(Some(Arc::new(InProcessListCache::new())), env.clone());
        let scope = scope(UserId::generate(&env), WorkspaceId::generate(&env), PermissionSet::ALL);
        let request = TestRequest::with_uri("/api/v1/workspaces/x/members").to_http_request();
        let refused = async || Err::<ListAnswer<i32>, _>(Problem::not_found());
        assert!(lists.answer(&request, &scope, &[ListTag::Members], refused).await.is_err());
        let read = async || Ok(ListAnswer { body: 1, watermark: None });
        assert_eq!(status(&lists, &scope, read).await, "tidegate; fwd=miss; stored");
        assert_eq!(status(&lists, &scope, read).await, "tidegate; hit");
        let request =
            TestRequest::with_uri("/api/v1/workspaces/x/members").insert_header((CACHE_CONTROL, "max-age=0, No-Cache"));
        let answer = lists.answer(&request.to_http_request(), &scope, &[ListTag::Members], read).await.unwrap();
        assert_eq!(answer.headers().get(CACHE_STATUS).unwrap(), "tidegate; fwd=request; stored");
    }
}
