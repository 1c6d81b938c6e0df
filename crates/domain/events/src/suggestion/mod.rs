//! Suggestions: from a pattern to a workflow that does something about it.
//!
//! - [`catalogue`] holds rules and their workflow templates as data, [`template`] fills them in; [`confidence`] says how
//!   sure a share is. All of it is pure.
//! - [`offers`] makes suggestions behind detection, [`ports`] is where they are kept, [`service`] lists and dismisses
//!   them. Applying one touches workflows too, so that use case lives outside this crate.
//!
//! A suggestion belongs to a rule and a pattern and has an id that follows from both, so nothing is offered twice.

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
