//! Invalid and malicious requests: each gets its problem, which names the place, and changes nothing.
//!
//! Those about events are in `events.rs`, about tokens in `tokens.rs`, and about ids of another tenant in the path in
//! `authorization`.

mod bodies;
mod cursors;
mod documents;
mod expressions;
mod foreign;
mod texts_and_times;
