//! Idempotency keys: a request that is sent again, because its answer was lost, is executed once and answered again.
//!
//! The first request with a key claims the key, and its answer is stored under the key. Later requests get the stored
//! answer. Claim and answer are two transactions beside the request's own. If a process crashes after the request's
//! change and before its answer is stored, the claim expires and the request can be executed again. A change that must
//! not be repeated even then has its own key in its own transaction: events their source and id, runs their dedupe key.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tidegate_kernel::{StoreError, Transaction};

/// An idempotency key: the digest of the caller's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub [u8; 32]);

/// The content of a request: the digest of its method, path and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// A stored answer. It MUST NOT contain a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content headers with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// The result of claiming a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The claim succeeded and expires at this time: execute the request, then finish or release the claim.
    Ours(DateTime<Utc>),
    /// Another request with this key is in progress.
    InFlight,
    /// The request was executed, with this answer.
    Done(KeptAnswer),
    /// The key was used for a different request.
    OtherRequest,
}

/// The times of a claim and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The time of the claim.
    pub now: DateTime<Utc>,
    /// When an unfinished claim expires; later than any request can take.
    pub claimed_until: DateTime<Utc>,
    /// When the key is forgotten.
    pub kept_until: DateTime<Utc>,
}

/// The keys of the transaction's actor, in its workspace or, for a person's own transaction, across workspaces. Equal
/// keys of other actors, or of the same actor in another workspace, are different keys.
#[async_trait]
pub trait IdempotencyRepository: Send {
    /// Claims a key.
    ///
    /// MUST return `Ours` to exactly one of any number of concurrent claims. MUST return it again only after that claim
    /// has expired or was released, or after the key is forgotten.
    async fn claim(
        &mut self,
        key: &IdempotencyKey,
        fingerprint: &Fingerprint,
        terms: Terms,
    ) -> Result<Claim, StoreError>;

    /// Stores the answer for the claim that expires at `claimed_until`. MUST change nothing if another request has
    /// claimed the key since.
    async fn finish(
        &mut self,
        key: &IdempotencyKey,
        claimed_until: DateTime<Utc>,
        answer: &KeptAnswer,
    ) -> Result<(), StoreError>;

    /// Releases the claim, because nothing was changed. MUST do nothing if another request has claimed the key since.
    async fn release(&mut self, key: &IdempotencyKey, claimed_until: DateTime<Utc>) -> Result<(), StoreError>;
}

/// The slice of a store for idempotency keys.
pub trait IdempotencyTx: Transaction {
    /// The actor's keys.
    fn idempotency(&mut self) -> Box<dyn IdempotencyRepository + '_>;
}
