//! Use cases that span domains: each composes what the domains offer under one unit of work. And [`idempotency`], which
//! every operation uses and no domain.
//!
//! Two transactions are not atomic, so none of these changes anything in more than one; one that reads ahead of it compares
//! in it what it has read. The domains know nothing of this crate or of each other; what is needed of both is put together
//! here as a slice of the store.

pub mod apply_suggestion;
pub mod delete_workspace;
pub mod follow_events;
pub mod idempotency;
pub mod quota;

pub use apply_suggestion::{AppliedSuggestion, ApplySuggestion, ApplySuggestionError, ApplySuggestionTx};
pub use delete_workspace::{DeleteWorkspace, DeleteWorkspaceTx};
pub use follow_events::{EventTriggersTx, FollowEvents, FollowLimits, Followed, TRIGGERS, TRIGGERS_CHUNK};
pub use idempotency::{Claim, Fingerprint, IdempotencyKey, IdempotencyRepository, IdempotencyTx, KeptAnswer, Terms};
pub use quota::PlanQuota;
