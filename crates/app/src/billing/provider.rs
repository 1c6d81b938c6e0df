//! The payment provider that the settings name.

use std::sync::Arc;

use tidegate_billing::{ManualPayments, PaymentProvider};
use tidegate_stripe::{Client, ClientConfig, SecretKey, Stripe, Webhooks};
use url::{Host, Url};

use crate::server::StartError;
use crate::settings::{PaymentProviderName, Settings};

/// The payment provider, and how its notifications are verified.
pub(crate) struct CheckedProvider {
    /// The provider. It is not connected.
    pub(crate) provider: Arc<dyn PaymentProvider>,
    /// The secrets of the notifications of Stripe, if it is the provider.
    pub(crate) stripe: Option<Webhooks>,
}

impl CheckedProvider {
    /// Validates the settings of payments.
    ///
    /// # Errors
    /// [`StartError::Setting`] for the first setting that is missing or cannot be used.
    pub(crate) fn read(settings: &Settings) -> Result<Self, StartError> {
        if settings.payment_provider == PaymentProviderName::Manual {
            return Ok(Self { provider: Arc::new(ManualPayments), stripe: None });
        }
        let refused = |message: &str| StartError::Setting(message.to_owned());
        let missing = |name: &str| StartError::Setting(format!("--payment-provider stripe needs {name}"));
        let key = settings.stripe_secret_key.as_deref().ok_or_else(|| missing("--stripe-secret-key"))?;
        let key = SecretKey::new(key).ok_or_else(|| refused("--stripe-secret-key is not a key"))?;
        let secrets: Vec<String> =
            settings.stripe_webhook_secrets.iter().map(|secret| secret.trim().to_owned()).collect();
        if secrets.is_empty() || secrets.iter().any(String::is_empty) {
            return Err(missing("--stripe-webhook-secret"));
        }
        let back = settings.payment_return_url.as_deref().ok_or_else(|| missing("--payment-return-url"))?;
        let return_url = address("--payment-return-url", back)?;
        let base = address("--stripe-api-url", &settings.stripe_api_url)?;
        let client = Client::new(ClientConfig { key, base })
            .map_err(|error| StartError::Setting(format!("calls to Stripe cannot be made: {error}")))?;
        Ok(Self { provider: Arc::new(Stripe::new(client, return_url)), stripe: Some(Webhooks::new(secrets)) })
    }
}

/// An address with HTTPS, or one of this machine.
fn address(flag: &str, text: &str) -> Result<Url, StartError> {
    let local = |url: &Url| match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    Url::parse(text)
        .ok()
        .filter(|url| url.scheme() == "https" || (url.scheme() == "http" && local(url)))
        .ok_or_else(|| StartError::Setting(format!("{flag} {text:?}: write an address such as https://example.org")))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn stripe_needs_its_settings_and_no_message_shows_a_secret() {
        let all = [
            ["--stripe-secret-key", "sk_live_secret"],
            ["--stripe-webhook-secret", "whsec_secret"],
            ["--payment-return-url", "https://console.example.org"],
        ];
        let read = |flags: &[[&str; 2]]| {
            let flags = ["tidegate", "--payment-provider", "stripe"].into_iter().chain(flags.iter().flatten().copied());
            CheckedProvider::read(&Flags::try_parse_from(flags).unwrap().settings)
        };
        let checked = read(&all).unwrap();
        assert!(checked.provider.collects() && checked.stripe.is_some());
        for missing in 0..all.len() {
            let mut some = all.to_vec();
            let [name, _] = some.remove(missing);
            let error = read(&some).err().unwrap().to_string();
            assert!(error.contains(name) && !error.contains("secret\"") && !error.contains("sk_live"), "{error}");
        }
        let manual = CheckedProvider::read(&Flags::try_parse_from(["tidegate"]).unwrap().settings).unwrap();
        assert!(!manual.provider.collects() && manual.stripe.is_none());
    }

    #[test]
    fn an_address_is_encrypted_or_local() {
        for text in ["https://api.stripe.com", "http://127.0.0.1:8420", "http://[::1]:1", "http://localhost:1/x"] {
            assert!(address("--x", text).is_ok(), "{text}");
        }
        for text in ["", "api.stripe.com", "http://api.stripe.com", "ftp://localhost", "http://localhost.evil.example"]
        {
            let error = address("--x", text).unwrap_err().to_string();
            assert!(error.contains("--x"), "{error}");
        }
    }
}
