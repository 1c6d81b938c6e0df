//! The background work of a server, area by area. Each task ends by itself when the server stops.

use std::sync::Arc;

use tidegate_kernel::ScopeIssuer;

use crate::{Services, unreadable};

/// The background work of a server.
pub(crate) struct Workers {
    services: Services,
    /// Issues a scope to each task that works across tenants, whenever the task is started.
    issuer: Arc<ScopeIssuer>,
}

impl Workers {
    /// The background work of these services. None of it is started yet.
    pub(crate) const fn new(services: Services, issuer: Arc<ScopeIssuer>) -> Self {
        Self { services, issuer }
    }

    /// Starts the tasks that every server runs, whatever its role.
    pub(crate) fn support(&self) {
        let Services { platform, tenancy, workflows, billing, monitor, .. } = &self.services;
        platform.support();
        tenancy.support(platform);
        workflows.support(platform);
        billing.support(platform);
        monitor.support(platform);
        unreadable::support(platform);
    }

    /// Starts the tasks that work across tenants.
    pub(crate) fn start(&self) {
        let Services { platform, tenancy, events, workflows, files, jobs, .. } = &self.services;
        tenancy.start(platform, &self.issuer, files.erased.clone());
        events.start(platform, &self.issuer);
        workflows.start(platform, &self.issuer);
        jobs.start(platform, &self.issuer);
    }

    /// Writes the counts that are still in memory, after all tasks have ended.
    pub(crate) async fn finish(&self) {
        self.services.tenancy.close().await;
        self.services.billing.close().await;
    }
}
