//! Wires the erasure of deleted workspaces.

use std::sync::Arc;

use tidegate_engine::erasure::{ErasureParts, WorkspaceObjects};
use tidegate_kernel::{ScopeIssuer, Urgency};

use crate::platform::Platform;

/// The parts of the task that erases deleted workspaces.
pub(super) fn parts(
    platform: &Platform,
    issuer: &ScopeIssuer,
    objects: Option<Arc<dyn WorkspaceObjects>>,
) -> ErasureParts {
    ErasureParts {
        store: platform.store.clone(),
        objects,
        env: platform.env.clone(),
        scope: issuer.system("erasing deleted workspaces").with_urgency(Urgency::Background),
        report: |waiting, failed| {
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a double; there are not that many workspaces")]
            let gauge = |state: &'static str, count: u64| {
                metrics::gauge!("workspace_erasures", "state" => state).set(count as f64);
            };
            gauge("waiting", waiting);
            gauge("failed", failed);
        },
    }
}
