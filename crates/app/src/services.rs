//! The services of one server by area, and the order in which the areas are wired.

use std::net::SocketAddr;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tidegate_kernel::{Environment, ScopeIssuer};
use tidegate_postgres::PgStore;
use tidegate_tenancy::PublicUrl;
use tidegate_use_cases::{EventsByQuota, NotifyBilling, NotifyQuotas, Owners};

use crate::billing::BillingServices;
use crate::checked::CheckedSettings;
use crate::events::EventServices;
use crate::files::FileServices;
use crate::http::support::cursor::Cursors;
use crate::http::support::lists::Lists;
use crate::jobs::{BillingJobs, JobHandlers, JobServices};
use crate::measures::monitor::Monitor;
use crate::platform::Platform;
use crate::secrets::MasterSecret;
use crate::server::StartError;
use crate::settings::Settings;
use crate::tenancy::{AccessSettings, DEFAULT_ISSUER, TenancyServices};
use crate::workers::Workers;
use crate::workflows::WorkflowServices;

/// The services that handlers use. Nothing in it issues scopes: a handler uses the scope of its caller, and a service
/// that works across tenants got its scope when it was wired.
#[derive(Clone)]
pub struct Services {
    /// Time, the store, signals, and the supervisor of background tasks.
    pub platform: Platform,
    /// People, workspaces and their access rights.
    pub tenancy: TenancyServices,
    /// Events, patterns and suggestions.
    pub(crate) events: EventServices,
    /// Workflows and runs.
    pub(crate) workflows: WorkflowServices,
    /// Plans and usage.
    pub(crate) billing: BillingServices,
    /// Files and their object store.
    pub files: FileServices,
    /// Background jobs and mail.
    pub(crate) jobs: JobServices,
    /// Metrics.
    pub(crate) monitor: Monitor,
    /// Seals and opens the cursors of lists.
    pub(crate) cursors: Cursors,
    /// Cached lists.
    pub(crate) lists: Lists,
}

impl Services {
    /// The composition root: wires the services and the background work. It creates the issuer of scopes, which only
    /// the background work keeps. The server listens on `address`.
    ///
    /// # Errors
    /// [`StartError::Setting`] if a setting cannot be used.
    #[expect(clippy::disallowed_methods, reason = "this is where the program is wired together")]
    pub(crate) fn wire(
        settings: &Settings,
        checked: CheckedSettings,
        address: SocketAddr,
        env: Environment,
        store: PgStore,
        secret: &MasterSecret,
        recorder: PrometheusHandle,
    ) -> Result<(Self, Workers), StartError> {
        let issuer = Arc::new(ScopeIssuer::root());
        let platform = Platform::wire(env, store, checked.redis, settings.is_embedded(), settings.cache)?;
        let charged = checked.payments.provider.collects();
        let billing = BillingServices::wire(
            &platform,
            &issuer,
            checked.plans,
            settings.plan(),
            checked.terms,
            Arc::new(checked.documents),
            checked.payments,
        );
        let quota = &billing.quota;
        let access = AccessSettings {
            limits: checked.limits,
            operators: checked.operators,
            erase_after: checked.erase_after,
            issuer: checked.public_url.as_ref().map_or(DEFAULT_ISSUER, PublicUrl::as_str).to_owned(),
            public_url: checked.public_url.unwrap_or_else(|| PublicUrl::new(&format!("http://{address}"))),
        };
        let tenancy = TenancyServices::wire(&platform, &issuer, secret, access, quota.clone());
        let events = EventServices::wire(&platform, Arc::new(EventsByQuota::new(quota.clone())))?;
        let workflows = WorkflowServices::wire(&platform, &issuer, &events, quota.clone(), checked.outbound)?;
        let files = FileServices::wire(&platform, &issuer, &billing, checked.objects, checked.purge_files_after)?;
        let owners = Owners::new(tenancy.workspaces.clone(), tenancy.members.clone());
        let quotas =
            NotifyQuotas::new(platform.store.clone(), owners.clone(), events.log.clone(), platform.env.clone());
        let notices = NotifyBilling::new(
            platform.store.clone(),
            owners,
            settings.payment_instructions.clone(),
            charged,
            platform.env.clone(),
        );
        let of_billing = BillingJobs {
            subscriptions: billing.subscriptions.clone(),
            overdue: billing.overdue.clone(),
            payments: billing.payments.clone(),
            inbox: billing.inbox.clone(),
            notices,
        };
        let links = tenancy.link_mails.clone();
        let handlers = JobHandlers { links, quotas, files: files.tasks.clone(), billing: of_billing };
        let shards = workflows.shards.clone();
        let jobs = JobServices::wire(&platform, &issuer, shards, checked.retention, checked.smtp, handlers)?;
        let lists = Lists::new(platform.lists.clone(), platform.env.clone());
        let monitor = Monitor::wire(&platform, &issuer, &tenancy, &workflows, &billing, &lists, recorder);
        let cursors = Cursors::new(secret, platform.env.clone());
        let services = Self { platform, tenancy, events, workflows, billing, files, jobs, monitor, cursors, lists };
        Ok((services.clone(), Workers::new(services, issuer)))
    }
}
