//! How an engine is set.

use std::time::Duration;

/// Settings of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// How long shards are held without a heartbeat; what a dead worker's runs wait at most, and a heartbeat.
    pub lease: Duration,
    /// How often the worker says that it lives. The database hears of it no more often.
    pub heartbeat: Duration,
    /// How often it looks for work that nobody told it of.
    pub poll: Duration,
    /// How often it does when it has had none for a while.
    pub idle_poll: Duration,
    /// The most runs in hand at once.
    pub max_runs: usize,
    /// The most attempts being made at once.
    pub max_attempts: usize,
    /// The most runs in one claim or one commit.
    pub batch: usize,
    /// A run that waits longer than this is parked and read again when its time has come.
    pub park_after: Duration,
    /// How long attempts may go on after the worker was told to stop.
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
