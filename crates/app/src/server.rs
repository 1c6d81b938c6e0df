//! A server: opens its store, wires its services, listens, runs background work, and shuts down without losing work.

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
use crate::http::support::{compression, conditional, envelope, idempotency};
use crate::measures;
use crate::platform::Platform;
use crate::secrets::{MasterSecret, SecretError};
use crate::settings::Settings;
use crate::store::{OpenStore, keep_embedded};
use crate::workers::Workers;

/// The idle timeout of a connection. It is longer than the 60 s of common load balancers, so that a request never
/// arrives on a connection that the server is closing.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error("{0}")]
    Setting(String),
    /// The secret is missing or too short.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The data directory cannot be created or written to.
    #[error("cannot write to the data directory {}: {source}; name another one with --data-dir", path.display())]
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The database cannot be used.
    #[error("the database cannot be used: {0}")]
    Store(String),
    /// Tenants are not isolated in the database; the value lists the violations.
    #[error("refusing to start, because tenants would not be kept apart:\n  {}", .0.join("\n  "))]
    Isolation(Vec<String>),
    /// The server cannot listen on the address: it is taken, or this machine does not have it.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
}

impl StartError {
    /// A setting that cannot be used, or a defect in built-in data.
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

/// Shuts a server down gracefully.
#[derive(Clone)]
pub struct StopHandle {
    server: ServerHandle,
    stopping: CancellationToken,
}

impl StopHandle {
    /// Stops taking work. Returns when the requests under way have been answered or the shutdown timeout is over.
    pub async fn stop(&self) {
        self.stopping.cancel();
        self.server.stop(true).await;
    }
}

impl Application {
    /// Opens the store, wires the services and listens. Requests wait until [`Application::run`] is called.
    ///
    /// # Errors
    /// [`StartError`] if the server cannot start; its text says what to change.
    pub async fn build(settings: &Settings, env: Environment) -> Result<Self, StartError> {
        let mut checked = CheckedSettings::read(settings)?;
        let origins = Origins::new(&settings.cors_origins).map_err(StartError::Setting)?;
        let failed = |source| StartError::Listen { address: settings.listen, source };
        // Connections wait in the backlog of the socket until the server runs.
        let listener = TcpListener::bind(settings.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if settings.is_embedded() {
            make_directory(&settings.data_dir)?;
        }
        let secret = match checked.secret.take() {
            Some(secret) => secret,
            None => MasterSecret::in_directory(&settings.data_dir, &env)?,
        };
        let secret = secret.with_previous(&settings.previous_secrets)?;
        // The recorder must exist before anything records a metric.
        let recorder = measures::recorder();
        let open = OpenStore::open(settings, &env).await?;
        let violations = open.store.isolation_violations().await?;
        if !violations.is_empty() {
            return Err(StartError::Isolation(violations));
        }
        let plans = checked.plans.clone();
        if checked.public_url.is_none() && !settings.is_embedded() {
            tracing::warn!("links in mails lead to http://{address}; set --public-url to the address that people use");
        }
        let (services, workers) =
            Services::wire(settings, checked, address, env, open.store.clone(), &secret, recorder)?;
        services.billing.open(&plans).await?;
        if let Some(redis) = &services.platform.redis
            && let Err(error) = redis.ping().await
        {
            tracing::warn!(%error, "REDIS_URL is set, and each process counts limits and sends signals by itself until Redis answers");
        }
        let server = listen(listener, &services, settings, origins).map_err(failed)?;
        let shutdown_timeout = Duration::from_secs(settings.shutdown_seconds);
        Ok(Self { address, server, services, workers, open, shutdown_timeout, works: settings.role.works() })
    }

    /// The address that it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The services, for tests and for commands that start a server of their own.
    #[must_use]
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// A handle that shuts the server down gracefully.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { server: self.server.handle(), stopping: self.services.platform.stopping.clone() }
    }

    /// Serves requests and runs background work until the server is stopped. Work under way is finished.
    ///
    /// # Errors
    /// An I/O error of the listening socket.
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

/// Creates the data directory if it is missing, and checks that it can be written to.
fn make_directory(directory: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::DataDirectory { path: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(failed)?;
    tempfile::tempfile_in(directory).map(drop).map_err(failed)
}

/// The page that shows the API. It makes no request to other servers, so it works offline and reveals nothing about
/// this server.
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
                let app = app.wrap(from_fn(conditional::middleware)).wrap(from_fn(idempotency::middleware));
                let app = app.wrap(from_fn(fallback::strict)).wrap(from_fn(compression::middleware));
                let app = app.wrap(origins.middleware());
                app.wrap(from_fn(envelope::envelope)).wrap(from_fn(cors::mark_errors))
            })
            .configure(if serves_api { http::routes } else { http::health_routes })
            .into_app()
            .configure(|config| {
                if serves_api {
                    config.service(documentation()).configure(http::pages);
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
