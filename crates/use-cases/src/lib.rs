//! Use cases that span domains, and [`idempotency`], which belongs to no domain and is used by all operations.
//!
//! Two transactions are not atomic, so each use case makes its changes in a single one. If it reads before that, it
//! checks in the transaction that what it read is still current. The domains do not depend on this crate or on each
//! other. A slice of the store that combines two domains is defined here.

pub mod apply_suggestion;
pub mod delete_workspace;
pub mod file_limits;
pub mod follow_events;
pub mod idempotency;
pub mod notify_billing;
pub mod notify_quota;
pub mod owners;
pub mod quota;

pub use apply_suggestion::{AppliedSuggestion, ApplySuggestion, ApplySuggestionError, ApplySuggestionTx};
pub use delete_workspace::{DeleteWorkspace, DeleteWorkspaceTx};
pub use file_limits::FilesByPlan;
pub use follow_events::{EventTriggersTx, FollowEvents, FollowLimits, Followed, TRIGGERS, TRIGGERS_CHUNK};
pub use idempotency::{Claim, Fingerprint, IdempotencyKey, IdempotencyRepository, IdempotencyTx, KeptAnswer, Terms};
pub use notify_billing::NotifyBilling;
pub use notify_quota::{NotifyQuotaTx, NotifyQuotas};
pub use owners::Owners;
pub use quota::EventsByQuota;
