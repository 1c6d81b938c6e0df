//! What callers get wrong or try on purpose: each answers its problem, names the place, and changes nothing.
//!
//! Events have theirs in `events.rs`, tokens in `tokens.rs`, and ids of another tenant in the path in `authorization`.

mod bodies;
mod cursors;
mod documents;
mod expressions;
mod foreign;
mod texts_and_times;
