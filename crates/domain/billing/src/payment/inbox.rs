//! Notifications of payment providers: stored before they are acknowledged, and handled by a job.
//!
//! A notification names an object, whose present state is read from the provider then. So notifications may come late,
//! twice and in any order. The workspace is found by the provider's id that was stored when Tidegate made the object,
//! never by what the notification says.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Environment, JobPayload, PaymentId, RequestId, StoreError, SystemScope, WorkspaceId};

use super::{FollowPayment, PaymentJobError, Payments};

/// What a notification is about: an object of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", content = "object", rename_all = "snake_case")]
pub enum EventSubject {
    /// The state of a payment has changed.
    Payment(String),
    /// A customer has entered a payment method.
    Customer(String),
}

/// A notification, and the payload of the job that handles it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// The name of the provider.
    pub provider: String,
    /// The provider's id of the notification.
    pub id: String,
    /// What it is about.
    #[serde(flatten)]
    pub subject: EventSubject,
}

impl JobPayload for PaymentEvent {
    const KIND: &'static str = "payment.event";
}

/// Stores notifications, and finds the objects that they are about.
#[async_trait]
pub trait PaymentEvents: Send + Sync {
    /// Stores a notification with the job that handles it. Returns false, and changes nothing, if it was stored before.
    ///
    /// MUST return true to one of any number of concurrent calls.
    ///
    /// # Errors
    /// [`StoreError`] if it may not be stored.
    async fn receive(&self, scope: &SystemScope, event: &PaymentEvent, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// The workspace of an object of a provider, and the payment if it is one; `None` if no workspace has it.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn locate(
        &self,
        scope: &SystemScope,
        event: &PaymentEvent,
    ) -> Result<Option<(WorkspaceId, PaymentId)>, StoreError>;
}

/// Receives and handles notifications.
#[derive(Clone)]
pub struct PaymentInbox {
    store: Arc<dyn PaymentEvents>,
    payments: Payments,
    scope: Arc<SystemScope>,
    env: Environment,
}

impl std::fmt::Debug for PaymentInbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaymentInbox").finish_non_exhaustive()
    }
}

impl PaymentInbox {
    /// The use cases over a store. `scope` is the proof that they may work across tenants.
    #[must_use]
    pub const fn new(
        store: Arc<dyn PaymentEvents>,
        payments: Payments,
        scope: Arc<SystemScope>,
        env: Environment,
    ) -> Self {
        Self { store, payments, scope, env }
    }

    /// Stores a notification that was verified. Returns false if it was stored before.
    ///
    /// # Errors
    /// [`StoreError`] if it may not be stored. The provider must send it again then.
    pub async fn receive(&self, event: &PaymentEvent) -> Result<bool, StoreError> {
        self.store.receive(&self.scope, event, self.env.now()).await
    }

    /// Handles a notification, and returns false if it is about nothing of this installation.
    ///
    /// # Errors
    /// [`PaymentJobError`] if it is to be handled again.
    pub async fn handle(&self, event: &PaymentEvent, request_id: &RequestId) -> Result<bool, PaymentJobError> {
        if event.provider != self.payments.provider() {
            return Ok(false);
        }
        let Some((workspace, payment)) = self.store.locate(&self.scope, event).await? else { return Ok(false) };
        let scope = self.scope.enter(workspace, request_id.clone());
        match event.subject {
            EventSubject::Payment(_) => self.payments.refresh(&scope, &FollowPayment { payment, reads: 0 }).await?,
            EventSubject::Customer(_) => self.payments.charge_open(&scope).await?,
        }
        Ok(true)
    }
}
