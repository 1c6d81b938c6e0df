//! Wires background jobs: their kinds, their handlers, the runner, and mail.

mod billing;
mod files;
mod mail;
mod quota;

use std::sync::Arc;

use tidegate_billing::NotifyQuota;
use tidegate_engine::OwnedShards;
use tidegate_engine::jobs::{JobKindError, JobKinds, JobOptions, JobQueue, JobRunnerConfig, JobRunnerParts, run_jobs};
use tidegate_engine::upkeep::{self, Retention, UpkeepParts};
use tidegate_files::FileTasks;
use tidegate_kernel::{ScopeIssuer, Urgency};
use tidegate_mail::{SmtpMailer, Texts};
use tidegate_tenancy::{LinkMails, Mailer, SendLink, SendMail};
use tidegate_use_cases::NotifyQuotas;

use crate::platform::Platform;
use crate::server::StartError;
use crate::telemetry::traces;
pub(crate) use billing::BillingJobs;
use mail::{KeptMails, SendMails};
use quota::NotifyOwners;

/// What the handlers of jobs call.
pub(crate) struct JobHandlers {
    /// Makes links in mails.
    pub(crate) links: Arc<LinkMails>,
    /// Tells people that a limit is near.
    pub(crate) quotas: NotifyQuotas,
    /// What is to be done about files, if there is an object store.
    pub(crate) files: Option<FileTasks>,
    /// What the jobs of billing call.
    pub(crate) billing: BillingJobs,
}

/// The services of background jobs.
#[derive(Clone)]
pub(crate) struct JobServices {
    /// The list of background jobs, and what people can do with them.
    pub(crate) queue: Arc<JobQueue>,
    /// Mails that were stored instead of sent.
    pub(crate) kept_mails: Arc<KeptMails>,
    /// The kinds of jobs that this process runs.
    kinds: JobKinds,
    /// The shards that this process owns.
    shards: OwnedShards,
}

impl JobServices {
    /// Wires background jobs. The runner takes jobs from `shards`. Without a mail server, mails are stored, and without
    /// an object store there are no tasks of files.
    ///
    /// # Errors
    /// [`StartError::Setting`] if the built-in texts of mails cannot be read or two kinds have the same name, which is
    /// a defect.
    pub(crate) fn wire(
        platform: &Platform,
        issuer: &ScopeIssuer,
        shards: OwnedShards,
        retention: Retention,
        smtp: Option<SmtpMailer>,
        handlers: JobHandlers,
    ) -> Result<Self, StartError> {
        let Platform { store, env, .. } = platform;
        let kept_mails = Arc::new(KeptMails::new(store.clone(), issuer.system("mails that are kept")));
        let mailer: Arc<dyn Mailer> = match smtp {
            Some(smtp) => Arc::new(smtp),
            None => kept_mails.clone(),
        };
        let texts = Arc::new(Texts::built_in().map_err(StartError::setting)?);
        let mails = SendMails { texts, mailer, links: handlers.links.clone() };
        Ok(Self {
            queue: Arc::new(JobQueue::new(store, issuer.system("jobs of everybody, for operators"), env.clone())),
            kept_mails,
            kinds: kinds(platform, issuer, retention, mails, handlers).map_err(StartError::setting)?,
            shards,
        })
    }

    /// Starts the runner of background jobs.
    pub(crate) fn start(&self, platform: &Platform, issuer: &Arc<ScopeIssuer>) {
        let (jobs, on, issuer) = (self.clone(), platform.clone(), Arc::clone(issuer));
        platform.supervisor.spawn("jobs", "background jobs are not done by this process", move || {
            run_jobs(jobs.parts(&on, &issuer), on.stopping.clone())
        });
    }

    /// The parts of the runner of background jobs.
    fn parts(&self, platform: &Platform, issuer: &ScopeIssuer) -> JobRunnerParts {
        JobRunnerParts {
            store: Arc::new(platform.engine_store()),
            kinds: self.kinds.clone(),
            shards: self.shards.clone(),
            bus: platform.signals.clone(),
            continue_trace: traces::continue_trace,
            env: platform.env.clone(),
            scope: issuer.system("background jobs").with_urgency(Urgency::Background),
            config: JobRunnerConfig::default(),
        }
    }
}

/// Every kind of job that this program runs.
///
/// # Errors
/// [`JobKindError`] if two kinds have the same name, which is a defect.
fn kinds(
    platform: &Platform,
    issuer: &ScopeIssuer,
    retention: Retention,
    mails: SendMails,
    handlers: JobHandlers,
) -> Result<JobKinds, JobKindError> {
    let Platform { store, env, .. } = platform;
    let scope = issuer.system("removing what is old").with_urgency(Urgency::Background);
    let upkeep = UpkeepParts { store: store.clone(), retention, scope: Arc::new(scope), env: env.clone() };
    let JobHandlers { links: _, quotas, files, billing } = handlers;
    let kinds = JobKinds::default()
        .register::<SendMail>(JobOptions::default(), mails.clone())?
        .register::<SendLink>(JobOptions::default(), mails)?
        .register::<NotifyQuota>(JobOptions::default(), NotifyOwners(quotas))?;
    let kinds = billing::register(kinds, billing)?;
    let kinds = files::register(kinds, files)?;
    upkeep::register(kinds, &upkeep)
}
