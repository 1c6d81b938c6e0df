//! Everything that handlers and background work share: the domain services and what they were wired with.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tidegate_kernel::{Environment, ScopeIssuer};
use tidegate_postgres::PgStore;
use tokio_util::sync::CancellationToken;

use crate::http::cursor::Cursors;
use crate::secrets::MasterSecret;
use crate::settings::Settings;

/// The wired services of one server.
#[derive(Clone)]
pub struct Services {
    /// Time and randomness.
    pub env: Environment,
    /// The store, for health and pool figures; use cases go through the services.
    pub store: Arc<PgStore>,
    /// Seals and opens cursors.
    pub cursors: Cursors,
    /// Renders the measurements.
    pub metrics: PrometheusHandle,
    /// Issues the scopes of background work.
    pub(crate) issuer: Arc<ScopeIssuer>,
    /// Cancelled when the server stops taking work.
    pub stopping: CancellationToken,
}

impl Services {
    /// Wires the services: the composition root.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the program is wired together")]
    pub fn wire(
        _settings: &Settings,
        env: Environment,
        store: PgStore,
        secret: &MasterSecret,
        metrics: PrometheusHandle,
    ) -> Self {
        let store = Arc::new(store);
        Self {
            cursors: Cursors::new(secret, env.clone()),
            metrics,
            issuer: Arc::new(ScopeIssuer::root()),
            stopping: CancellationToken::new(),
            store,
            env,
        }
    }
}
