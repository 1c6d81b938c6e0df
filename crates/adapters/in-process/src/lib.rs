//! Limits and signals within one process: what the embedded server uses in place of Redis, and what a served one falls
//! back to while Redis is away.

mod rate_limit;
mod signal;

pub use rate_limit::InProcessRateLimiter;
pub use signal::InProcessSignalBus;
