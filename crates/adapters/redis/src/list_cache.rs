//! The cache of lists across processes: the versions of tags are in Redis, the values in the memory of each process.
//!
//! A look-up is one script that reads the versions of its tags; no value is sent. In each runtime, the look-ups of the
//! same tags that come while one is under way share the next one. Versions are random texts, so a tag that Redis has
//! forgotten gets a version that no value has.
//!
//! A Redis that starts again from a snapshot, or a replica that takes over, may have lost the latest versions. Neither
//! knows the script, whose text is another one in each process. So the first answer after such a start is `NOSCRIPT`,
//! and this process forgets all of its values then, and opens all of its connections again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_redis::redis::{Script, cmd};
use tidegate_in_process::LocalLists;
use tidegate_kernel::cache::MAX_KEEP;
use tidegate_kernel::{CacheKey, Environment, ListCache, ListTag, Looked, Versions, WorkspaceId};
use tokio::runtime;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::away::Away;
use crate::shared::Shared;
use crate::{Redis, RedisError, TIMEOUT};

/// With `look`, returns the versions of the tags in `KEYS`, and gives one to those that have none. With `change`, gives
/// those that have one another one. A version that nobody has needed for a day is removed.
const SCRIPT: &str = "
local found = {}
for i, tag in ipairs(KEYS) do
  if ARGV[1] == 'change' then
    redis.call('SET', tag, ARGV[2], 'XX', 'PX', 86400000)
  else
    local version = redis.call('GET', tag)
    if not version then
      version = ARGV[2]
      redis.call('SET', tag, version, 'PX', 86400000)
    end
    found[i] = version
  end
end
return table.concat(found, ' ')";

/// How long a change waits for a Redis that was away a moment ago.
const RESTING: Duration = Duration::from_millis(50);
/// The pause between attempts to announce changes that Redis has missed.
const RETRY: Duration = Duration::from_millis(100);

/// Look-ups of the same tags share their questions, those of each runtime apart.
type Lookup = (runtime::Id, WorkspaceId, Box<[ListTag]>);

/// The versions of tags, and the number of starts that were known when they were asked for.
type Found = (u64, Arc<str>);

/// A cache of lists in an installation that shares a Redis.
pub struct RedisListCache {
    redis: Redis,
    lists: LocalLists,
    /// The script, with a text of this process.
    script: String,
    /// Its digest, by which Redis knows it.
    digest: String,
    /// Begins every version that this process makes.
    origin: String,
    made: AtomicU64,
    /// How often a node did not know the script. It is part of the versions of values.
    starts: AtomicU64,
    lookups: Shared<Lookup, Found>,
    away: Away,
    /// The tags whose changes Redis has missed, each with the time of the last one.
    missed: Mutex<HashMap<(WorkspaceId, ListTag), Instant>>,
    has_missed: Notify,
}

impl RedisListCache {
    /// An empty cache. Changes that Redis has missed are announced only while [`RedisListCache::keep_up`] runs.
    #[must_use]
    pub fn new(redis: Redis, env: &Environment) -> Self {
        let origin = format!("{:032x}", u128::from_be_bytes(env.random()));
        let script = format!("-- {origin}{SCRIPT}");
        Self {
            redis,
            lists: LocalLists::new(),
            digest: Script::new(&script).get_hash().to_owned(),
            script,
            origin,
            made: AtomicU64::new(0),
            starts: AtomicU64::new(0),
            lookups: Shared::new(),
            away: Away::default(),
            missed: Mutex::default(),
            has_missed: Notify::new(),
        }
    }

    /// Announces changes that Redis has missed, as soon as it answers again. It never ends by itself.
    pub async fn keep_up(&self) {
        loop {
            while let Some((workspace, tags)) = self.next_missed() {
                let begun = Instant::now();
                if self.change(workspace, &tags, TIMEOUT * 2).await.is_err() {
                    sleep(RETRY).await;
                    continue;
                }
                let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
                // A change that was missed meanwhile stays.
                missed.retain(|(of, tag), at| *of != workspace || !tags.contains(tag) || *at > begun);
            }
            self.has_missed.notified().await;
        }
    }

    /// A workspace with tags whose changes Redis has missed. Changes are dropped once every value from before them has
    /// ended.
    fn next_missed(&self) -> Option<(WorkspaceId, Vec<ListTag>)> {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.retain(|_, at| at.elapsed() <= MAX_KEEP);
        let (workspace, _) = *missed.keys().next()?;
        let tags = missed.keys().filter(|(of, _)| *of == workspace).map(|(_, tag)| *tag).collect();
        Some((workspace, tags))
    }

    fn has_missed(&self) -> bool {
        !self.missed.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Runs the script. Returns its answer, and the number of starts that were known when it was asked.
    async fn run(
        &self,
        mode: &str,
        workspace: WorkspaceId,
        tags: &[ListTag],
        time: Duration,
    ) -> Result<(u64, String), RedisError> {
        // The hash tag keeps all versions of a workspace on one node of a cluster.
        let key = |tag: &ListTag| format!("tidegate:lists:{{{}}}:{}", workspace.as_uuid().simple(), tag.as_str());
        let version = format!("{}{:x}", self.origin, self.made.fetch_add(1, Ordering::Relaxed));
        let command = |name: &str, script: &str| {
            let mut command = cmd(name);
            command.arg(script).arg(tags.len());
            tags.iter().for_each(|tag| {
                command.arg(key(tag));
            });
            command.arg(mode).arg(&version);
            command
        };
        let starts = self.starts.load(Ordering::SeqCst);
        match self.redis.query_within(time, &command("EVALSHA", &self.digest)).await {
            Err(RedisError::NoScript) => {
                // Before the script is known there: another task must not use an answer with the old number.
                let starts = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
                self.redis.reconnect();
                Ok((starts, self.redis.query_within(time, &command("EVAL", &self.script)).await?))
            }
            answer => Ok((starts, answer?)),
        }
    }

    async fn change(&self, workspace: WorkspaceId, tags: &[ListTag], time: Duration) -> Result<(), RedisError> {
        let changed = self.run("change", workspace, tags, time).await.map(drop);
        self.note(changed.as_ref().err());
        changed
    }

    /// The versions of tags, from a question that was sent after this call.
    async fn versions(&self, workspace: WorkspaceId, tags: &[ListTag]) -> Result<Found, RedisError> {
        let ask = async || {
            // Those who waited behind a question without an answer do not ask as well.
            if self.away.is_resting() {
                return Err(RedisError::Unavailable("it did not a moment ago".to_owned()));
            }
            let found = self.run("look", workspace, tags, TIMEOUT * 2).await;
            self.note(found.as_ref().err());
            found.map(|(starts, versions)| (starts, versions.into()))
        };
        self.lookups.ask((runtime::Handle::current().id(), workspace, tags.into()), ask).await
    }

    fn note(&self, failure: Option<&RedisError>) {
        let failure = failure.map(|error| error as &dyn std::fmt::Display);
        self.away.note(failure, "lists are read from the database", "lists are cached again");
    }
}

#[async_trait]
impl ListCache for RedisListCache {
    async fn look(&self, key: &CacheKey, tags: &[ListTag]) -> Option<Looked> {
        if self.away.is_resting() || self.has_missed() {
            return None;
        }
        let (starts, found) = self.versions(key.workspace, tags).await.ok()?;
        // The number from before the question: if a node has started meanwhile, nothing is found under these versions.
        let versions = Versions::new(&format!("{starts} {found}"));
        let value = if self.starts.load(Ordering::SeqCst) == starts { self.lists.get(key, &versions) } else { None };
        Some(Looked { versions, value })
    }

    fn store(&self, key: CacheKey, versions: Versions, value: Arc<[u8]>, keep: Duration) {
        self.lists.put(key, versions, value, keep);
    }

    async fn invalidate(&self, workspace: WorkspaceId, tags: &[ListTag]) {
        let time = if self.away.is_resting() { RESTING } else { TIMEOUT * 2 };
        if self.change(workspace, tags, time).await.is_ok() {
            return;
        }
        {
            let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
            missed.extend(tags.iter().map(|tag| ((workspace, *tag), Instant::now())));
        }
        self.has_missed.notify_one();
    }

    fn size(&self) -> (u64, u64) {
        self.lists.size()
    }
}
