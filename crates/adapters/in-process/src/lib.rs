//! Rate limits, signals and the cache of lists within one process: the embedded server uses them instead of Redis. Other
//! servers fall back to the first two while Redis is away.

mod list_cache;
mod rate_limit;
mod signal;

pub use list_cache::{InProcessListCache, LocalLists};
pub use rate_limit::InProcessRateLimiter;
pub use signal::InProcessSignalBus;
