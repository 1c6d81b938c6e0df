//! Events: what tenants send, kept once each, in one order per workspace, and read behind the insert.
//!
//! - [`cloud_event`] reads the three HTTP modes of CloudEvents 1.0 and NDJSON; it is pure.
//! - [`model`] is an event as it is stored, [`ports`] what a store of events must do.
//! - [`service`] ingests and lists; requests that add to one workspace at the same time share a commit.
//! - [`pattern`] counts behind the insert what the events show, [`suggestion`] makes workflows of it.

pub mod cloud_event;
pub mod error;
pub mod model;
pub mod pattern;
pub mod ports;
mod queue;
pub mod service;
pub mod suggestion;

pub use error::{IngestError, ListEventsError, ReadEventError};
pub use model::{Allowance, ConsumerName, Event, EventFilter, EventTime, Outcome, Payload, StoredEvent};
pub use ports::{
    Added, Addition, DamagedEvent, EventBacklog, EventConsumers, EventFeed, EventQuota, EventRepository, EventsTx,
    FeedTx, WholeEvents,
};
pub use service::{Events, IngestReport};
