//! Types and ports that every domain shares: typed ids, scopes, units of work, time and randomness.
//!
//! This crate does no IO. A type belongs here only if two domains need exactly the same type.

pub mod audit;
pub mod cache;
pub mod clock;
pub mod error;
pub mod id;
pub mod job;
pub mod json;
pub mod limit;
pub mod name;
pub mod origin;
pub mod page;
pub mod permission;
pub mod position;
pub mod quota;
pub mod rate_limit;
pub mod scope;
pub mod signal;
pub mod trace;
pub mod unit_of_work;

pub use audit::{AuditEntry, AuditLog};
pub use cache::{CacheCounts, CacheFigures, CacheKey, ListCache, ListTag, Looked, Versions};
pub use clock::{Clock, Entropy, Environment};
pub use error::{Forbidden, StoreError};
pub use id::{
    ApiKeyId, AuditId, CreditNoteId, EventId, FactorId, FileId, IdError, InvoiceId, JobId, PatternId, PaymentId, RunId,
    SessionId, SuggestionId, UploadId, UserId, WorkflowId, WorkspaceId,
};
pub use job::{Enqueued, JobPayload, JobPriority, JobStatus, Jobs, NewJob};
pub use limit::Limit;
pub use origin::{Client, Origin, RequestId};
pub use page::{Page, PageSize};
pub use permission::{Permission, PermissionSet};
pub use position::Position;
pub use quota::{
    Meter, NoQuota, Period, Quota, QuotaError, QuotaExceeded, QuotaLevels, Reservation, Span, UnknownMeter,
};
pub use rate_limit::{Decision, RateKey, RateLimit, RateLimiter};
pub use scope::{Actor, OperatorScope, PersonScope, ScopeIssuer, SystemScope, Urgency, WorkspaceScope};
pub use signal::{Payload, Received, Signal, SignalBus, SignalStream, Topic};
pub use trace::TraceContext;
pub use unit_of_work::{Transaction, UnitOfWork};
