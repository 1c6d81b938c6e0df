//! Patterns: what a workspace's events show when they are counted.
//!
//! - [`key`] names what is counted, [`batch`] turns new events into a change of counters, by the rules in
//!   [`frequency`], [`sequence`] and [`session`]. All of it is pure.
//! - [`ports`] is where the counters are kept and how patterns are read; [`detection`] follows the insert,
//!   [`service`] lists what was found.
//!
//! Counters are sums of contributions, nothing else; times and evidence are looked up where a pattern is read. That is
//! what makes the result independent of the order of arrival, and what lets contributions be taken away again.

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
