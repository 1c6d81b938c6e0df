//! Obligations of payment providers. One that does not collect must refuse everything.

use tidegate_billing::payment::{PaymentProvider, PaymentRequest, ProviderError};
use tidegate_billing::{Currency, PaymentState};
use tidegate_kernel::{Environment, InvoiceId, PaymentId, WorkspaceId};

use crate::clock::test_clock;

/// A provider, and what a test can do in place of a customer.
pub struct PaymentProviderContract<'a> {
    /// The provider.
    pub provider: &'a dyn PaymentProvider,
    /// Enters a card that pays for a customer.
    pub enter_card: &'a (dyn Fn(&str) + Sync),
    /// How often money was taken.
    pub charges: &'a (dyn Fn() -> usize + Sync),
}

impl std::fmt::Debug for PaymentProviderContract<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaymentProviderContract").finish_non_exhaustive()
    }
}

fn env() -> Environment {
    test_clock().1
}

/// A payment of one euro.
fn request(customer: &str, invoice: InvoiceId, attempt: i32) -> PaymentRequest {
    PaymentRequest {
        payment: PaymentId::from_uuid(invoice.as_uuid()),
        invoice,
        attempt,
        number: "INV-000001".to_owned(),
        customer: customer.to_owned(),
        amount: 100,
        currency: Currency::EUR,
    }
}

impl PaymentProviderContract<'_> {
    /// A provider that does not collect MUST refuse everything.
    pub async fn what_does_not_collect_refuses_everything(&self) {
        assert!(!self.provider.name().is_empty());
        if self.provider.collects() {
            return;
        }
        let refused = Some(ProviderError::Unsupported);
        assert_eq!(self.provider.customer(WorkspaceId::generate(&env())).await.err(), refused);
        assert_eq!(self.provider.set_up("c").await.err(), refused);
        assert_eq!(self.provider.method("c").await.err(), refused);
        assert_eq!(self.provider.remove_methods("c").await.err(), refused);
        let request = request("c", InvoiceId::generate(&env()), 0);
        assert_eq!(self.provider.prepare(&request).await.err(), refused);
        assert_eq!(self.provider.charge("p", "m", "k").await.err(), refused);
        assert_eq!(self.provider.payment("p").await.err(), refused);
        assert_eq!(self.provider.cancel("p").await.err(), refused);
    }

    /// MUST return the same customer again, and another one for another workspace.
    pub async fn a_workspace_has_one_customer(&self) {
        if !self.provider.collects() {
            return;
        }
        let (ours, theirs) = (WorkspaceId::generate(&env()), WorkspaceId::generate(&env()));
        let first = self.provider.customer(ours).await.expect("a customer");
        assert_eq!(self.provider.customer(ours).await.expect("a customer"), first);
        assert_ne!(self.provider.customer(theirs).await.expect("a customer"), first);
    }

    /// The newest payment method is charged; all are removed.
    pub async fn a_payment_method_is_entered_and_removed(&self) {
        if !self.provider.collects() {
            return;
        }
        let customer = self.provider.customer(WorkspaceId::generate(&env())).await.expect("a customer");
        assert!(self.provider.set_up(&customer).await.expect("a page").url.starts_with("http"));
        assert_eq!(self.provider.method(&customer).await.expect("an answer"), None);
        self.provider.remove_methods(&customer).await.expect("nothing is left");
        (self.enter_card)(&customer);
        let first = self.provider.method(&customer).await.expect("an answer").expect("a card");
        (self.enter_card)(&customer);
        let second = self.provider.method(&customer).await.expect("an answer").expect("a card");
        assert_ne!(first.id, second.id);
        for _ in 0..2 {
            self.provider.remove_methods(&customer).await.expect("they are removed");
            assert_eq!(self.provider.method(&customer).await.expect("an answer"), None);
        }
    }

    /// MUST NOT charge what is only prepared, and MUST charge once however often it is asked.
    pub async fn a_payment_is_charged_once(&self) {
        if !self.provider.collects() {
            return;
        }
        let customer = self.provider.customer(WorkspaceId::generate(&env())).await.expect("a customer");
        (self.enter_card)(&customer);
        let method = self.provider.method(&customer).await.expect("an answer").expect("a card");
        let request = request(&customer, InvoiceId::generate(&env()), 0);
        let before = (self.charges)();
        let prepared = self.provider.prepare(&request).await.expect("it is prepared");
        assert_eq!(self.provider.prepare(&request).await.expect("it is prepared"), prepared);
        let state = async || self.provider.payment(&prepared).await.expect("it is read").state;
        assert_eq!((state().await, (self.charges)()), (PaymentState::Created, before));
        let key = request.key();
        let all = (0..20).map(|_| self.provider.charge(&prepared, &method.id, &key));
        for said in futures::future::join_all(all).await {
            assert_eq!(said.expect("it is charged").state, PaymentState::Succeeded);
        }
        assert_eq!((state().await, (self.charges)()), (PaymentState::Succeeded, before + 1));
        let said = self.provider.cancel(&prepared).await.expect("its state");
        assert_eq!(said.state, PaymentState::Succeeded, "it is too late");
    }

    /// MUST NOT charge what was cancelled.
    pub async fn a_cancelled_payment_is_not_charged(&self) {
        if !self.provider.collects() {
            return;
        }
        let customer = self.provider.customer(WorkspaceId::generate(&env())).await.expect("a customer");
        (self.enter_card)(&customer);
        let method = self.provider.method(&customer).await.expect("an answer").expect("a card");
        let request = request(&customer, InvoiceId::generate(&env()), 3);
        let (before, prepared) = ((self.charges)(), self.provider.prepare(&request).await.expect("it is prepared"));
        for _ in 0..2 {
            let said = self.provider.cancel(&prepared).await.expect("it is cancelled");
            assert_eq!(said.state, PaymentState::Cancelled);
        }
        let refused = self.provider.charge(&prepared, &method.id, &request.key()).await;
        assert!(matches!(refused, Err(ProviderError::Refused(_))), "{refused:?}");
        assert_eq!((self.charges)(), before);
    }
}

/// Hands the names of the obligations to a macro.
#[macro_export]
macro_rules! payment_provider_obligations {
    ($tests:ident) => {
        $tests! {
            what_does_not_collect_refuses_everything
            a_workspace_has_one_customer
            a_payment_method_is_entered_and_removed
            a_payment_is_charged_once
            a_cancelled_payment_is_not_charged
        }
    };
}
