//! Opening the store: on a PostgreSQL server, or on the one embedded in the binary.

use std::time::Duration;

use tidegate_embedded_postgres::{CHECKPOINT, Chore, EmbeddedPostgres, Schedule, VACUUMS_DUE, Wal, maintain};
use tidegate_kernel::Environment;
use tidegate_postgres::migrate::{Schema, newest_version};
use tidegate_postgres::{PgStore, PgStoreConfig};

use crate::server::StartError;
use crate::settings::Settings;

/// The timeout of the checkpoint at shutdown. Without the checkpoint nothing is lost, but the next start takes longer.
const LAST_CHECKPOINT: Duration = Duration::from_secs(10);

/// A store, and the embedded PostgreSQL if it lives in that.
pub(crate) struct OpenStore {
    pub(crate) store: PgStore,
    embedded: Option<EmbeddedPostgres>,
}

impl OpenStore {
    /// Opens the store that the settings name. Only an embedded database is migrated here.
    pub(crate) async fn open(settings: &Settings, env: &Environment) -> Result<Self, StartError> {
        match &settings.database_url {
            Some(url) => {
                let config = PgStoreConfig {
                    engine_url: settings.engine_database_url.clone(),
                    directory_url: settings.directory_database_url.clone(),
                    max_connections: settings.max_connections,
                    ..PgStoreConfig::served(url)
                };
                let store = PgStore::connect(&config, env.clone()).await?;
                let (has, needs) = (store.schema_version().await?, newest_version());
                if has < needs {
                    return Err(StartError::Store(format!(
                        "its schema has come to migration {has} and this program needs {needs}; \
                         run `tidegate migrate up` with MIGRATE_DATABASE_URL"
                    )));
                }
                Ok(Self { store, embedded: None })
            }
            None => Self::open_embedded(settings, env).await,
        }
    }

    async fn open_embedded(settings: &Settings, env: &Environment) -> Result<Self, StartError> {
        // If the user has no writable home directory, this starts the program again, with a cache beside the data.
        tidegate_embedded_postgres::cache::ensure(&settings.data_dir.join("cache")).map_err(|error| {
            StartError::Store(format!("the embedded PostgreSQL has no folder to unpack to: {error}"))
        })?;
        let directory = settings.data_dir.join("postgres");
        let embedded = tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&directory))
            .await
            .map_err(|error| StartError::Store(error.to_string()))?
            .map_err(|error| StartError::Store(error.to_string()))?;
        let broken = |error: tidegate_postgres::migrate::SchemaError| StartError::Store(error.to_string());
        let mut schema = Schema::connect(&embedded.url()).await.map_err(broken)?;
        schema.up().await.map_err(broken)?;
        schema.close().await.map_err(broken)?;
        tracing::info!(
            data_dir = %settings.data_dir.display(),
            "using the embedded PostgreSQL: one process, safe against a crash of it, not against a power cut; set DATABASE_URL for more"
        );
        let store = PgStore::connect(&PgStoreConfig::embedded(embedded.url()), env.clone()).await?;
        Ok(Self { store, embedded: Some(embedded) })
    }

    /// Closes the connections, then the embedded PostgreSQL.
    pub(crate) async fn close(self) {
        if self.embedded.is_some() {
            // Removes the rest of the write-ahead log, so that the next start has nothing to recover.
            let checkpoint = self.store.run_embedded_chore(CHECKPOINT);
            match tokio::time::timeout(LAST_CHECKPOINT, checkpoint).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "no checkpoint before the stop"),
                Err(_) => tracing::warn!("the checkpoint before the stop takes too long; it is left out"),
            }
        }
        self.store.close().await;
        if let Some(embedded) = self.embedded {
            let closed = tokio::task::spawn_blocking(|| embedded.shutdown()).await;
            if let Ok(Err(error)) = closed {
                tracing::warn!(%error, "the embedded PostgreSQL did not stop cleanly; it recovers at the next start");
            }
        }
    }

    /// The write-ahead log of the embedded PostgreSQL, which [`keep_embedded`] maintains.
    pub(crate) fn embedded_wal(&self) -> Option<Wal> {
        self.embedded.as_ref().map(|embedded| embedded.wal().clone())
    }
}

/// Maintains the embedded PostgreSQL, as a server does in the background, for as long as this future is polled.
pub(crate) async fn keep_embedded(store: PgStore, wal: Wal) {
    maintain(
        Schedule::default(),
        || wal.bytes(),
        |chore| {
            let store = store.clone();
            async move {
                match chore {
                    Chore::Checkpoint => store.run_embedded_chore(CHECKPOINT).await,
                    Chore::Vacuum => store.run_embedded_chores(VACUUMS_DUE).await,
                }
            }
        },
    )
    .await;
}
