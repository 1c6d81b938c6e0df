//! Patterns: regularities in a workspace's events, found by counting.
//!
//! - [`key`] identifies counters. [`batch`] turns new events into a change of counters, by the rules in [`frequency`],
//!   [`sequence`] and [`session`]. All of them are pure.
//! - [`ports`] stores the counters and reads patterns. [`detection`] is the consumer of events. [`service`] lists
//!   patterns.
//!
//! A counter is only a sum of contributions; times and evidence are looked up when a pattern is read. So the result
//! does not depend on the order of arrival, and contributions can be subtracted again.

pub mod batch;
pub mod detection;
pub mod frequency;
pub mod key;
pub mod model;
pub mod ports;
pub mod sequence;
pub mod service;
pub mod session;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Delta, Gap, Link, Member, Surroundings};
pub use detection::{DETECTION, Detection, DetectionTx};
pub use key::{Dimension, PatternKey, PatternKind, Term};
pub use model::{ListedPatterns, MIN_SUPPORT, Pattern, PatternFacts, PatternFilter, PatternPlace};
pub use ports::{PatternCounters, PatternRepository};
pub use sequence::SEQUENCE_WINDOW;
pub use service::{ListPatternsError, Patterns, PatternsTx};
pub use session::MAX_SESSION_SUBJECTS;
