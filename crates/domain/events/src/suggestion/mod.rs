//! Suggestions: workflows that a pattern suggests.
//!
//! - [`catalogue`] holds rules and their workflow templates as data. [`template`] fills the templates in.
//!   [`confidence`] computes the confidence in a share. All of them are pure.
//! - [`offers`] makes suggestions during detection. [`ports`] stores them. [`service`] lists and dismisses them.
//!   Applying a suggestion also changes workflows, so that use case is in another crate.
//!
//! The id of a suggestion is derived from its rule and its pattern, so nothing is suggested twice.

pub mod catalogue;
pub mod confidence;
pub mod model;
pub mod offers;
pub mod ports;
pub mod service;
pub mod template;

pub use catalogue::{Catalogue, CatalogueError, Rule};
pub use model::{Candidate, ListedSuggestions, Offer, Suggestion, SuggestionFilter, SuggestionPlace, SuggestionStatus};
pub use ports::{SuggestionLedger, SuggestionRepository};
pub use service::{DismissSuggestionError, ListSuggestionsError, Suggestions, SuggestionsTx};
