//! Tells the owners of a workspace that a limit of its plan is near or reached: one event and one mail to each.

use std::sync::Arc;

use serde_json::json;
use tidegate_billing::{BillingTx, NotifyQuota, QuotaAlert};
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{Events, EventsTx, Payload};
use tidegate_kernel::{Environment, StoreError, UnitOfWork, WorkspaceScope};
use tidegate_tenancy::{MailMessage, SendMail};

use crate::owners::Owners;

/// The type of the event.
pub const THRESHOLD_EVENT: &str = "tidegate.quota.threshold";

/// The slice of a store for telling of an alert: the alert and its event in one transaction.
pub trait NotifyQuotaTx: BillingTx + EventsTx {}

/// Tells people of alerts.
#[derive(Clone)]
pub struct NotifyQuotas {
    store: Arc<dyn UnitOfWork<dyn NotifyQuotaTx>>,
    owners: Owners,
    events: Events,
    env: Environment,
}

impl NotifyQuotas {
    /// The use case over `store`.
    #[must_use]
    pub fn new(
        store: Arc<dyn UnitOfWork<dyn NotifyQuotaTx>>,
        owners: Owners,
        events: Events,
        env: Environment,
    ) -> Self {
        Self { store, owners, events, env }
    }

    /// Adds the event of an alert and enqueues its mails, unless that was done before. A deleted workspace is told nothing.
    ///
    /// # Errors
    /// [`StoreError`] if nobody was told.
    pub async fn notify(&self, scope: &WorkspaceScope, key: &NotifyQuota) -> Result<(), StoreError> {
        let Some((workspace, owners)) = self.owners.of(scope).await? else { return Ok(()) };
        let mut tx = self.store.begin(scope).await?;
        let Some(alert) = tx.alerts().find(key).await? else { return Ok(()) };
        self.events.record_in(&mut *tx, &event(&alert)).await?;
        if !tx.alerts().mark_notified(key, self.env.now()).await? {
            return Ok(());
        }
        for owner in owners {
            let message = MailMessage::QuotaThreshold {
                workspace: workspace.clone(),
                meter: alert.meter.as_str().replace('_', " "),
                percent: alert.percent,
                used: alert.used,
                limit: alert.limit,
            };
            if let Some(mail) = SendMail::job(&owner, message)? {
                tx.jobs().enqueue(&mail).await?;
            }
        }
        tx.commit().await?;
        self.events.announce(scope);
        Ok(())
    }
}

impl std::fmt::Debug for NotifyQuotas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotifyQuotas").finish_non_exhaustive()
    }
}

fn event(alert: &QuotaAlert) -> NewEvent {
    let QuotaAlert { meter, period_start, percent, used, limit } = alert;
    let id = format!("{meter}:{}:{percent}", period_start.format("%Y-%m-%d"));
    let data = json!({
        "meter": meter.as_str(), "percent": percent, "used": used, "limit": limit, "period_start": period_start,
    });
    let mut event = NewEvent::emitted("/tidegate/quotas".to_owned(), id, THRESHOLD_EVENT.to_owned(), 0);
    event.subject = Some(meter.as_str().to_owned());
    event.data_content_type = Some("application/json".to_owned());
    event.payload = Payload::Json(data.to_string().into());
    event
}
