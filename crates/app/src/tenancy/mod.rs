//! Wires tenancy, and implements its ports: slow password hashes off the async threads, signatures, short-lived caches
//! and rate limits.

mod cached_access;
mod ed25519;
mod erasure;
mod keyring;
pub mod limits;
mod passwords;
mod vault;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tidegate_engine::erasure::{WorkspaceObjects, erase_when_due};
use tidegate_kernel::{CacheFigures, Quota, RequestId, ScopeIssuer, UserId};
use tidegate_tenancy::{
    AccessControl, Accounts, ApiKeys, AuditTrail, LinkMails, Members, PublicUrl, StoredAccess, Workspaces,
};
use tidegate_use_cases::DeleteWorkspace;

pub use cached_access::CachedAccess;
pub use keyring::Keyring;
pub use passwords::Argon2Hasher;
pub use vault::RingVault;

use crate::platform::Platform;
use crate::secrets::MasterSecret;
use limits::{LimitSettings, Limits};

/// The settings of access to workspaces.
pub(crate) struct AccessSettings {
    /// Named rate limits and trusted proxies.
    pub(crate) limits: LimitSettings,
    /// The people who operate the installation.
    pub(crate) operators: HashSet<UserId>,
    /// How long after its deletion a workspace is erased.
    pub(crate) erase_after: TimeDelta,
    /// The issuer and the audience of access tokens.
    pub(crate) issuer: String,
    /// The address under which people reach the installation.
    pub(crate) public_url: PublicUrl,
}

/// The issuer of access tokens of an installation whose address is not set.
pub(crate) const DEFAULT_ISSUER: &str = "tidegate";

/// How often failed log-ins are recorded.
const FAILURES_RECORDED: Duration = Duration::from_secs(1);

/// The services of tenancy.
#[derive(Clone)]
pub struct TenancyServices {
    /// Authenticates and issues scopes.
    pub access: Arc<AccessControl>,
    /// People's accounts and login sessions.
    pub accounts: Arc<Accounts>,
    /// Makes links in mails.
    pub(crate) link_mails: Arc<LinkMails>,
    /// Workspaces.
    pub workspaces: Arc<Workspaces>,
    /// Deletes workspaces.
    pub delete_workspace: DeleteWorkspace,
    /// The members of workspaces.
    pub members: Arc<Members>,
    /// The API keys of workspaces.
    pub api_keys: Arc<ApiKeys>,
    /// The audit logs of workspaces.
    pub audit_trail: Arc<AuditTrail>,
    /// The keys that sign access tokens.
    pub keyring: Arc<Keyring>,
    /// Rate limits.
    pub limits: Arc<Limits>,
    lookup: CachedAccess,
}

impl TenancyServices {
    /// Wires tenancy: `operators` operate the installation, and a deleted workspace is erased after `erase_after`.
    pub(crate) fn wire(
        platform: &Platform,
        issuer: &Arc<ScopeIssuer>,
        secret: &MasterSecret,
        settings: AccessSettings,
        quota: Arc<dyn Quota>,
    ) -> Self {
        let AccessSettings { limits, operators, erase_after, issuer: token_issuer, public_url } = settings;
        let Platform { env, store, signals, .. } = platform;
        let reading = issuer.system("reading signing keys");
        let keyring =
            Arc::new(Keyring::new(store.clone(), reading, secret, token_issuer, signals.clone(), env.clone()));
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
            Arc::new(RingVault::new(secret, env.clone())),
            signals.clone(),
            env.clone(),
        );
        let workspaces = Workspaces::new(access.clone(), store.clone(), store.clone(), signals.clone(), env.clone());
        let members =
            Members::new(store.clone(), store.clone(), issuer.system("naming members"), signals.clone(), env.clone());
        let members = members.limited_by(quota);
        let workspaces = Arc::new(workspaces);
        Self {
            delete_workspace: DeleteWorkspace::new(
                store.clone(),
                workspaces.clone(),
                Arc::clone(signals),
                env.clone(),
                erase_after,
            ),
            access,
            accounts: Arc::new(accounts),
            link_mails: Arc::new(LinkMails::new(
                store.clone(),
                issuer.system("making links of mails"),
                public_url,
                env.clone(),
            )),
            workspaces,
            members: Arc::new(members),
            api_keys: Arc::new(ApiKeys::new(store.clone(), signals.clone(), env.clone())),
            audit_trail: Arc::new(AuditTrail::new(store.clone())),
            keyring,
            limits: Arc::new(Limits::new(platform.rate_limiter(), limits)),
            lookup,
        }
    }

    /// How the caches in front of the store are used.
    pub(crate) fn cache_figures(&self) -> [CacheFigures; 4] {
        self.lookup.figures()
    }

    /// Starts removing cache entries of sessions, keys and memberships when a signal says that they have changed, and
    /// recording failed log-ins. After the server has stopped, [`TenancyServices::close`] records the last ones.
    pub(crate) fn support(&self, platform: &Platform) {
        let (tenancy, stopping) = (self.clone(), platform.stopping.clone());
        platform.supervisor.spawn("failed-log-ins", "failed log-ins are not in the logs of accounts", move || {
            let (tenancy, stopping) = (tenancy.clone(), stopping.clone());
            async move {
                let mut seconds = tokio::time::interval(FAILURES_RECORDED);
                while stopping.run_until_cancelled(seconds.tick()).await.is_some() {
                    tenancy.record_failures().await;
                }
            }
        });
        let (keyring, bus) = (self.keyring.clone(), Arc::clone(&platform.signals));
        let effect = "a retired signing key is refused within seconds, and not at once";
        platform.supervisor.spawn_support("signing-keys", effect, move || {
            let (keyring, bus) = (keyring.clone(), Arc::clone(&bus));
            async move { keyring.follow(&*bus).await }
        });
        let (lookup, bus) = (self.lookup.clone(), Arc::clone(&platform.signals));
        let effect = "what was revoked is felt within a second, and not at once";
        platform.supervisor.spawn_support("access-cache", effect, move || {
            let (lookup, bus) = (lookup.clone(), Arc::clone(&bus));
            async move { lookup.follow(&*bus).await }
        });
    }

    /// Records the last failed log-ins.
    pub(crate) async fn close(&self) {
        self.record_failures().await;
    }

    async fn record_failures(&self) {
        if let Err(error) = self.accounts.record_failures().await {
            tracing::warn!(%error, "failed log-ins were not recorded; trying again with the next ones");
        }
    }

    /// Starts the erasure of deleted workspaces.
    pub(crate) fn start(
        &self,
        platform: &Platform,
        issuer: &Arc<ScopeIssuer>,
        objects: Option<Arc<dyn WorkspaceObjects>>,
    ) {
        let (on, issuer) = (platform.clone(), Arc::clone(issuer));
        platform.supervisor.spawn("erasure", "deleted workspaces are not erased by this process", move || {
            erase_when_due(erasure::parts(&on, &issuer, objects.clone()), on.stopping.clone())
        });
    }
}
