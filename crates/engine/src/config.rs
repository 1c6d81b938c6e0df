//! Settings of an engine.

use std::time::Duration;

/// Settings of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// How long a worker owns its shards after its last heartbeat. After a crash, its runs wait at most this long and
    /// one heartbeat more.
    pub lease: Duration,
    /// The interval between heartbeats. A worker that has to take over a shard anew sends the next heartbeat at once.
    pub heartbeat: Duration,
    /// The interval of the poll for work that no signal announced.
    pub poll: Duration,
    /// The interval of the poll after a while without work.
    pub idle_poll: Duration,
    /// The maximum number of runs in memory at once.
    pub max_runs: usize,
    /// The maximum number of concurrent step attempts.
    pub max_attempts: usize,
    /// The maximum number of runs in one claim or one commit.
    pub batch: usize,
    /// A run that waits longer than this is parked: removed from memory and claimed again when its timer is due.
    pub park_after: Duration,
    /// The shutdown timeout: how long attempts may continue after the worker is told to stop.
    pub drain: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(6),
            heartbeat: Duration::from_secs(2),
            poll: Duration::from_secs(1),
            idle_poll: Duration::from_secs(3),
            max_runs: 2_000,
            max_attempts: 256,
            batch: 500,
            park_after: Duration::from_secs(5),
            drain: Duration::from_secs(10),
        }
    }
}
