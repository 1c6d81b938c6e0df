//! A cache of sessions, API keys and memberships. Entries live for less than a second, and a signal removes them at
//! once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moka::future::Cache;
use tidegate_kernel::{
    CacheCounts, CacheFigures, Received, SessionId, SignalBus, StoreError, Topic, UserId, WorkspaceId,
};
use tidegate_tenancy::{AccessLookup, Admission, Digest, KeyGrant, LiveSession, Slug, WorkspaceRef};
use tokio::time::Instant;

/// The lifetime of a cache entry, counted from before the lookup began: the lookup may miss what was revoked after
/// that. A revocation must take effect within one second; the rest of that second is for the request that uses the
/// entry.
const KEEP: Duration = Duration::from_millis(800);
const CAPACITY: u64 = 100_000;

/// A cache in front of another lookup.
///
/// It keeps only what exists, so a new session, key or member is visible at once.
#[derive(Clone)]
pub struct CachedAccess {
    inner: Arc<dyn AccessLookup>,
    caches: Caches,
}

#[derive(Clone)]
struct Caches {
    sessions: Answers<SessionId, Arc<LiveSession>>,
    keys: Answers<Digest, KeyGrant>,
    memberships: Answers<(UserId, WorkspaceRef), Admission>,
    slugs: Answers<Slug, WorkspaceId>,
}

/// The cache of one kind of lookup. Each entry has the time at which it expires.
struct Answers<K, V> {
    name: &'static str,
    kept: Cache<K, (V, Instant)>,
    counts: Arc<CacheCounts>,
}

impl<K, V> Clone for Answers<K, V> {
    fn clone(&self) -> Self {
        Self { name: self.name, kept: self.kept.clone(), counts: Arc::clone(&self.counts) }
    }
}

impl<K, V> Answers<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn new(name: &'static str) -> Self {
        let kept = Cache::builder().max_capacity(CAPACITY).time_to_live(KEEP).build();
        Self { name, kept, counts: Arc::default() }
    }

    fn figures(&self) -> CacheFigures {
        self.counts.figures(self.name, self.kept.entry_count(), CAPACITY)
    }

    /// The cache entry of `key`, or otherwise the result of `ask`.
    async fn get_or(
        &self,
        key: K,
        ask: impl Future<Output = Result<Option<V>, StoreError>>,
    ) -> Result<Option<V>, StoreError> {
        let asked = Instant::now();
        let kept = self.kept.get(&key).await.filter(|(_, until)| asked < *until);
        if let Some((answer, _)) = self.counts.count(kept) {
            return Ok(Some(answer));
        }
        let found = ask.await?;
        if let Some(answer) = &found {
            self.kept.insert(key, (answer.clone(), asked + KEEP)).await;
        }
        Ok(found)
    }

    async fn forget(&self, key: &K) {
        self.kept.invalidate(key).await;
    }

    fn forget_all(&self) {
        self.kept.invalidate_all();
    }
}

impl CachedAccess {
    /// An empty cache.
    #[must_use]
    pub fn new(inner: Arc<dyn AccessLookup>) -> Self {
        let caches = Caches {
            sessions: Answers::new("sessions"),
            keys: Answers::new("api_keys"),
            memberships: Answers::new("memberships"),
            slugs: Answers::new("slugs"),
        };
        Self { inner, caches }
    }

    /// How each of its caches is used.
    pub(crate) fn figures(&self) -> [CacheFigures; 4] {
        let Caches { sessions, keys, memberships, slugs } = &self.caches;
        [sessions.figures(), keys.figures(), memberships.figures(), slugs.figures()]
    }

    /// Removes cache entries at the signals of `bus`, until the bus ends.
    pub async fn follow(&self, bus: &dyn SignalBus) {
        let mut signals = bus.subscribe(&[
            Topic::SessionRevoked,
            Topic::ApiKeyRevoked,
            Topic::MembershipChanged,
            Topic::PersonChanged,
            Topic::WorkspaceChanged,
        ]);
        // Signals before the subscription may have been missed.
        self.caches.apply(&Received::Missed).await;
        while let Some(received) = signals.next().await {
            self.caches.apply(&received).await;
        }
    }
}

impl Caches {
    async fn apply(&self, received: &Received) {
        let Received::Signal(signal) = received else {
            self.sessions.forget_all();
            self.keys.forget_all();
            self.memberships.forget_all();
            self.slugs.forget_all();
            return;
        };
        match signal.topic {
            Topic::SessionRevoked => match signal.payload.as_str().parse::<SessionId>() {
                Ok(session) => self.sessions.forget(&session).await,
                Err(_) => self.sessions.forget_all(),
            },
            // The rights of a key depend on the person who made it.
            Topic::PersonChanged => {
                self.sessions.forget_all();
                self.keys.forget_all();
            }
            // Entries are found by the digest of the key, which the signal does not have. There are few keys, and
            // revoking one is rare. A role bounds the keys of its holder.
            Topic::ApiKeyRevoked => self.keys.forget_all(),
            Topic::MembershipChanged => {
                self.memberships.forget_all();
                self.keys.forget_all();
            }
            Topic::WorkspaceChanged => {
                self.memberships.forget_all();
                self.keys.forget_all();
                self.slugs.forget_all();
            }
            _ => {}
        }
    }
}

#[async_trait]
impl AccessLookup for CachedAccess {
    async fn session(&self, id: SessionId) -> Result<Option<Arc<LiveSession>>, StoreError> {
        self.caches.sessions.get_or(id, self.inner.session(id)).await
    }

    async fn api_key(&self, digest: &Digest) -> Result<Option<KeyGrant>, StoreError> {
        self.caches.keys.get_or(*digest, self.inner.api_key(digest)).await
    }

    async fn membership(&self, user: UserId, workspace: &WorkspaceRef) -> Result<Option<Admission>, StoreError> {
        self.caches.memberships.get_or((user, workspace.clone()), self.inner.membership(user, workspace)).await
    }

    async fn locate(&self, workspace: &WorkspaceRef) -> Result<Option<WorkspaceId>, StoreError> {
        let WorkspaceRef::Slug(slug) = workspace else { return self.inner.locate(workspace).await };
        self.caches.slugs.get_or(slug.clone(), self.inner.locate(workspace)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tidegate_kernel::{ApiKeyId, Client, PermissionSet};
    use tidegate_tenancy::{Email, Membership, Name, Person, Role, Session, WorkspacePolicy};
    use tokio::time::{advance, sleep};

    use crate::system::environment;

    /// A lookup in which everything exists. Each result is correct at the time of the call and takes some time.
    struct Slow {
        takes: Duration,
        asked: AtomicUsize,
    }

    impl Slow {
        async fn answer<T>(&self, answer: T) -> Result<Option<T>, StoreError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            sleep(self.takes).await;
            Ok(Some(answer))
        }
    }

    fn live() -> LiveSession {
        let env = environment();
        let (email, name) = (Email::new("ada@example.org").unwrap(), Name::new("Ada").unwrap());
        let person = Person::register(&env, email, name, env.now());
        let session = Session::begin(&env, person.id, env.now(), false, Client::default());
        LiveSession { session, person }
    }

    #[async_trait]
    impl AccessLookup for Slow {
        async fn session(&self, _: SessionId) -> Result<Option<Arc<LiveSession>>, StoreError> {
            self.answer(Arc::new(live())).await
        }
        async fn api_key(&self, _: &Digest) -> Result<Option<KeyGrant>, StoreError> {
            let env = environment();
            let (key, workspace) = (ApiKeyId::generate(&env), WorkspaceId::generate(&env));
            self.answer(KeyGrant { key, workspace, permissions: PermissionSet::EMPTY, expires_at: None }).await
        }
        async fn membership(&self, user: UserId, _: &WorkspaceRef) -> Result<Option<Admission>, StoreError> {
            let env = environment();
            let workspace = WorkspaceId::generate(&env);
            let membership = Membership { workspace, user, role: Role::VIEWER, joined_at: env.now() };
            self.answer(Admission { membership, policy: WorkspacePolicy::default() }).await
        }
        async fn locate(&self, _: &WorkspaceRef) -> Result<Option<WorkspaceId>, StoreError> {
            self.answer(WorkspaceId::generate(&environment())).await
        }
    }

    /// How often the store is asked if each lookup is made once, and again `after` milliseconds after its result.
    async fn asked(takes: u64, after: u64) -> [usize; 4] {
        let slow = Arc::new(Slow { takes: Duration::from_millis(takes), asked: AtomicUsize::new(0) });
        let cached = CachedAccess::new(slow.clone());
        let env = environment();
        let (session, user, digest) = (SessionId::generate(&env), UserId::generate(&env), Digest::of("a key"));
        let slug = WorkspaceRef::Slug(Slug::new("acme").unwrap());
        let mut counts = [0; 4];
        for (question, count) in counts.iter_mut().enumerate() {
            for wait in [0, after] {
                advance(Duration::from_millis(wait)).await;
                match question {
                    0 => cached.session(session).await.map(drop),
                    1 => cached.api_key(&digest).await.map(drop),
                    2 => cached.membership(user, &slug).await.map(drop),
                    _ => cached.locate(&slug).await.map(drop),
                }
                .unwrap();
            }
            *count = slow.asked.swap(0, Ordering::Relaxed);
        }
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_of_an_answer_counts_from_the_question() {
        assert_eq!(asked(0, 799).await, [1; 4]);
        assert_eq!(asked(0, 800).await, [2; 4]);
        assert_eq!(asked(300, 499).await, [1; 4]);
        assert_eq!(asked(300, 500).await, [2; 4]);
        assert_eq!(asked(900, 0).await, [2; 4], "too old when it comes");
    }
}
