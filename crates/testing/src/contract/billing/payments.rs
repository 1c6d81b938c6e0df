//! Payments and customers at providers, with another tenant.

use chrono::{SubsecRound, TimeDelta};
use tidegate_billing::payment::{EventSubject, PaymentEvent};
use tidegate_billing::{Currency, Payment, PaymentState};
use tidegate_kernel::{InvoiceId, PaymentId};

use super::Subject;
use crate::scope::system_scope;

impl Subject {
    fn payment(&self, invoice: InvoiceId, attempt: i32) -> Payment {
        let now = self.env.now().trunc_subsecs(6);
        Payment {
            id: PaymentId::generate(&self.env),
            invoice,
            attempt,
            provider: "contract".into(),
            provider_id: None,
            state: PaymentState::Created,
            amount: 500,
            currency: Currency::EUR,
            failure: None,
            action_url: None,
            credited: 0,
            created_at: now,
            changed_at: now,
        }
    }
}

/// The first customer stays, for each provider and workspace.
pub async fn a_customer_of_a_provider_is_kept(subject: &Subject) {
    let mut tx = subject.tx(subject.ours).await;
    assert_eq!(tx.payments().customer("one").await.expect("it is read"), None);
    for (provider, customer) in [("one", "first"), ("one", "second"), ("two", "third")] {
        tx.payments().insert_customer(provider, customer, subject.env.now()).await.expect("it is stored");
    }
    tx.commit().await.expect("it commits");
    let mut tx = subject.tx(subject.ours).await;
    assert_eq!(tx.payments().customer("one").await.expect("it is read").as_deref(), Some("first"));
    assert_eq!(tx.payments().customer("two").await.expect("it is read").as_deref(), Some("third"));
    drop(tx);
    let mut tx = subject.tx(subject.theirs).await;
    assert_eq!(tx.payments().customer("one").await.expect("it is read"), None);
}

/// An attempt is stored once, also by concurrent callers. It is found and changed in its own workspace.
pub async fn a_payment_belongs_to_its_workspace_and_attempt(subject: &Subject) {
    let invoice = subject.insert(subject.ours, 1).await.id;
    let begin = async |subject: Subject, payment: Payment| {
        let mut tx = subject.tx(subject.ours).await;
        let inserted = tx.payments().insert(&payment).await.expect("an answer");
        tx.commit().await.expect("it commits");
        inserted
    };
    let all: Vec<_> = (0..8).map(|_| tokio::spawn(begin(subject.clone(), subject.payment(invoice, 0)))).collect();
    let mut inserted = 0;
    for one in all {
        inserted += u32::from(one.await.expect("no one fails"));
    }
    assert_eq!(inserted, 1);
    let second = subject.payment(invoice, 1);
    assert!(begin(subject.clone(), second.clone()).await);

    let mut tx = subject.tx(subject.ours).await;
    let attempts = tx.payments().of_invoice(invoice).await.expect("they are read");
    assert_eq!(attempts.iter().map(|payment| payment.attempt).collect::<Vec<_>>(), [0, 1]);
    for id in ["p_1", "p_2"] {
        tx.payments().set_provider_id(second.id, "contract", id).await.expect("it is stored");
    }
    let failed = Payment {
        provider_id: Some("p_1".into()),
        state: PaymentState::Failed,
        failure: Some("declined".into()),
        action_url: Some("https://example.org".into()),
        credited: 500,
        changed_at: second.changed_at + TimeDelta::seconds(1),
        ..second.clone()
    };
    tx.payments().update(&failed).await.expect("it is stored");
    tx.commit().await.expect("it commits");
    let mut tx = subject.tx(subject.ours).await;
    assert_eq!(tx.payments().find(failed.id).await.expect("it is read"), Some(failed.clone()));
    assert_eq!(tx.payments().list(None, 1).await.expect("they are listed"), std::slice::from_ref(&failed));
    assert_eq!(tx.payments().list(Some(failed.id), 9).await.expect("they are listed"), attempts[..1]);
    drop(tx);

    let mut tx = subject.tx(subject.theirs).await;
    assert_eq!(tx.payments().find(failed.id).await.expect("it is read"), None);
    assert_eq!(tx.payments().lock(failed.id).await.expect("it is read"), None);
    assert_eq!(tx.payments().of_invoice(invoice).await.expect("they are read"), []);
    assert_eq!(tx.payments().list(None, 9).await.expect("they are listed"), []);
    tx.payments().update(&Payment { state: PaymentState::Succeeded, ..failed.clone() }).await.expect("an answer");
    tx.commit().await.expect("it commits");
    let mut tx = subject.tx(subject.ours).await;
    assert_eq!(tx.payments().find(failed.id).await.expect("it is read"), Some(failed));
}

/// MUST wait until no other transaction has the payment locked.
pub async fn changes_of_a_payment_wait_for_each_other(subject: &Subject) {
    let invoice = subject.insert(subject.ours, 1).await.id;
    let payment = subject.payment(invoice, 0);
    let mut tx = subject.tx(subject.ours).await;
    assert!(tx.payments().insert(&payment).await.expect("it is stored"));
    tx.commit().await.expect("it commits");
    let id = payment.id;
    let raise = async |subject: Subject, id: PaymentId| {
        let mut tx = subject.tx(subject.ours).await;
        let mut payment = tx.payments().lock(id).await.expect("it is locked").expect("a payment");
        payment.credited += 1;
        tx.payments().update(&payment).await.expect("it is stored");
        tx.commit().await.expect("it commits");
    };
    let all: Vec<_> = (0..8).map(|_| tokio::spawn(raise(subject.clone(), id))).collect();
    for one in all {
        one.await.expect("no one fails");
    }
    let stored = subject.tx(subject.ours).await.payments().find(id).await.expect("it is read");
    assert_eq!(stored.map(|stored| stored.credited), Some(8));
}

/// MUST return true to one of any number of concurrent calls.
pub async fn a_notification_is_received_once(subject: &Subject) {
    let event = PaymentEvent {
        provider: "contract".into(),
        id: subject.ours.to_string(),
        subject: EventSubject::Payment("nothing".into()),
    };
    let receive = async |subject: Subject, event: PaymentEvent| {
        subject.notifications.receive(&system_scope(), &event, subject.env.now()).await.expect("an answer")
    };
    let all: Vec<_> = (0..8).map(|_| tokio::spawn(receive(subject.clone(), event.clone()))).collect();
    let mut received = 0;
    for one in all {
        received += u32::from(one.await.expect("no one fails"));
    }
    assert_eq!(received, 1);
    let of_another = PaymentEvent { provider: "another".into(), ..event };
    assert!(receive(subject.clone(), of_another).await);
}

/// MUST find the workspace by what was stored for it, and nothing else.
pub async fn an_object_of_a_provider_leads_to_its_workspace(subject: &Subject) {
    let invoice = subject.insert(subject.ours, 1).await.id;
    let payment = subject.payment(invoice, 0);
    let name = subject.ours.to_string();
    let mut tx = subject.tx(subject.ours).await;
    assert!(tx.payments().insert(&payment).await.expect("it is stored"));
    tx.payments().set_provider_id(payment.id, "contract", &name).await.expect("it is stored");
    tx.payments().insert_customer("contract", &name, subject.env.now()).await.expect("it is stored");
    tx.commit().await.expect("it commits");
    let locate = async |provider: &str, about: EventSubject| {
        let event = PaymentEvent { provider: provider.into(), id: "unused".into(), subject: about };
        subject.notifications.locate(&system_scope(), &event).await.expect("it is read")
    };
    let found = locate("contract", EventSubject::Payment(name.clone())).await;
    assert_eq!(found, Some((subject.ours, payment.id)));
    let found = locate("contract", EventSubject::Customer(name.clone())).await;
    assert_eq!(found.map(|(workspace, _)| workspace), Some(subject.ours));
    assert_eq!(locate("another", EventSubject::Payment(name.clone())).await, None);
    assert_eq!(locate("contract", EventSubject::Payment(format!("{name}x"))).await, None);
}
