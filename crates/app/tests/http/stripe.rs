//! Servers whose payment provider is like Stripe, and its notifications.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tidegate_testing::stripe::{FakeStripe, STRIPE_KEY};
use tidegate_testing::{TestClock, TestDatabase, environment};

use crate::object_home::ObjectHome;
use crate::support::TestApp;

/// The secret with which the notifications of Stripe are signed.
pub const WEBHOOK_SECRET: &str = "whsec_of_the_tests";

/// The signature of a notification of Stripe at this time.
pub fn stripe_signature(secret: &str, time: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{time}.{body}").as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={time},v1={digits}")
}

/// The flags of a server whose payment provider is at this address.
pub fn flags(api: Option<&str>) -> Vec<&str> {
    let Some(api) = api else { return Vec::new() };
    let mut flags = vec!["--payment-provider", "stripe", "--stripe-secret-key", STRIPE_KEY, "--stripe-api-url", api];
    flags.extend(["--stripe-webhook-secret", WEBHOOK_SECRET]);
    flags.extend(["--payment-return-url", "https://console.example.org/billing"]);
    flags
}

impl TestApp {
    /// A server whose object store is an S3 server and whose payment provider is like Stripe, with further flags.
    pub async fn spawn_with_everything(flags: &[&str]) -> Self {
        let database = Arc::new(TestDatabase::new().await);
        let url = database.url().to_owned();
        let (objects, stripe) = (ObjectHome::s3().await, Some(Arc::new(FakeStripe::start().await)));
        Self::start(database, objects, &url, flags, tidegate::system::environment(), stripe).await
    }

    /// A server that uses this clock, whose payment provider is like Stripe.
    pub async fn spawn_with_stripe_at(clock: Arc<TestClock>) -> Self {
        let database = Arc::new(TestDatabase::new().await);
        let url = database.url().to_owned();
        let stripe = Some(Arc::new(FakeStripe::start().await));
        let env = environment(clock, RandomState::new().hash_one(0));
        Self::start(database, ObjectHome::directory(), &url, &[], env, stripe).await
    }

    /// The payment provider.
    pub fn stripe(&self) -> &FakeStripe {
        self.stripe.as_deref().expect("the server has a payment provider")
    }
}
