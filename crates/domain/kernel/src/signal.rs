//! Short messages between the parts and the processes of a server: drop what you have cached, look for new work.
//!
//! Delivery is at most once: a signal is lost when nobody listens, when a listener is slow, or while the connection
//! between processes is away. So a signal only ever makes something happen *sooner*; every user of it has a floor of
//! its own (a time to live, a poll) and stays right, only slower, when none arrives.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

/// What a signal is about, and what its payload is: the text of an id, except where it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A family of refresh tokens was revoked; payload: the session.
    SessionRevoked,
    /// An API key was revoked or changed; payload: the key.
    ApiKeyRevoked,
    /// Somebody's role in a workspace changed or ended; payload: the person.
    MembershipChanged,
    /// A person's own data changed; payload: the person.
    PersonChanged,
    /// A workspace was renamed or deleted; payload: the workspace.
    WorkspaceChanged,
    /// A workspace's events moved ahead; payload: the workspace.
    EventsIngested,
    /// There is work on runs; payload: the workspace that has some, or the run of which something is wanted.
    WorkReady,
    /// Somebody waits for the end of a run; payload: the run.
    RunAwaited,
    /// A run has ended that another process waits for; payload: the run.
    RunEnded,
    /// A job can be done; payload: the lane that it is in, as the engine writes it.
    JobReady,
}

impl Topic {
    /// Every topic.
    pub const ALL: &'static [Self] = &[
        Self::SessionRevoked,
        Self::ApiKeyRevoked,
        Self::MembershipChanged,
        Self::PersonChanged,
        Self::WorkspaceChanged,
        Self::EventsIngested,
        Self::WorkReady,
        Self::RunAwaited,
        Self::RunEnded,
        Self::JobReady,
    ];

    /// The topic's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionRevoked => "session-revoked",
            Self::ApiKeyRevoked => "api-key-revoked",
            Self::MembershipChanged => "membership-changed",
            Self::PersonChanged => "person-changed",
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

/// What a signal says: the text of an id, at most [`Payload::MAX_LEN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Payload(Arc<str>);

impl Payload {
    /// The longest payload, in bytes.
    pub const MAX_LEN: usize = 128;

    /// The payload, or `None` where the text is too long.
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
    /// What it is about.
    pub topic: Topic,
    /// Which one of those.
    pub payload: Payload,
}

impl Signal {
    /// A signal about `id`, whose text is an id's and therefore short; a longer one is cut to nothing.
    pub fn new(topic: Topic, id: &impl ToString) -> Self {
        Self { topic, payload: Payload::new(&id.to_string()).unwrap_or_else(|| Payload("".into())) }
    }
}

/// What a listener gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A signal.
    Signal(Signal),
    /// Signals may have been lost since the last one; whoever caches by them drops everything.
    Missed,
}

/// Where signals go to and come from.
pub trait SignalBus: Send + Sync {
    /// Sends `signal` to everybody who listens to its topic now, this process included.
    ///
    /// MUST NOT wait or fail: what cannot be sent at once is dropped. Call it after the commit, never before.
    fn publish(&self, signal: Signal);

    /// Listens to `topics` from now on.
    ///
    /// MUST deliver what one publisher sends in its order, and nothing of other topics.
    fn subscribe(&self, topics: &[Topic]) -> Box<dyn SignalStream>;
}

/// A listener's end.
#[async_trait]
pub trait SignalStream: Send {
    /// The next signal; `None` once the bus has ended.
    ///
    /// MUST answer [`Received::Missed`] once in place of signals that were lost on a full queue or a broken connection.
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
