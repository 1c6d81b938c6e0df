//! A server: opens its stores, wires its services, listens, works, and stops without losing anything.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{HttpServer, web};
use tidegate_kernel::{Environment, StoreError};
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::AppExt;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::Services;
use crate::checked::CheckedSettings;
use crate::http;
use crate::http::openapi::{self, Rendered};
use crate::http::support::cors::{self, Origins};
use crate::http::support::fallback::{self, KnownPaths};
use crate::http::support::{envelope, idempotency};
use crate::measures;
use crate::platform::Platform;
use crate::secrets::{MasterSecret, SecretError};
use crate::settings::Settings;
use crate::store::{OpenStore, keep_embedded};
use crate::workers::Workers;

/// How long a connection may be idle: longer than the 60 s after which load balancers give theirs up, so that a request never
/// meets a connection that the server is just closing.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error("{0}")]
    Setting(String),
    /// The secret is missing or too short.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The data directory cannot be made or written to.
    #[error("cannot write to the data directory {}: {source}; name another one with --data-dir", path.display())]
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Store(String),
    /// Tenants would not be kept apart.
    #[error("refusing to start, because tenants would not be kept apart:\n  {}", .0.join("\n  "))]
    Isolation(Vec<String>),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What went wrong.
        source: std::io::Error,
    },
}

impl StartError {
    /// A setting that cannot be used, or a defect in what is built in.
    pub(crate) fn setting(error: impl std::fmt::Display) -> Self {
        Self::Setting(error.to_string())
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Self::Store(cause)
    }
}

/// A server that listens and is ready to run.
pub struct Application {
    address: SocketAddr,
    server: Server,
    services: Services,
    workers: Workers,
    open: OpenStore,
    shutdown_timeout: Duration,
    works: bool,
}

/// Asks a server to stop.
#[derive(Clone)]
pub struct StopHandle {
    server: ServerHandle,
    stopping: CancellationToken,
}

impl StopHandle {
    /// Takes no more work, and ends when the requests under way have been answered or their time is over.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.server.stop(true).await;
    }
}

impl Application {
    /// Opens everything and listens; requests wait until [`Application::run`].
    ///
    /// # Errors
    /// [`StartError`] with what to change.
    pub async fn build(settings: &Settings, env: Environment) -> Result<Self, StartError> {
        let mut checked = CheckedSettings::read(settings)?;
        let origins = Origins::new(&settings.cors_origins).map_err(StartError::Setting)?;
        let failed = |source| StartError::Listen { address: settings.listen, source };
        // Connections wait in the queue until the server runs.
        let listener = TcpListener::bind(settings.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if settings.is_embedded() {
            make_directory(&settings.data_dir)?;
        }
        let secret = match checked.secret.take() {
            Some(secret) => secret,
            None => MasterSecret::in_directory(&settings.data_dir, &env)?,
        };
        // Before anything is made that measures.
        let recorder = measures::recorder();
        let open = OpenStore::open(settings, &env).await?;
        let violations = open.store.isolation_violations().await?;
        if !violations.is_empty() {
            return Err(StartError::Isolation(violations));
        }
        let (services, workers) = Services::wire(settings, checked, env, open.store.clone(), &secret, recorder)?;
        if let Some(redis) = &services.platform.redis
            && let Err(error) = redis.ping().await
        {
            tracing::warn!(%error, "REDIS_URL is set, and each process counts limits and sends signals by itself until Redis answers");
        }
        let server = listen(listener, &services, settings, origins).map_err(failed)?;
        let shutdown_timeout = Duration::from_secs(settings.shutdown_seconds);
        Ok(Self { address, server, services, workers, open, shutdown_timeout, works: settings.role.works() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The services, for tests and for commands that bring a server with them.
    #[must_use]
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// What stops it gracefully.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { server: self.server.handle(), stopping: self.services.platform.stopping.clone() }
    }

    /// Serves and works until it is stopped, then lets what is under way finish.
    ///
    /// # Errors
    /// An error of the listening socket.
    pub async fn run(self) -> std::io::Result<()> {
        let Platform { supervisor, stopping, .. } = self.services.platform.clone();
        self.workers.support();
        if self.works {
            self.workers.start();
        }
        if let Some(wal) = self.open.embedded_wal() {
            let (store, stopping) = (self.open.store.clone(), stopping.clone());
            supervisor.spawn("embedded-database", "the embedded PostgreSQL grows and is not vacuumed", move || {
                let (store, wal, stopping) = (store.clone(), wal.clone(), stopping.clone());
                async move { stopping.run_until_cancelled(keep_embedded(store, wal)).await.unwrap_or_default() }
            });
        }
        let result = self.server.await;
        stopping.cancel();
        if tokio::time::timeout(self.shutdown_timeout, supervisor.wait()).await.is_err() {
            tracing::warn!("background work did not end in time; what it held is taken up by the next server");
        }
        self.workers.finish().await;
        supervisor.close().await;
        self.open.close().await;
        result
    }
}

/// Makes the data directory where it is missing, and tries to write into it.
fn make_directory(directory: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::DataDirectory { path: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(failed)?;
    tempfile::tempfile_in(directory).map(drop).map_err(failed)
}

/// The page that shows the API. It asks nobody else, so that it works without a network and tells nobody of this server.
fn documentation() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").config(Config::from("/api/v1/openapi.json").validator_url("none"))
}

fn listen(
    listener: TcpListener,
    services: &Services,
    settings: &Settings,
    origins: Origins,
) -> std::io::Result<Server> {
    let origins = web::Data::new(origins);
    let services = web::Data::new(services.clone());
    let serves_api = settings.role.serves_api();
    let known = if serves_api { KnownPaths::of(&mut openapi::document()) } else { KnownPaths::of_worker() };
    let known = web::Data::new(known);
    let rendered = web::Data::new(Rendered(openapi::json()));
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .into_utoipa_app()
            .app_data(services.clone())
            .app_data(known.clone())
            .app_data(rendered.clone())
            .app_data(origins.clone())
            .map(|app| {
                let app = app.wrap(from_fn(idempotency::middleware)).wrap(from_fn(fallback::strict));
                let app = app.wrap(origins.middleware());
                app.wrap(from_fn(envelope::envelope)).wrap(from_fn(cors::mark_errors))
            })
            .configure(if serves_api { http::routes } else { http::health_routes })
            .into_app()
            .configure(|config| {
                if serves_api {
                    config.service(documentation());
                }
            })
            .default_service(web::to(fallback::fallback))
    });
    Ok(server
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(Duration::from_secs(10))
        .shutdown_timeout(settings.shutdown_seconds)
        .shutdown_signal(std::future::pending())
        .listen(listener)?
        .run())
}
