//! Rate limits and signals within one process: the embedded server uses them instead of Redis, and other servers fall
//! back to them while Redis is away.

mod rate_limit;
mod signal;

pub use rate_limit::InProcessRateLimiter;
pub use signal::InProcessSignalBus;
