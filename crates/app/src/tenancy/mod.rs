//! What tenancy needs from the machine: slow hashes off the async threads, signatures, short-lived caches, limits; and
//! how its services are wired.

mod cached_access;
mod ed25519;
mod keyring;
pub mod limits;
mod passwords;

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_kernel::{CacheFigures, Environment, RequestId, ScopeIssuer, SignalBus, UserId};
use tidegate_postgres::PgStore;
use tidegate_tenancy::{AccessControl, Accounts, ApiKeys, AuditTrail, Members, StoredAccess, Workspaces};

pub use cached_access::CachedAccess;
pub use keyring::Keyring;
pub use passwords::Argon2Hasher;

use crate::secrets::MasterSecret;
use crate::supervisor::Supervisor;
use limits::Limits;

/// Tenancy, wired.
#[derive(Clone)]
pub struct Tenancy {
    /// Gives out scopes.
    pub access: Arc<AccessControl>,
    /// People's accounts and log-ins.
    pub accounts: Arc<Accounts>,
    /// Workspaces.
    pub workspaces: Arc<Workspaces>,
    /// Their members.
    pub members: Arc<Members>,
    /// Their API keys.
    pub api_keys: Arc<ApiKeys>,
    /// Their audit logs.
    pub audit_trail: Arc<AuditTrail>,
    /// The keys that sign access tokens.
    pub keyring: Arc<Keyring>,
    /// How often something may be tried.
    pub limits: Arc<Limits>,
    lookup: CachedAccess,
}

impl Tenancy {
    /// Wires tenancy on a store.
    #[must_use]
    pub fn wire(
        limits: Limits,
        operators: HashSet<UserId>,
        env: &Environment,
        store: &Arc<PgStore>,
        secret: &MasterSecret,
        issuer: &Arc<ScopeIssuer>,
        signals: &Arc<dyn SignalBus>,
    ) -> Self {
        let keyring = Arc::new(Keyring::new(store.clone(), issuer.system("reading signing keys"), secret, env.clone()));
        #[expect(clippy::expect_used, reason = "the text is a request id")]
        let lookups = RequestId::new("authentication").expect("the text is a request id");
        let stored =
            StoredAccess::new(issuer.clone(), store.clone(), store.clone(), store.clone(), lookups, env.clone());
        let lookup = CachedAccess::new(Arc::new(stored));
        let access = AccessControl::new(issuer.clone(), Arc::new(lookup.clone()), keyring.clone(), env.clone());
        let access = Arc::new(access.operated_by(operators));
        let hasher = Arc::new(Argon2Hasher::new(env.clone()));
        let accounts = Accounts::new(
            store.clone(),
            issuer.system("logging people in"),
            hasher,
            keyring.clone(),
            signals.clone(),
            env.clone(),
        );
        let workspaces = Workspaces::new(access.clone(), store.clone(), store.clone(), signals.clone(), env.clone());
        let members =
            Members::new(store.clone(), store.clone(), issuer.system("naming members"), signals.clone(), env.clone());
        Self {
            access,
            accounts: Arc::new(accounts),
            workspaces: Arc::new(workspaces),
            members: Arc::new(members),
            api_keys: Arc::new(ApiKeys::new(store.clone(), signals.clone(), env.clone())),
            audit_trail: Arc::new(AuditTrail::new(store.clone())),
            keyring,
            limits: Arc::new(limits),
            lookup,
        }
    }

    /// How the caches in front of the store are used.
    pub(crate) fn cache_figures(&self) -> [CacheFigures; 4] {
        self.lookup.figures()
    }

    /// Has what is kept of sessions, keys and memberships dropped as soon as `bus` says that it has changed.
    pub(crate) fn follow(&self, bus: &Arc<dyn SignalBus>, supervisor: &Supervisor) {
        let (lookup, bus) = (self.lookup.clone(), Arc::clone(bus));
        supervisor.spawn_support(
            "access-cache",
            "what was revoked is felt within a second, and not at once",
            move || {
                let (lookup, bus) = (lookup.clone(), Arc::clone(&bus));
                async move { lookup.follow(&*bus).await }
            },
        );
    }
}
