//! The contract of payment providers on the manual provider and on Stripe, and what Stripe alone does.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use tidegate_billing::payment::{ManualPayments, PaymentProvider, PaymentRequest, ProviderError};
use tidegate_billing::{Currency, PaymentState};
use tidegate_kernel::{InvoiceId, PaymentId, WorkspaceId};
use tidegate_stripe::{Client, ClientConfig, SecretKey, Stripe};
use tidegate_testing::clock::test_clock;
use tidegate_testing::contract::payment_provider::PaymentProviderContract;
use tidegate_testing::stripe::{Card, FakeStripe, STRIPE_KEY, StripeFault};

fn stripe(url: &str, key: &str) -> Stripe {
    let config = ClientConfig { key: SecretKey::new(key).unwrap(), base: url.parse().unwrap() };
    Stripe::new(Client::new(config).unwrap(), "https://console.example.org/billing".parse().unwrap())
}

macro_rules! obligations {
    ($($obligation:ident)*) => {
        mod manual {
            $(#[tokio::test]
            async fn $obligation() {
                let provider = super::ManualPayments;
                let contract = super::PaymentProviderContract { provider: &provider, enter_card: &|_| {}, charges: &|| 0 };
                contract.$obligation().await;
            })*
        }

        mod on_stripe {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $obligation() {
                let server = super::FakeStripe::start().await;
                let provider = super::stripe(&server.url(), super::STRIPE_KEY);
                let enter_card = |customer: &str| drop(server.add_card(customer, super::Card::Good));
                let charges = || server.charges();
                let contract =
                    super::PaymentProviderContract { provider: &provider, enter_card: &enter_card, charges: &charges };
                contract.$obligation().await;
            })*
        }
    };
}

tidegate_testing::payment_provider_obligations!(obligations);

/// A prepared payment of a customer with a card.
struct Prepared {
    server: FakeStripe,
    provider: Stripe,
    card: String,
    intent: String,
    key: String,
}

impl Prepared {
    async fn with(card: Card) -> Self {
        let (server, env) = (FakeStripe::start().await, test_clock().1);
        let provider = stripe(&server.url(), STRIPE_KEY);
        let customer = provider.customer(WorkspaceId::generate(&env)).await.unwrap();
        let card = server.add_card(&customer, card);
        let request = PaymentRequest {
            payment: PaymentId::generate(&env),
            invoice: InvoiceId::generate(&env),
            attempt: 1,
            number: "INV-000007".to_owned(),
            customer,
            amount: 2261,
            currency: Currency::EUR,
        };
        let intent = provider.prepare(&request).await.unwrap();
        Self { server, provider, card, intent, key: request.key() }
    }

    async fn charge(&self) -> Result<tidegate_billing::payment::ProviderPayment, ProviderError> {
        self.provider.charge(&self.intent, &self.card, &self.key).await
    }
}

#[tokio::test]
async fn a_payment_says_what_it_is_for() {
    let prepared = Prepared::with(Card::Good).await;
    let intent = &prepared.server.intents()[0];
    assert_eq!((&intent["amount"], &intent["currency"]), (&"2261".into(), &"eur".into()));
    assert_eq!(intent["number"], "INV-000007");
}

#[tokio::test]
async fn a_declined_card_is_no_error_and_names_the_reason() {
    let prepared = Prepared::with(Card::Declined).await;
    for _ in 0..2 {
        let said = prepared.charge().await.unwrap();
        assert_eq!((said.state, said.failure.as_deref()), (PaymentState::Failed, Some("insufficient_funds")));
    }
    assert_eq!(prepared.provider.payment(&prepared.intent).await.unwrap().state, PaymentState::Failed);
    assert_eq!(prepared.server.charges(), 0);
}

#[tokio::test]
async fn a_bank_that_wants_the_customer_gives_an_address() {
    let prepared = Prepared::with(Card::NeedsCustomer).await;
    let said = prepared.charge().await.unwrap();
    let address = format!("https://bank.example/{}", prepared.intent);
    assert_eq!((said.state, said.action_url), (PaymentState::RequiresAction, Some(address)));
    prepared.server.finish(&prepared.intent, false);
    let said = prepared.provider.payment(&prepared.intent).await.unwrap();
    let failure = Some("payment_intent_authentication_failure");
    assert_eq!((said.state, said.failure.as_deref(), said.action_url), (PaymentState::Failed, failure, None));
    let prepared = Prepared::with(Card::NeedsCustomer).await;
    prepared.charge().await.unwrap();
    prepared.server.finish(&prepared.intent, true);
    assert_eq!(prepared.provider.payment(&prepared.intent).await.unwrap().state, PaymentState::Succeeded);
    assert_eq!(prepared.provider.cancel(&prepared.intent).await.unwrap().state, PaymentState::Succeeded);
}

#[tokio::test]
async fn a_payment_that_takes_long_is_followed() {
    let prepared = Prepared::with(Card::Slow).await;
    assert_eq!(prepared.charge().await.unwrap().state, PaymentState::Processing);
    assert_eq!(prepared.provider.cancel(&prepared.intent).await.unwrap().state, PaymentState::Processing);
    prepared.server.finish(&prepared.intent, true);
    assert_eq!(prepared.provider.payment(&prepared.intent).await.unwrap().state, PaymentState::Succeeded);
}

#[tokio::test]
async fn lost_answers_and_busy_servers_give_one_charge() {
    let prepared = Prepared::with(Card::Good).await;
    let faults = [StripeFault::LostAnswer, StripeFault::TooManyRequests, StripeFault::InternalError];
    prepared.server.fail_next(&faults);
    assert_eq!(prepared.charge().await.unwrap().state, PaymentState::Succeeded);
    assert_eq!(prepared.server.charges(), 1);
    // After four attempts the caller is told.
    prepared.server.fail_next(&[StripeFault::InternalError; 4]);
    let before = prepared.server.requests();
    assert!(matches!(prepared.provider.payment(&prepared.intent).await, Err(ProviderError::Unavailable(_))));
    assert_eq!(prepared.server.requests() - before, 4);
}

#[tokio::test]
async fn an_answer_that_is_lost_for_good_is_found_later_without_the_key() {
    let prepared = Prepared::with(Card::Good).await;
    prepared.server.fail_next(&[StripeFault::LostAnswer; 4]);
    assert!(matches!(prepared.charge().await, Err(ProviderError::Unavailable(_))));
    // A day later Stripe has forgotten the key, and refuses to charge the payment again.
    let refused = prepared.provider.charge(&prepared.intent, &prepared.card, "another key").await;
    assert!(matches!(refused, Err(ProviderError::Refused(_))), "{refused:?}");
    assert_eq!(prepared.provider.payment(&prepared.intent).await.unwrap().state, PaymentState::Succeeded);
    assert_eq!(prepared.server.charges(), 1);
}

#[tokio::test]
async fn a_wrong_key_can_be_set_right_and_is_not_shown() {
    let server = FakeStripe::start().await;
    let provider = stripe(&server.url(), "sk_live_wrong");
    let error = provider.customer(WorkspaceId::generate(&test_clock().1)).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
    for text in [format!("{provider:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!text.contains("sk_live"), "{text}");
    }
    assert!(SecretKey::new("").is_none() && SecretKey::new("a\nb").is_none());
}

#[tokio::test]
async fn what_is_no_id_is_no_part_of_a_path() {
    let server = FakeStripe::start().await;
    let provider = stripe(&server.url(), STRIPE_KEY);
    for id in ["", "../customers", "pi_1/confirm", "pi_1?x=1", "pi 1"] {
        assert!(matches!(provider.payment(id).await, Err(ProviderError::Refused(_))), "{id:?}");
    }
    assert_eq!(server.requests(), 0);
}
