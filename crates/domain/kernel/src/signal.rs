//! Short messages between the components and processes of a server, such as "drop this cache entry" or "new work".
//!
//! Delivery is at most once. A signal is lost if nobody listens, if a listener is slow, or while the connection between
//! processes is down. So a signal MUST only make something happen *sooner*. Every user also has a fallback (a time to
//! live or a poll) and stays correct without signals, only slower.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

/// The topic of a signal. The payload is the text of an id unless the topic says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A family of refresh tokens was revoked; payload: the session.
    SessionRevoked,
    /// An API key was revoked or changed; payload: the key.
    ApiKeyRevoked,
    /// A member's role in a workspace changed, or the membership ended; payload: the person.
    MembershipChanged,
    /// A person's own data changed; payload: the person.
    PersonChanged,
    /// The keys that sign access tokens changed; payload: the new key.
    SigningKeysChanged,
    /// A workspace was renamed or deleted; payload: the workspace.
    WorkspaceChanged,
    /// New events were committed in a workspace; payload: the workspace.
    EventsIngested,
    /// Runs have work to do; payload: the workspace with ready runs, or the run with a new request. Any payload that is
    /// not the id of a workspace asks workers to look for all work, requests included.
    WorkReady,
    /// A process waits for the end of a run; payload: the run.
    RunAwaited,
    /// A run has ended for which another process waits; payload: the run.
    RunEnded,
    /// A job can run; payload: the lane of the job, in the engine's format. Any other payload: a job is due soon.
    JobReady,
}

impl Topic {
    /// Every topic.
    pub const ALL: &'static [Self] = &[
        Self::SessionRevoked,
        Self::ApiKeyRevoked,
        Self::MembershipChanged,
        Self::PersonChanged,
        Self::SigningKeysChanged,
        Self::WorkspaceChanged,
        Self::EventsIngested,
        Self::WorkReady,
        Self::RunAwaited,
        Self::RunEnded,
        Self::JobReady,
    ];

    /// The topic's name in messages between processes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionRevoked => "session-revoked",
            Self::ApiKeyRevoked => "api-key-revoked",
            Self::MembershipChanged => "membership-changed",
            Self::PersonChanged => "person-changed",
            Self::SigningKeysChanged => "signing-keys-changed",
            Self::WorkspaceChanged => "workspace-changed",
            Self::EventsIngested => "events-ingested",
            Self::WorkReady => "work-ready",
            Self::RunAwaited => "run-awaited",
            Self::RunEnded => "run-ended",
            Self::JobReady => "job-ready",
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The payload of a signal: the text of an id, at most [`Payload::MAX_LEN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payload(Arc<str>);

impl Payload {
    /// The maximum length in bytes.
    pub const MAX_LEN: usize = 128;

    /// The payload, or `None` if the text is too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (text.len() <= Self::MAX_LEN).then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The topic.
    pub topic: Topic,
    /// The subject of the signal, such as a workspace; see [`Topic`].
    pub payload: Payload,
}

impl Signal {
    /// A signal about `id`. If the text of the id is longer than [`Payload::MAX_LEN`], the payload is empty.
    pub fn new(topic: Topic, id: &impl ToString) -> Self {
        Self { topic, payload: Payload::new(&id.to_string()).unwrap_or_else(|| Payload("".into())) }
    }
}

/// What a listener receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A signal.
    Signal(Signal),
    /// Signals may have been lost since the last one. A listener MUST drop every cache entry that depends on signals.
    Missed,
}

/// Publishes signals and subscribes to them.
pub trait SignalBus: Send + Sync {
    /// Sends `signal` to every current listener of its topic, in this process too.
    ///
    /// MUST NOT wait or fail: a signal that cannot be sent at once is dropped. Call it after the commit, never before.
    fn publish(&self, signal: Signal);

    /// Subscribes to `topics`, from now on.
    ///
    /// MUST deliver the signals of one publisher in the order of sending, and MUST NOT deliver signals of other topics.
    fn subscribe(&self, topics: &[Topic]) -> Box<dyn SignalStream>;
}

/// The receiving end of a subscription.
#[async_trait]
pub trait SignalStream: Send {
    /// The next signal; `None` once the bus has ended.
    ///
    /// MUST return [`Received::Missed`] once in place of signals that were lost to a full queue or a broken connection.
    /// MUST be safe to cancel.
    async fn next(&mut self) -> Option<Received>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_small_and_topics_have_names_of_their_own() {
        assert!(Payload::new(&"x".repeat(Payload::MAX_LEN)).is_some());
        assert_eq!(Payload::new(&"x".repeat(Payload::MAX_LEN + 1)), None);
        let names: std::collections::BTreeSet<_> = Topic::ALL.iter().map(|topic| topic.as_str()).collect();
        assert_eq!(names.len(), Topic::ALL.len());
    }
}
