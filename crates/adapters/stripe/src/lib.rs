//! Payments through Stripe: a thin client for the few calls that the port needs.
//!
//! - [`client`] sends requests: the key, the pinned version, idempotency keys, timeouts and retries.
//! - [`provider`] implements the port of the billing domain.
//! - [`webhook`] verifies and reads the notifications of Stripe.
//!
//! A payment is a PaymentIntent, which Stripe charges at most once. It is created without being confirmed, stored, and
//! confirmed then. So the 24 hours for which Stripe keeps an idempotency key do not matter.

pub mod client;
pub mod provider;
pub mod webhook;

pub use client::{Client, ClientConfig, SecretKey};
pub use provider::Stripe;
pub use webhook::{SignatureError, StripeEvent, Webhooks};
