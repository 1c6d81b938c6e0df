//! Events: tenants send them; each is stored once, in one order per workspace, and consumers read them after the
//! commit.
//!
//! - [`cloud_event`] parses the three HTTP modes of CloudEvents 1.0 and NDJSON; it is pure.
//! - [`model`] has the stored form of an event, [`ports`] the obligations of a store of events.
//! - [`service`] ingests and lists events. Concurrent requests to one workspace share a commit.
//! - [`pattern`] counts regularities in events, and [`suggestion`] derives workflows from them.

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
