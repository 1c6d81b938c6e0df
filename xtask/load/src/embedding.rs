//! What a program that embeds the crates brings: the clock, the randomness, and the access layer.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rand::RngCore;
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::{Actor, Clock, Entropy, Environment, PermissionSet, RequestId, ScopeIssuer, WorkspaceScope};
use tidegate_postgres::{PgStore, PgStoreConfig};

use crate::failure::Failure;

struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this program embeds the crates, so it brings the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

impl Entropy for System {
    #[expect(clippy::disallowed_methods, reason = "this program embeds the crates, so it brings the randomness")]
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// A store with what its users need.
pub(crate) struct Embedding {
    pub(crate) store: PgStore,
    pub(crate) bus: Arc<InProcessSignalBus>,
    pub(crate) env: Environment,
    pub(crate) issuer: ScopeIssuer,
}

impl Embedding {
    #[expect(clippy::disallowed_methods, reason = "this program embeds the crates, so it is its own access layer")]
    pub(crate) async fn open(login: &str) -> Result<Self, Failure> {
        let env = Environment::new(Arc::new(System), Arc::new(System));
        let bus = Arc::new(InProcessSignalBus::new());
        let store = PgStore::connect(&PgStoreConfig::served(login), env.clone()).await?.announcing(bus.clone());
        Ok(Self { store, bus, env, issuer: ScopeIssuer::root() })
    }

    /// A scope with every permission in a workspace of this number.
    pub(crate) fn scope(&self, workspace: u128) -> Result<WorkspaceScope, Failure> {
        let request = RequestId::new("bench").ok_or_else(|| Failure::new("no request id"))?;
        let workspace = tidegate_kernel::WorkspaceId::from_uuid(uuid::Uuid::from_u128(workspace + 1));
        Ok(self.issuer.workspace(workspace, Actor::System, PermissionSet::ALL, request))
    }
}
