//! Accounts of people: registration, log-in, sessions, passwords, addresses, and what people set for themselves.

mod activation;
mod challenge;
mod failures;
mod links;
mod log_in;
mod passwords;
mod profile;
mod registration;
mod second_factor;
mod sessions;

use std::sync::Arc;

use serde_json::Value;
use tidegate_kernel::{
    Environment, NewJob, Origin, SessionId, Signal, SignalBus, StoreError, SystemScope, Topic, UserId,
};

pub use challenge::{LogIn, PendingLogIn, Proof};
use failures::FailedLogIns;
pub use links::{LinkMails, PublicUrl};
pub use registration::Registration;
pub use second_factor::NewTotp;

use crate::model::{LinkRequest, LiveSession, MailMessage, PasswordHash, Person, SendLink, SendMail};
use crate::ports::{AccountEvent, Directory, DirectoryTx, FactorVault, PasswordHasher, TokenSigner};

/// Accounts and log-in sessions of people.
pub struct Accounts {
    directory: Arc<Directory>,
    system: SystemScope,
    hasher: Arc<dyn PasswordHasher>,
    tokens: Arc<dyn TokenSigner>,
    vault: Arc<dyn FactorVault>,
    signals: Arc<dyn SignalBus>,
    failures: FailedLogIns,
    env: Environment,
}

impl Accounts {
    /// Accounts in `directory`, which `system` opens.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        system: SystemScope,
        hasher: Arc<dyn PasswordHasher>,
        tokens: Arc<dyn TokenSigner>,
        vault: Arc<dyn FactorVault>,
        signals: Arc<dyn SignalBus>,
        env: Environment,
    ) -> Self {
        Self { directory, system, hasher, tokens, vault, signals, failures: FailedLogIns::default(), env }
    }

    async fn begin(&self) -> Result<Box<dyn DirectoryTx>, StoreError> {
        self.directory.begin(&self.system).await
    }

    /// Asks for a mail with a link, in an open transaction.
    async fn send_link(&self, tx: &mut dyn DirectoryTx, request: LinkRequest) -> Result<(), StoreError> {
        let mail = SendLink { at: self.env.now(), request };
        tx.jobs().enqueue(&NewJob::new(&mail)?).await.map(drop)
    }

    /// Locks the person of a session, and looks whether the session is still live: what was cached of it, or was checked
    /// before, may have ended. `None` if it has.
    async fn still(
        &self,
        tx: &mut dyn DirectoryTx,
        live: &LiveSession,
    ) -> Result<Option<(Person, PasswordHash)>, StoreError> {
        let locked = tx.people().lock(live.person.id).await?;
        let is_live = tx.sessions().find_live(live.session.id, self.env.now()).await?.is_some();
        Ok(locked.filter(|_| is_live))
    }

    /// Makes every server forget the person's data and sessions that it has cached.
    fn announce(&self, user: UserId) {
        self.signals.publish(Signal::new(Topic::PersonChanged, &user));
    }

    /// Makes every server read the session again.
    fn announce_end(&self, session: SessionId) {
        self.signals.publish(Signal::new(Topic::SessionRevoked, &session));
    }
}

/// Enqueues a mail to a person.
async fn send_mail(tx: &mut dyn DirectoryTx, person: &Person, message: MailMessage) -> Result<(), StoreError> {
    tx.jobs().enqueue(&NewJob::new(&SendMail::to(person, message))?).await.map(drop)
}

/// Records an event in the log of a person's account.
async fn record(
    tx: &mut dyn DirectoryTx,
    user: UserId,
    action: &'static str,
    details: Value,
    origin: &Origin,
) -> Result<(), StoreError> {
    tx.account_log().record(AccountEvent { user, action, details }, origin).await
}
