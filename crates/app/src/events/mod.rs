//! Wires events: ingest, lists, patterns and suggestions, and detection, which consumes the event feed.

mod detection;

use std::sync::Arc;

use tidegate_engine::follower::follow;
use tidegate_events::pattern::Patterns;
use tidegate_events::suggestion::{Catalogue, Suggestions};
use tidegate_events::{EventQuota, Events};
use tidegate_kernel::ScopeIssuer;

use crate::platform::Platform;
use crate::server::StartError;

/// The most events in one transaction on the one connection of the embedded PostgreSQL. Such a transaction takes about
/// ten milliseconds, in which all other work waits.
const EMBEDDED_INGEST: usize = 150;

/// The services of events.
#[derive(Clone)]
pub(crate) struct EventServices {
    /// Ingests events and lists them.
    pub(crate) log: Events,
    /// The patterns that detection has found.
    pub(crate) patterns: Patterns,
    /// The workflows that patterns suggest.
    pub(crate) suggestions: Suggestions,
    /// The rules and templates for suggestions.
    pub(crate) catalogue: Arc<Catalogue>,
}

impl EventServices {
    /// Wires events. `quota` limits how many a workspace may have.
    ///
    /// # Errors
    /// [`StartError::Setting`] if the built-in catalogue of suggestions cannot be read, which is a defect.
    pub(crate) fn wire(platform: &Platform, quota: Arc<dyn EventQuota>) -> Result<Self, StartError> {
        let Platform { store, signals, env, embedded, .. } = platform;
        let log = Events::new(store.clone(), quota, env.clone()).announcing(Arc::clone(signals));
        Ok(Self {
            log: if *embedded { log.in_transactions_of(EMBEDDED_INGEST) } else { log },
            patterns: Patterns::new(store.clone()),
            suggestions: Suggestions::new(store.clone()),
            catalogue: Arc::new(Catalogue::built_in().map_err(StartError::setting)?),
        })
    }

    /// Starts detection.
    pub(crate) fn start(&self, platform: &Platform, issuer: &Arc<ScopeIssuer>) {
        let (catalogue, on, issuer) = (Arc::clone(&self.catalogue), platform.clone(), Arc::clone(issuer));
        platform.supervisor.spawn("detection", "patterns are not found in this process", move || {
            follow(detection::parts(&catalogue, &on, &issuer), on.stopping.clone())
        });
    }
}
