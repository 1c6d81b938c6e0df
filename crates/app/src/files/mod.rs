//! Wires files: their rows, their objects, and the erasure of objects.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use tidegate_engine::erasure::WorkspaceObjects;
use tidegate_files::object::{ObjectPrefix, ObjectStore};
use tidegate_files::{FileTasks, Files, FilesConfig};
use tidegate_kernel::{ScopeIssuer, Urgency, WorkspaceScope};
use tidegate_object_store::Location;
use tidegate_use_cases::FilesByPlan;

use crate::billing::BillingServices;
use crate::platform::Platform;
use crate::server::StartError;

/// The most objects that one step of an erasure deletes.
const ERASED_AT_ONCE: usize = 500;

/// The services of files. There are none without an object store.
#[derive(Clone)]
pub struct FileServices {
    /// The use cases of files.
    pub(crate) files: Option<Files>,
    /// What is done about files later.
    pub tasks: Option<FileTasks>,
    /// The objects of workspaces, for their erasure.
    pub(crate) erased: Option<Arc<dyn WorkspaceObjects>>,
}

impl FileServices {
    /// Wires files on the object store at `location`, and creates its directory if it is one.
    ///
    /// # Errors
    /// [`StartError::Setting`] if the directory cannot be created.
    pub(crate) fn wire(
        platform: &Platform,
        issuer: &ScopeIssuer,
        billing: &BillingServices,
        location: Option<Location>,
        purge_after: TimeDelta,
    ) -> Result<Self, StartError> {
        let Some(location) = location else { return Ok(Self { files: None, tasks: None, erased: None }) };
        let objects = location.open().map_err(|error| StartError::Setting(format!("OBJECT_STORE_URL: {error}")))?;
        let objects: Arc<dyn ObjectStore> = Arc::new(objects);
        let files = Files::new(
            platform.store.clone(),
            Arc::clone(&objects),
            billing.quota.clone(),
            Arc::new(FilesByPlan::new(billing.plans.clone())),
            FilesConfig { purge_after, ..FilesConfig::default() },
            platform.env.clone(),
        );
        let scope = issuer.system("finishing uploads and purging files").with_urgency(Urgency::Background);
        let tasks = FileTasks::new(files.clone(), platform.store.clone(), Arc::new(scope));
        Ok(Self { files: Some(files), tasks: Some(tasks), erased: Some(Arc::new(ErasedObjects(objects))) })
    }
}

/// Erases the objects of deleted workspaces.
struct ErasedObjects(Arc<dyn ObjectStore>);

#[async_trait]
impl WorkspaceObjects for ErasedObjects {
    async fn erase_some(&self, scope: &WorkspaceScope) -> Result<usize, String> {
        let erased = self.0.delete_some(&ObjectPrefix::workspace(scope), ERASED_AT_ONCE).await;
        erased.map_err(|error| match std::error::Error::source(&error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        })
    }
}
