//! Payments through Stripe over time, with a clock that is set: the use cases on PostgreSQL and a server like Stripe.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;

use chrono::TimeDelta;
use proptest::prelude::*;
use tidegate_billing::catalogue::Catalogue;
use tidegate_billing::invoice::{InvoiceStatus, IssuedInvoice, Party, TaxRate};
use tidegate_billing::ledger::Account;
use tidegate_billing::payment::PaymentJobError;
use tidegate_billing::subscription::{InvoiceTerms, NewSubscription, Status, Subscriptions};
use tidegate_billing::{
    Billing, BillingTx, ChargeInvoice, Currency, FollowPayment, Interval, Payment, PaymentState, Payments,
};
use tidegate_kernel::{PageSize, UnitOfWork, UserId, WorkspaceScope};
use tidegate_stripe::{Client, ClientConfig, SecretKey, Stripe};
use tidegate_testing::TestDatabase;
use tidegate_testing::contract::Stage;
use tidegate_testing::scope::{issuer, request_id, system_scope, workspace_scope};
use tidegate_testing::stripe::{Card, FakeStripe, STRIPE_KEY, StripeFault};

/// What is due of the first invoice: starter for a month.
const DUE: i64 = 1900;

struct Customer {
    database: TestDatabase,
    stage: Stage,
    subscriptions: Subscriptions,
    payments: Payments,
    server: FakeStripe,
    scope: WorkspaceScope,
}

impl Customer {
    /// A customer with a card and an open invoice.
    async fn with(card: Card) -> Self {
        let customer = Self::without_card().await;
        customer.enter(card).await;
        customer
    }

    async fn without_card() -> Self {
        let (database, server) = (TestDatabase::new().await, FakeStripe::start().await);
        let stage = Stage::on(&database).await;
        stage.scene.clock.set("2029-01-01T12:00:00Z".parse().unwrap());
        let (store, env) = (stage.store.clone(), stage.scene.env.clone());
        let catalogue = Catalogue::built_in().unwrap();
        let billing = Billing::new(store.clone(), system_scope(), catalogue.clone(), "free", env.clone());
        billing.open(&catalogue).await.unwrap();
        let rate = TaxRate { ppm: 0, inclusive: false };
        let terms = InvoiceTerms { seller: Party::default(), rate, payment: TimeDelta::days(14) };
        let subscriptions = Subscriptions::new(store.clone(), billing, terms, env.clone()).collecting();
        let config = ClientConfig { key: SecretKey::new(STRIPE_KEY).unwrap(), base: server.url().parse().unwrap() };
        let provider = Stripe::new(Client::new(config).unwrap(), "https://console.example.org".parse().unwrap());
        let payments = Payments::new(store, Arc::new(provider), subscriptions.clone(), env);
        let scope = workspace_scope(stage.scene.ours);
        let (interval, currency, zone) = (Interval::Month, Currency::EUR, "UTC".parse().unwrap());
        let new = NewSubscription { plan: "starter".into(), interval, currency, zone, trial: false };
        assert!(subscriptions.buy(&scope, new).await.unwrap().1);
        Self { database, stage, subscriptions, payments, server, scope }
    }

    async fn enter(&self, card: Card) {
        self.payments.set_up(&self.scope).await.unwrap();
        let _ = self.server.add_card(&self.server.customers()[0], card);
    }

    async fn charge(&self, attempt: i32) -> Result<(), PaymentJobError> {
        let invoice = self.invoice().await.id;
        self.payments.charge(&self.scope, &ChargeInvoice { invoice, attempt }).await
    }

    async fn follow(&self, payment: &Payment) {
        self.payments.follow(&self.scope, &FollowPayment { payment: payment.id, reads: 0 }).await.unwrap();
    }

    /// The first invoice.
    async fn invoice(&self) -> IssuedInvoice {
        self.subscriptions.invoices(&self.scope, None, PageSize::default()).await.unwrap().items.pop().unwrap()
    }

    /// The payments, oldest first.
    async fn list(&self) -> Vec<Payment> {
        let page = self.payments.list(&self.scope, None, PageSize::default()).await.unwrap();
        page.items.into_iter().rev().collect()
    }

    async fn balance(&self, account: Account) -> i64 {
        let mut tx: Box<dyn BillingTx> = self.stage.store.begin(&self.scope).await.unwrap();
        tx.ledger().balance(Currency::EUR, account).await.unwrap()
    }

    async fn status(&self) -> Status {
        self.subscriptions.get(&self.scope).await.unwrap().unwrap().status
    }

    async fn jobs(&self, kind: &str) -> i64 {
        self.database.count(format!("select count(*) from job where kind = '{kind}'")).await
    }

    async fn pay_otherwise(&self) {
        let operator = issuer().operator(UserId::generate(&self.stage.scene.env), request_id());
        let (workspace, invoice) = (self.stage.scene.ours, self.invoice().await.id);
        self.subscriptions.record_payment(&operator, workspace, invoice, Currency::EUR, DUE).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_charges_of_an_invoice_at_once_are_one() {
    let customer = Customer::with(Card::Good).await;
    assert_eq!(customer.jobs("invoice.charge").await, 1, "it is enqueued with the invoice");
    for done in futures::future::join_all((0..20).map(|_| customer.charge(0))).await {
        done.unwrap();
    }
    customer.charge(1).await.unwrap();
    assert_eq!((customer.server.charges(), customer.server.intents().len()), (1, 1));
    assert_eq!(customer.invoice().await.status, InvoiceStatus::Paid);
    let [payment] = &*customer.list().await else { panic!("one payment") };
    assert_eq!((payment.state, payment.credited, payment.amount), (PaymentState::Succeeded, 0, DUE));
    assert_eq!((customer.balance(Account::Cash).await, customer.balance(Account::Receivable).await), (DUE, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_point_gives_one_charge() {
    let mut lost = 0;
    for point in 0..5 {
        let customer = Customer::with(Card::Good).await;
        let mut faults = vec![StripeFault::None; point];
        faults.extend([StripeFault::LostAnswer; 4]);
        customer.server.fail_next(&faults);
        lost += u32::from(customer.charge(0).await.is_err());
        for _ in 0..2 {
            customer.charge(0).await.unwrap();
        }
        assert_eq!((customer.server.charges(), customer.server.intents().len()), (1, 1), "{point}");
        assert_eq!((customer.balance(Account::Cash).await, customer.balance(Account::Receivable).await), (DUE, 0));
    }
    assert_eq!(lost, 3, "the card is read, the payment is prepared and charged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_is_dunned_and_another_one_pays() {
    let customer = Customer::with(Card::Declined).await;
    customer.charge(0).await.unwrap();
    let [payment] = &*customer.list().await else { panic!("one payment") };
    assert_eq!((payment.state, payment.failure.as_deref()), (PaymentState::Failed, Some("insufficient_funds")));
    assert!(matches!(customer.status().await, Status::PastDue { retries: 0, .. }));
    for attempt in 0..2 {
        customer.charge(0).await.unwrap();
        assert_eq!(customer.list().await.len(), 1, "attempt {attempt} has ended");
    }
    customer.stage.scene.clock.advance(TimeDelta::days(1));
    customer.subscriptions.wake(&customer.scope).await.unwrap();
    assert_eq!(customer.jobs("invoice.charge").await, 2, "the next attempt is enqueued");
    customer.charge(1).await.unwrap();
    assert_eq!(customer.list().await.len(), 2);
    customer.enter(Card::Good).await;
    customer.payments.charge_open(&customer.scope).await.unwrap();
    assert_eq!(customer.jobs("invoice.charge").await, 3);
    customer.charge(2).await.unwrap();
    assert_eq!((customer.status().await, customer.server.charges()), (Status::Active, 1));
    let states: Vec<_> = customer.list().await.iter().map(|payment| payment.state).collect();
    assert_eq!(states, [PaymentState::Failed, PaymentState::Failed, PaymentState::Succeeded]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_wants_the_customer_is_waited_for_and_replaced_by_the_next_attempt() {
    let customer = Customer::with(Card::NeedsCustomer).await;
    customer.charge(0).await.unwrap();
    let [waiting] = &*customer.list().await else { panic!("one payment") };
    assert_eq!(waiting.state, PaymentState::RequiresAction);
    assert!(waiting.action_url.as_deref().unwrap().starts_with("https://bank.example/"));
    assert!(matches!(customer.status().await, Status::PastDue { retries: 0, .. }));
    let told = "select count(*) from job where kind = 'subscription.notify'
                and convert_from(payload, 'UTF8') like '%https://bank.example/%'";
    assert_eq!(customer.database.count(told.to_owned()).await, 1);
    assert_eq!(customer.jobs("payment.follow").await, 1);
    customer.follow(waiting).await;

    customer.charge(1).await.unwrap();
    let states: Vec<_> = customer.list().await.iter().map(|payment| payment.state).collect();
    assert_eq!(states, [PaymentState::Cancelled, PaymentState::RequiresAction]);
    let second = customer.list().await.pop().unwrap();
    customer.server.finish(second.provider_id.as_deref().unwrap(), true);
    customer.follow(&second).await;
    assert_eq!((customer.status().await, customer.invoice().await.status), (Status::Active, InvoiceStatus::Paid));
    customer.charge(2).await.unwrap();
    assert_eq!(customer.list().await.len(), 2, "it is paid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_for_what_was_paid_otherwise_becomes_credit() {
    let customer = Customer::with(Card::Slow).await;
    customer.charge(0).await.unwrap();
    assert_eq!(customer.status().await, Status::Active, "it is not due yet");
    customer.pay_otherwise().await;
    let [payment] = &*customer.list().await else { panic!("one payment") };
    customer.server.finish(payment.provider_id.as_deref().unwrap(), true);
    for _ in 0..2 {
        customer.follow(payment).await;
    }
    let [payment] = &*customer.list().await else { panic!("one payment") };
    assert_eq!((payment.state, payment.credited), (PaymentState::Succeeded, DUE));
    let balances = [Account::Cash, Account::Receivable, Account::CustomerCredit];
    let [cash, receivable, credit] = balances.map(|account| customer.balance(account));
    assert_eq!((cash.await, receivable.await, credit.await), (2 * DUE, 0, -DUE));
    // The next invoice uses it.
    customer.stage.scene.clock.set("2029-02-01T00:00:01Z".parse().unwrap());
    customer.subscriptions.wake(&customer.scope).await.unwrap();
    assert_eq!(customer.balance(Account::CustomerCredit).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_of_a_deleted_workspace_is_recorded() {
    let customer = Customer::with(Card::Slow).await;
    customer.charge(0).await.unwrap();
    customer.database.run("update workspace set deleted_at = now()".to_owned()).await;
    let [payment] = &*customer.list().await else { panic!("one payment") };
    customer.server.finish(payment.provider_id.as_deref().unwrap(), true);
    customer.follow(payment).await;
    assert_eq!((customer.balance(Account::Cash).await, customer.balance(Account::Receivable).await), (DUE, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_card_nothing_is_charged() {
    let customer = Customer::without_card().await;
    customer.charge(0).await.unwrap();
    customer.enter(Card::Good).await;
    customer.payments.remove_method(&customer.scope).await.unwrap();
    customer.charge(0).await.unwrap();
    assert_eq!((customer.list().await.len(), customer.server.intents().len()), (0, 0));
    assert_eq!(customer.invoice().await.status, InvoiceStatus::Open);
}

/// What can happen in any order.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The provider is read, as after each of its notifications.
    Follow,
    /// The job runs again.
    Charge,
    /// The provider finishes the payment.
    Finish(bool),
    /// An operator records a bank transfer.
    Otherwise,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Follow),
        2 => Just(Step::Charge),
        2 => any::<bool>().prop_map(Step::Finish),
        1 => Just(Step::Otherwise),
    ];
    prop::collection::vec(step, 1..12)
}

async fn holds(card: Card, steps: Vec<Step>) {
    let customer = Customer::with(card).await;
    customer.charge(0).await.unwrap();
    let payment = customer.list().await.remove(0);
    let prepared = payment.provider_id.clone().unwrap();
    let (mut finished, mut otherwise) = (false, false);
    for step in steps {
        match step {
            Step::Follow => customer.follow(&payment).await,
            Step::Charge => customer.charge(0).await.unwrap(),
            Step::Finish(succeeds) if !finished => {
                finished = true;
                customer.server.finish(&prepared, succeeds);
            }
            Step::Otherwise if !otherwise && customer.invoice().await.status == InvoiceStatus::Open => {
                otherwise = true;
                customer.pay_otherwise().await;
            }
            Step::Finish(_) | Step::Otherwise => {}
        }
    }
    // Its last notification.
    customer.follow(&payment).await;
    let intents = customer.server.intents();
    let state = match intents[0]["status"].as_str().unwrap() {
        "succeeded" => PaymentState::Succeeded,
        "processing" => PaymentState::Processing,
        "requires_action" => PaymentState::RequiresAction,
        _ => PaymentState::Failed,
    };
    assert_eq!(customer.list().await[0].state, state, "it is what the provider says in the end");
    let charges = i64::try_from(customer.server.charges()).unwrap();
    let paid = charges + i64::from(otherwise);
    assert_eq!(customer.balance(Account::Cash).await, DUE * paid);
    assert_eq!(customer.balance(Account::Receivable).await, if paid > 0 { 0 } else { DUE });
    assert_eq!(customer.balance(Account::CustomerCredit).await, -DUE * (paid - 1).max(0));
    assert_eq!(customer.list().await.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn notifications_in_any_order_and_twice_give_what_the_provider_says(
        card in prop::sample::select(vec![Card::Slow, Card::NeedsCustomer]),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(holds(card, steps));
    }
}
