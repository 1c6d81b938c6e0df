//! Answers about sessions, keys and memberships, kept for less than a second and dropped at once when a signal says so.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moka::future::Cache;
use tidegate_kernel::{Received, SessionId, SignalBus, StoreError, Topic, UserId, WorkspaceId};
use tidegate_tenancy::{AccessLookup, Digest, KeyGrant, LiveSession, Membership, Slug, WorkspaceRef};

/// How long an answer is kept. With the time that the question itself takes it stays below the second that a
/// revocation may take to be felt.
const KEEP: Duration = Duration::from_millis(800);
const CAPACITY: u64 = 100_000;

/// A cache in front of another lookup.
///
/// Only what exists is kept: a new session, key or member is seen at once.
pub struct CachedAccess {
    inner: Arc<dyn AccessLookup>,
    caches: Caches,
}

#[derive(Clone)]
struct Caches {
    sessions: Cache<SessionId, Arc<LiveSession>>,
    keys: Cache<Digest, KeyGrant>,
    memberships: Cache<(UserId, WorkspaceRef), Membership>,
    slugs: Cache<Slug, WorkspaceId>,
}

impl CachedAccess {
    /// A cache that listens to `signals` for as long as they come.
    #[must_use]
    pub fn new(inner: Arc<dyn AccessLookup>, signals: &dyn SignalBus) -> Self {
        let caches = Caches { sessions: cache(), keys: cache(), memberships: cache(), slugs: cache() };
        let mut stream = signals.subscribe(&[
            Topic::SessionRevoked,
            Topic::ApiKeyRevoked,
            Topic::MembershipChanged,
            Topic::PersonChanged,
            Topic::WorkspaceChanged,
        ]);
        let dropping = caches.clone();
        tokio::spawn(async move {
            while let Some(received) = stream.next().await {
                dropping.apply(&received).await;
            }
        });
        Self { inner, caches }
    }
}

impl Caches {
    async fn apply(&self, received: &Received) {
        let Received::Signal(signal) = received else {
            self.sessions.invalidate_all();
            self.keys.invalidate_all();
            self.memberships.invalidate_all();
            self.slugs.invalidate_all();
            return;
        };
        match signal.topic {
            Topic::SessionRevoked => match signal.payload.as_str().parse::<SessionId>() {
                Ok(session) => self.sessions.invalidate(&session).await,
                Err(_) => self.sessions.invalidate_all(),
            },
            Topic::PersonChanged => self.sessions.invalidate_all(),
            // Keys are kept by digest; there are few, and revoking one is rare. A role bounds the keys of its holder.
            Topic::ApiKeyRevoked => self.keys.invalidate_all(),
            Topic::MembershipChanged => {
                self.memberships.invalidate_all();
                self.keys.invalidate_all();
            }
            Topic::WorkspaceChanged => {
                self.memberships.invalidate_all();
                self.keys.invalidate_all();
                self.slugs.invalidate_all();
            }
            _ => {}
        }
    }
}

fn cache<K, V>() -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(CAPACITY).time_to_live(KEEP).build()
}

#[async_trait]
impl AccessLookup for CachedAccess {
    async fn session(&self, id: SessionId) -> Result<Option<Arc<LiveSession>>, StoreError> {
        if let Some(live) = self.caches.sessions.get(&id).await {
            return Ok(Some(live));
        }
        let found = self.inner.session(id).await?;
        if let Some(live) = &found {
            self.caches.sessions.insert(id, live.clone()).await;
        }
        Ok(found)
    }

    async fn api_key(&self, digest: &Digest) -> Result<Option<KeyGrant>, StoreError> {
        if let Some(grant) = self.caches.keys.get(digest).await {
            return Ok(Some(grant));
        }
        let found = self.inner.api_key(digest).await?;
        if let Some(grant) = found {
            self.caches.keys.insert(*digest, grant).await;
        }
        Ok(found)
    }

    async fn membership(&self, user: UserId, workspace: &WorkspaceRef) -> Result<Option<Membership>, StoreError> {
        let key = (user, workspace.clone());
        if let Some(membership) = self.caches.memberships.get(&key).await {
            return Ok(Some(membership));
        }
        let found = self.inner.membership(user, workspace).await?;
        if let Some(membership) = found {
            self.caches.memberships.insert(key, membership).await;
        }
        Ok(found)
    }

    async fn locate(&self, workspace: &WorkspaceRef) -> Result<Option<WorkspaceId>, StoreError> {
        let WorkspaceRef::Slug(slug) = workspace else { return self.inner.locate(workspace).await };
        if let Some(id) = self.caches.slugs.get(slug).await {
            return Ok(Some(id));
        }
        let found = self.inner.locate(workspace).await?;
        if let Some(id) = found {
            self.caches.slugs.insert(slug.clone(), id).await;
        }
        Ok(found)
    }
}
