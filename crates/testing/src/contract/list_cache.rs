//! Obligations of caches of lists. `here` and `there` are the caches of two servers of one installation, or the same
//! cache twice.

use std::sync::Arc;
use std::time::Duration;

use tidegate_kernel::cache::{MAX_KEEP, MAX_VALUE};
use tidegate_kernel::{CacheKey, Environment, ListCache, ListTag, Versions, WorkspaceId};

/// Two ends of a cache.
pub struct ListCacheCase {
    /// The cache of one server.
    pub here: Arc<dyn ListCache>,
    /// The cache of another one, or the same.
    pub there: Arc<dyn ListCache>,
    /// Gives ids that no other suite uses.
    pub env: Environment,
}

const TAGS: &[ListTag] = &[ListTag::Workflows, ListTag::Members];

impl ListCacheCase {
    fn key(&self, digest: u8) -> CacheKey {
        CacheKey { workspace: WorkspaceId::generate(&self.env), digest: [digest; 32] }
    }

    /// Looks up, and expects an answer.
    async fn look(&self, cache: &Arc<dyn ListCache>, key: &CacheKey, tags: &[ListTag]) -> (Versions, Option<Vec<u8>>) {
        let looked = cache.look(key, tags).await.expect("the store answers");
        (looked.versions, looked.value.map(|value| value.to_vec()))
    }

    /// Stores `value` in `cache` as a reader does who finds nothing.
    async fn fill(&self, cache: &Arc<dyn ListCache>, key: &CacheKey, value: &[u8]) {
        let (versions, found) = self.look(cache, key, TAGS).await;
        assert_eq!(found, None);
        cache.store(key.clone(), versions, value.into(), MAX_KEEP);
    }

    /// MUST return what was stored under the current versions, and only under its own key.
    pub async fn a_value_is_found_under_its_key(&self) {
        let key = self.key(1);
        self.fill(&self.here, &key, b"one").await;
        assert_eq!(self.look(&self.here, &key, TAGS).await.1.as_deref(), Some(&b"one"[..]));
        let other_reader = CacheKey { digest: [2; 32], ..key.clone() };
        let other_workspace = self.key(1);
        for other in [other_reader, other_workspace] {
            assert_eq!(self.look(&self.here, &other, TAGS).await.1, None);
        }
    }

    /// MUST NOT return a value after one of its tags got a new version on any server, and MUST keep it if other tags or
    /// workspaces did.
    pub async fn a_change_of_one_tag_is_seen_on_every_server(&self) {
        for changed in TAGS {
            let (key, bystander) = (self.key(1), self.key(1));
            for cache in [&self.here, &self.there] {
                let (versions, _) = self.look(cache, &key, TAGS).await;
                cache.store(key.clone(), versions, b"old"[..].into(), MAX_KEEP);
            }
            self.fill(&self.here, &bystander, b"kept").await;
            self.there.invalidate(key.workspace, &[ListTag::ApiKeys]).await;
            assert_eq!(self.look(&self.here, &key, TAGS).await.1.as_deref(), Some(&b"old"[..]), "another tag");
            self.there.invalidate(key.workspace, &[*changed]).await;
            for cache in [&self.here, &self.there] {
                assert_eq!(self.look(cache, &key, TAGS).await.1, None, "{changed:?}");
            }
            assert_eq!(self.look(&self.here, &bystander, TAGS).await.1.as_deref(), Some(&b"kept"[..]));
        }
    }

    /// MUST NOT return a value that was read before a change and stored after it.
    pub async fn what_was_read_before_a_change_is_not_found_after_it(&self) {
        let key = self.key(1);
        let (before, _) = self.look(&self.here, &key, TAGS).await;
        self.there.invalidate(key.workspace, TAGS).await;
        self.here.store(key.clone(), before.clone(), b"old"[..].into(), MAX_KEEP);
        let (after, found) = self.look(&self.here, &key, TAGS).await;
        assert_eq!(found, None);
        assert_ne!(after, before);
        self.here.store(key.clone(), after, b"new"[..].into(), MAX_KEEP);
        assert_eq!(self.look(&self.here, &key, TAGS).await.1.as_deref(), Some(&b"new"[..]));
    }

    /// MUST hold under concurrency: a reader never finds a number below one that was announced before it asked.
    pub async fn readers_and_changes_at_once_agree(&self) {
        use std::sync::atomic::{AtomicU64, Ordering};
        let key = self.key(1);
        // `truth` is the database, `told` the last change that somebody has heard of.
        let (truth, told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let reader = |cache: Arc<dyn ListCache>| {
            let (key, truth, told) = (key.clone(), truth.clone(), told.clone());
            tokio::spawn(async move {
                let mut hits = 0;
                while told.load(Ordering::SeqCst) < 200 {
                    let expected = told.load(Ordering::SeqCst);
                    let looked = cache.look(&key, TAGS).await.expect("the store answers");
                    if let Some(value) = looked.value {
                        let value = u64::from_be_bytes(value[..].try_into().expect("eight bytes"));
                        assert!(value >= expected, "found {value} after {expected} was announced");
                        hits += 1;
                        continue;
                    }
                    let value = truth.load(Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    cache.store(key.clone(), looked.versions, value.to_be_bytes()[..].into(), MAX_KEEP);
                }
                hits
            })
        };
        let readers = [self.here.clone(), self.here.clone(), self.there.clone(), self.there.clone()].map(reader);
        for n in 1..=200 {
            truth.store(n, Ordering::SeqCst);
            let cache = if n % 2 == 0 { &self.here } else { &self.there };
            cache.invalidate(key.workspace, TAGS).await;
            told.store(n, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
        for reader in readers {
            reader.await.expect("a reader agrees");
        }
    }

    /// MUST NOT return a value whose time is over, and MUST NOT keep one that is too large.
    pub async fn values_end_and_are_bounded(&self) {
        let key = self.key(1);
        let (versions, _) = self.look(&self.here, &key, TAGS).await;
        self.here.store(key.clone(), versions.clone(), b"short"[..].into(), Duration::ZERO);
        assert_eq!(self.look(&self.here, &key, TAGS).await.1, None);
        self.here.store(key.clone(), versions, vec![0; MAX_VALUE + 1].into(), MAX_KEEP);
        assert_eq!(self.look(&self.here, &key, TAGS).await.1, None);
        let (values, most) = self.here.size();
        assert!(values <= most && most > 0);
    }

    /// Runs all of the above.
    pub async fn check_all(&self) {
        self.a_value_is_found_under_its_key().await;
        self.a_change_of_one_tag_is_seen_on_every_server().await;
        self.what_was_read_before_a_change_is_not_found_after_it().await;
        self.readers_and_changes_at_once_agree().await;
        self.values_end_and_are_bounded().await;
    }
}
