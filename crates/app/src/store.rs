//! Opening the store: a served PostgreSQL, or the one inside the binary.

use tidegate_embedded_postgres::{EmbeddedPostgres, Schedule, maintain};
use tidegate_kernel::Environment;
use tidegate_postgres::migrate::{Schema, newest_version};
use tidegate_postgres::{PgStore, PgStoreConfig};

use crate::server::StartError;
use crate::settings::Settings;

/// A store, and the embedded PostgreSQL where that is what it lives in.
pub(crate) struct OpenStore {
    pub(crate) store: PgStore,
    embedded: Option<EmbeddedPostgres>,
}

impl OpenStore {
    /// Opens what the settings name. Only the embedded one is migrated here.
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
        // Where the user has no home that can be written, this starts the program again, with a cache beside the data.
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

    /// Closes the connections, then the PostgreSQL that is ours.
    pub(crate) async fn close(self) {
        self.store.close().await;
        if let Some(embedded) = self.embedded {
            let closed = tokio::task::spawn_blocking(|| embedded.shutdown()).await;
            if let Ok(Err(error)) = closed {
                tracing::warn!(%error, "the embedded PostgreSQL did not stop cleanly; it recovers at the next start");
            }
        }
    }

    /// Whether the store needs [`keep_embedded`].
    pub(crate) const fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }
}

/// Does for the embedded PostgreSQL what a served one does in the background, for as long as it is polled.
pub(crate) async fn keep_embedded(store: PgStore) {
    maintain(Schedule::default(), |chore| {
        let store = store.clone();
        async move { store.run_embedded_chore(chore.sql()).await }
    })
    .await;
}
