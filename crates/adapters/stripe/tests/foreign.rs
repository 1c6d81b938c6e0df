//! The adapter on a foreign server like Stripe, whose address is in `TIDEGATE_TEST_STRIPE`. It has no idempotency keys, no
//! Checkout, and no confirmation with a payment method, so payments are confirmed by the test.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a helper that fails is a test that fails")]

use std::io::{Read, Write};
use std::net::TcpListener;

use chrono::Utc;
use serde_json::Value;
use tidegate_billing::payment::{PaymentProvider, PaymentRequest};
use tidegate_billing::{Currency, PaymentState};
use tidegate_kernel::{InvoiceId, PaymentId, WorkspaceId};
use tidegate_stripe::{Client, ClientConfig, SecretKey, Stripe, StripeEvent, Webhooks};
use tidegate_testing::clock::test_clock;

struct Foreign {
    client: Client,
    provider: Stripe,
    customer: String,
}

impl Foreign {
    async fn new() -> Self {
        let base = std::env::var("TIDEGATE_TEST_STRIPE").unwrap().parse().unwrap();
        let client = Client::new(ClientConfig { key: SecretKey::new("sk_test_12345").unwrap(), base }).unwrap();
        let provider = Stripe::new(client.clone(), "https://console.example.org".parse().unwrap());
        let customer = provider.customer(WorkspaceId::generate(&test_clock().1)).await.unwrap();
        Self { client, provider, customer }
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.client.post(path, form, None).await.unwrap()
    }

    /// Enters a card with this number.
    async fn enter(&self, number: &str) -> String {
        let card =
            [("card[number]", number), ("card[exp_month]", "12"), ("card[exp_year]", "2040"), ("card[cvc]", "123")];
        let form: Vec<_> = std::iter::once(("type", "card")).chain(card).collect();
        let method = self.post("payment_methods", &form).await["id"].as_str().unwrap().to_owned();
        self.post(&format!("payment_methods/{method}/attach"), &[("customer", &self.customer)]).await;
        method
    }

    /// A payment that the test makes with a card; it may be declined.
    async fn pay(&self, method: &str) -> String {
        let form = [("amount", "2261"), ("currency", "eur"), ("customer", &self.customer), ("payment_method", method)];
        let id = self.post("payment_intents", &form).await["id"].as_str().unwrap().to_owned();
        let _ = self.client.post(&format!("payment_intents/{id}/confirm"), &[], None).await;
        id
    }
}

#[tokio::test]
#[ignore = "needs a server like Stripe"]
async fn a_card_is_shown_and_removed() {
    let foreign = Foreign::new().await;
    let provider = &foreign.provider;
    assert_eq!(provider.method(&foreign.customer).await.unwrap(), None);
    let entered = foreign.enter("4242424242424242").await;
    let method = provider.method(&foreign.customer).await.unwrap().unwrap();
    assert_eq!((method.id, method.last4.as_deref(), method.expires), (entered, Some("4242"), Some((2040, 12))));
    provider.remove_methods(&foreign.customer).await.unwrap();
    assert_eq!(provider.method(&foreign.customer).await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs a server like Stripe"]
async fn payments_have_the_states_of_another_implementation() {
    let foreign = Foreign::new().await;
    let env = test_clock().1;
    let request = PaymentRequest {
        payment: PaymentId::generate(&env),
        invoice: InvoiceId::generate(&env),
        attempt: 0,
        number: "INV-000001".to_owned(),
        customer: foreign.customer.clone(),
        amount: 2261,
        currency: Currency::EUR,
    };
    let prepared = foreign.provider.prepare(&request).await.unwrap();
    let state = async |id: &str| foreign.provider.payment(id).await.unwrap();
    assert_eq!(state(&prepared).await.state, PaymentState::Created);
    for _ in 0..2 {
        assert_eq!(foreign.provider.cancel(&prepared).await.unwrap().state, PaymentState::Cancelled);
    }
    let paid = foreign.pay(&foreign.enter("4242424242424242").await).await;
    assert_eq!(state(&paid).await.state, PaymentState::Succeeded);
    assert_eq!(foreign.provider.cancel(&paid).await.unwrap().state, PaymentState::Succeeded);
    let declined = state(&foreign.pay(&foreign.enter("4000000000000341").await).await).await;
    assert_eq!((declined.state, declined.failure.as_deref()), (PaymentState::Failed, Some("card_declined")));
}

#[tokio::test]
#[ignore = "needs a server like Stripe"]
async fn its_notifications_are_verified() {
    let foreign = Foreign::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1/webhooks/stripe", listener.local_addr().unwrap());
    let base = std::env::var("TIDEGATE_TEST_STRIPE").unwrap();
    let form = "secret=whsec_peer&events[]=payment_intent.succeeded&url=".to_owned() + &url;
    let config = reqwest::Client::new().post(format!("{base}/_config/webhooks/tidegate")).body(form);
    let config = config.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    assert!(config.status().is_success());
    let received = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let read = stream.read(&mut chunk).unwrap();
            text.extend_from_slice(&chunk[..read]);
            let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&text[..end]).to_lowercase();
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let length: usize = header("content-length: ").unwrap().parse().unwrap();
            if text.len() >= end + 4 + length {
                stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
                return (header("stripe-signature: ").unwrap(), text[end + 4..].to_vec());
            }
        }
    });
    let paid = foreign.pay(&foreign.enter("4242424242424242").await).await;
    let (signature, body) = tokio::task::spawn_blocking(move || received.join().unwrap()).await.unwrap();
    let secrets = Webhooks::new(vec!["whsec_other".into(), "whsec_peer".into()]);
    assert_eq!(secrets.verify(&signature, &body, Utc::now()), Ok(()));
    assert!(secrets.verify(&signature, &[&body[..], b" "].concat(), Utc::now()).is_err());
    let event = StripeEvent::read(&body).unwrap();
    assert_eq!((event.kind.as_str(), event.payment), ("payment_intent.succeeded", Some(paid)));
}
