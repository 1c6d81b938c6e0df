//! Events: what tenants send, kept once each, in one order per workspace, and read behind the insert.
//!
//! - `cloud_event` reads the three HTTP modes of CloudEvents 1.0 and NDJSON; it is pure.
//! - [`model`] is an event as it is stored, [`ports`] what a store of events must do.
//! - `service` ingests and lists.
//! - [`pattern`] counts behind the insert what the events show, [`suggestion`] makes workflows of it.

pub mod error;
pub mod model;
pub mod pattern;
pub mod ports;
pub mod suggestion;

pub use error::ListEventsError;
pub use model::{ConsumerName, Event, EventTime, Payload, StoredEvent};
pub use ports::{EventBacklog, EventConsumers, EventFeed};
