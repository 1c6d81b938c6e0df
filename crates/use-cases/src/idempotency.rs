//! Requests that are sent again because the answer was lost: done once, answered twice.
//!
//! A caller names a request by a key. The first one claims the key and keeps its answer under it; those that come
//! later get that answer. Claim and answer are two transactions beside the request's own, so a process that dies after
//! its change and before it kept the answer leaves a claim that runs out, and the request can then be done again. What
//! must not even then happen twice carries a key of its own in its own transaction: events their source and id, runs
//! their dedupe key.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, Transaction};

/// A request as its caller names it: the digest of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub [u8; 32]);

/// What a request asks for: the digest of its method, path and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// An answer that was kept. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The status.
    pub status: u16,
    /// The headers that belong to the content, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What came of claiming a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is ours until then: do it, then finish or release.
    Ours(DateTime<Utc>),
    /// Somebody is at it.
    InFlight,
    /// It was done, with this answer.
    Done(KeptAnswer),
    /// The key came with another request before.
    OtherRequest,
}

/// How long a claim or an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The time of the claim.
    pub now: DateTime<Utc>,
    /// Until when a claim holds off others; longer than any request takes.
    pub claimed_until: DateTime<Utc>,
    /// Until when the key is known.
    pub kept_until: DateTime<Utc>,
}

/// The keys of the transaction's actor, in its workspace or, for a person's own transaction, across workspaces. Keys of
/// others, and of the same actor elsewhere, are other keys.
#[async_trait]
pub trait IdempotencyRepository: Send {
    /// Claims a key.
    ///
    /// MUST answer `Ours` to exactly one of any number of claims at once, and again only after that claim has run out
    /// or was released, or the key is no longer kept.
    async fn claim(
        &mut self,
        key: &IdempotencyKey,
        fingerprint: &Fingerprint,
        terms: Terms,
    ) -> Result<Claim, StoreError>;

    /// Keeps the answer of the claim that held until `claimed_until`. MUST change nothing where somebody else has
    /// claimed the key since.
    async fn finish(
        &mut self,
        key: &IdempotencyKey,
        claimed_until: DateTime<Utc>,
        answer: &KeptAnswer,
    ) -> Result<(), StoreError>;

    /// Gives the claim up: nothing was done. MUST change nothing where somebody else has claimed the key since.
    async fn release(&mut self, key: &IdempotencyKey, claimed_until: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The slice of a store that keeps answers.
pub trait IdempotencyTx: Transaction {
    /// The actor's keys.
    fn idempotency(&mut self) -> Box<dyn IdempotencyRepository + '_>;
}
