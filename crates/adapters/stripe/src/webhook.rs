//! The notifications of Stripe: their signatures and their content.
//!
//! The header `Stripe-Signature` has a time `t` and signatures `v1`: HMAC-SHA256 of `t`, a full stop and the raw body
//! (<https://docs.stripe.com/webhooks#verify-manually>). Several secrets are valid while one replaces another.

use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

/// How far the time of a signature may be from now, before or after it.
const TOLERANCE: TimeDelta = TimeDelta::seconds(300);

/// The most signatures of a header that are looked at.
const MAX_SIGNATURES: usize = 16;

/// Why a notification is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header has no time, two, or no signature.
    #[error("the header Stripe-Signature has no time and no signature v1")]
    Malformed,
    /// The time is too far from now.
    #[error("the time of the signature is more than 5 minutes from now")]
    Stale,
    /// No signature is right.
    #[error("no signature is right")]
    Wrong,
}

/// What a notification is about. Its content is not trusted to be the newest: the object is read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeEvent {
    /// The id of the event. Stripe sends an event again with the same id.
    pub id: String,
    /// The type, such as `payment_intent.succeeded`.
    pub kind: String,
    /// The id of the PaymentIntent, if it is about one.
    pub payment: Option<String>,
    /// The id of the customer who has entered a payment method.
    pub set_up: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    customer: Option<String>,
}

impl StripeEvent {
    /// Reads an event.
    ///
    /// # Errors
    /// An error of `serde_json` if the body is none.
    pub fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let Envelope { id, kind, data: Data { object } } = serde_json::from_slice(body)?;
        let payment = object.id.filter(|_| kind.starts_with("payment_intent."));
        let set_up = object.customer.filter(|_| kind == "setup_intent.succeeded");
        Ok(Self { id, kind, payment, set_up })
    }
}

/// The secrets with which notifications are signed.
#[derive(Clone)]
pub struct Webhooks(Vec<String>);

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhooks({} secrets)", self.0.len())
    }
}

impl Webhooks {
    /// Notifications that are signed with one of these secrets.
    #[must_use]
    pub const fn new(secrets: Vec<String>) -> Self {
        Self(secrets)
    }

    /// Verifies that a body comes from Stripe and is new.
    ///
    /// # Errors
    /// [`SignatureError`] says why not.
    pub fn verify(&self, header: &str, body: &[u8], now: DateTime<Utc>) -> Result<(), SignatureError> {
        let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
        let mut times = parts().filter(|(name, _)| *name == "t").map(|(_, time)| time);
        let (Some(time), None) = (times.next(), times.next()) else { return Err(SignatureError::Malformed) };
        let seconds = time.parse().ok().filter(|_| time.bytes().all(|byte| byte.is_ascii_digit()));
        let at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).ok_or(SignatureError::Malformed)?;
        let signatures: Vec<[u8; 32]> = parts()
            .filter(|(name, _)| *name == "v1")
            .take(MAX_SIGNATURES)
            .filter_map(|(_, signature)| unhex(signature))
            .collect();
        if signatures.is_empty() {
            return Err(SignatureError::Malformed);
        }
        let mut right = false;
        for secret in &self.0 {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { continue };
            mac.update(time.as_bytes());
            mac.update(b".");
            mac.update(body);
            for signature in &signatures {
                // Compares in constant time.
                right |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        if !right {
            return Err(SignatureError::Wrong);
        }
        if (now - at).abs() > TOLERANCE { Err(SignatureError::Stale) } else { Ok(()) }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_tidegate_test_1";
    const OTHER: &str = "whsec_tidegate_test_2";
    const BODY: &[u8] = "{\"id\":\"evt_1\",\"type\":\"payment_intent.succeeded\",\"data\":{\"object\":{\"id\":\"pi_1\",\"note\":\"ü\"}}}\n".as_bytes();
    const TIME: i64 = 1_900_000_000;
    /// Computed by Python: `hmac.new(secret, b"1900000000." + body, hashlib.sha256).hexdigest()`.
    const OF_SECRET: &str = "facab67094401e713a465e5e3ace3619297106fd0d86aa1976fe2b73207b400c";
    const OF_OTHER: &str = "f89a696275dd13bb1d2560bab5f533ff00bb2e7da7a9dd077ab9bd84888acada";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn verify(header: &str, seconds: i64) -> Result<(), SignatureError> {
        Webhooks::new(vec![SECRET.into(), OTHER.into()]).verify(header, BODY, at(seconds))
    }

    #[test]
    fn signatures_are_those_of_another_implementation() {
        for signature in [OF_SECRET, OF_OTHER] {
            assert_eq!(verify(&format!("t={TIME},v1={signature}"), TIME), Ok(()));
        }
        let wrong = "0".repeat(64);
        assert_eq!(verify(&format!("t={TIME},v0=ff,v1={wrong}, v1={OF_OTHER}"), TIME), Ok(()), "one is enough");
        assert_eq!(verify(&format!("t={TIME},v1={wrong}"), TIME), Err(SignatureError::Wrong));
        assert_eq!(verify(&format!("t={},v1={OF_SECRET}", TIME + 1), TIME), Err(SignatureError::Wrong));
        let one = Webhooks::new(vec![OTHER.into()]);
        let header = format!("t={TIME},v1={OF_SECRET}");
        assert_eq!(one.verify(&header, BODY, at(TIME)), Err(SignatureError::Wrong), "the secret was replaced");
        let both = Webhooks::new(vec![SECRET.into()]);
        assert_eq!(both.verify(&header, &BODY[..BODY.len() - 1], at(TIME)), Err(SignatureError::Wrong), "exact body");
        assert_eq!(Webhooks::new(Vec::new()).verify(&header, BODY, at(TIME)), Err(SignatureError::Wrong));
    }

    #[test]
    fn a_signature_is_valid_for_five_minutes_both_ways() {
        let header = format!("t={TIME},v1={OF_SECRET}");
        for (off, verdict) in [(-300, Ok(())), (300, Ok(())), (-301, Err(())), (301, Err(()))] {
            assert_eq!(verify(&header, TIME + off), verdict.map_err(|()| SignatureError::Stale), "{off}");
        }
    }

    #[test]
    fn a_header_without_a_time_or_a_signature_is_malformed() {
        let long = "f".repeat(65);
        for header in [
            String::new(),
            "t=".to_owned(),
            format!("v1={OF_SECRET}"),
            format!("t={TIME}"),
            format!("t={TIME},v1={long}"),
            format!("t={TIME},v0={OF_SECRET}"),
            format!("t=-5,v1={OF_SECRET}"),
            format!("t=+{TIME},v1={OF_SECRET}"),
            format!("t=99999999999999999999,v1={OF_SECRET}"),
            format!("t={TIME},t={TIME},v1={OF_SECRET}"),
            format!("t={TIME},v1=+f{}", &OF_SECRET[2..]),
        ] {
            assert_eq!(verify(&header, TIME), Err(SignatureError::Malformed), "{header}");
        }
    }

    #[test]
    fn an_event_says_what_it_is_about() {
        let read = StripeEvent::read(BODY).unwrap();
        assert_eq!((read.id.as_str(), read.payment.as_deref(), read.set_up), ("evt_1", Some("pi_1"), None));
        let event = |kind: &str| {
            let body = format!(
                "{{\"id\":\"e\",\"type\":\"{kind}\",\"data\":{{\"object\":{{\"id\":\"x\",\"customer\":\"cus_1\"}}}}}}"
            );
            StripeEvent::read(body.as_bytes()).unwrap()
        };
        assert_eq!(event("setup_intent.succeeded").set_up.as_deref(), Some("cus_1"));
        let other = event("customer.updated");
        assert_eq!((other.payment, other.set_up), (None, None));
        assert!(StripeEvent::read(b"[]").is_err());
    }
}
