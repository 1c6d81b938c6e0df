//! Validated settings. Validation touches nothing: no file, socket or database is created or changed, and only fonts are
//! read, before every setting has been checked.

use std::collections::HashSet;
use std::time::Duration;

use chrono::TimeDelta;
use tidegate_billing::Catalogue;
use tidegate_billing::invoice::{Party, PartyField, TaxRate};
use tidegate_billing::subscription::InvoiceTerms;
use tidegate_engine::upkeep::Retention;
use tidegate_kernel::UserId;
use tidegate_mail::SmtpMailer;
use tidegate_object_store::Location;
use tidegate_outbound_http::{GuardedHttp, OutboundConfig};
use tidegate_pdf::PdfDocuments;
use tidegate_redis::Redis;
use tidegate_tenancy::PublicUrl;

use crate::billing::CheckedProvider;
use crate::http::support::cors::exact_origin;
use crate::secrets::MasterSecret;
use crate::server::StartError;
use crate::settings::{PaymentProviderName, Settings};
use crate::tenancy::limits::LimitSettings;

/// The validated settings.
pub(crate) struct CheckedSettings {
    /// The secret, if it is configured.
    pub(crate) secret: Option<MasterSecret>,
    /// Named limits and trusted proxies.
    pub(crate) limits: LimitSettings,
    /// The plans of the program.
    pub(crate) plans: Catalogue,
    /// How invoices are written.
    pub(crate) terms: InvoiceTerms,
    /// Writes invoices as PDF.
    pub(crate) documents: PdfDocuments,
    /// The payment provider.
    pub(crate) payments: CheckedProvider,
    /// The people who operate the installation.
    pub(crate) operators: HashSet<UserId>,
    /// The Redis client, if an address is set. It is not connected.
    pub(crate) redis: Option<Redis>,
    /// The HTTP client for calls out of workflows.
    pub(crate) outbound: GuardedHttp,
    /// How long after its deletion a workspace is erased.
    pub(crate) erase_after: TimeDelta,
    /// The retention of records.
    pub(crate) retention: Retention,
    /// The object store, if there is one. It is neither connected nor created.
    pub(crate) objects: Option<Location>,
    /// How long after its deletion a file is purged.
    pub(crate) purge_files_after: TimeDelta,
    /// The address under which people reach the installation, if it is set.
    pub(crate) public_url: Option<PublicUrl>,
    /// The mail server, if an address is set. It is not connected.
    pub(crate) smtp: Option<SmtpMailer>,
}

impl CheckedSettings {
    /// Validates `settings`.
    ///
    /// # Errors
    /// [`StartError`] for the first setting that cannot be used.
    pub(crate) fn read(settings: &Settings) -> Result<Self, StartError> {
        let further = settings.further_plans.clone();
        let plans = Catalogue::built_in().and_then(|plans| plans.with(further)).map_err(StartError::setting)?;
        if settings.is_embedded() && !settings.data_dir.exists() {
            // A new database has the plans of the program, and no other.
            plans.newest(settings.plan()).map_err(StartError::setting)?;
        }
        let allow_hosts = settings.allow_hosts.iter().map(|text| allowed_host(text)).collect::<Result<_, _>>()?;
        let outbound = GuardedHttp::new(&OutboundConfig { allow_hosts, ..OutboundConfig::default() })
            .map_err(|error| StartError::Setting(format!("calls out of workflows cannot be made: {error}")))?;
        let redis = settings.redis_url.as_deref().map(Redis::new).transpose();
        Ok(Self {
            secret: configured_secret(settings)?,
            limits: LimitSettings::read(&settings.rate_limits, &settings.trusted_proxies)?,
            plans,
            terms: InvoiceTerms {
                seller: seller(settings)?,
                rate: TaxRate { ppm: settings.tax_rate, inclusive: settings.tax_inclusive },
                payment: span(settings.payment_terms)?,
            },
            documents: documents(settings)?,
            payments: CheckedProvider::read(settings)?,
            operators: settings.operators.iter().map(|text| operator(text)).collect::<Result<_, _>>()?,
            redis: redis.map_err(|error| StartError::Setting(format!("REDIS_URL: {error}")))?,
            outbound,
            erase_after: span(settings.erase_after)?,
            objects: objects(settings)?,
            purge_files_after: span(settings.purge_files_after)?,
            public_url: settings.public_url.as_deref().map(public_url).transpose()?,
            smtp: smtp(settings)?,
            retention: Retention {
                sessions: span(settings.keep_sessions)?,
                account_events: span(settings.keep_account_events)?,
                usage: span(settings.keep_usage)?,
                dedupe_keys: span(settings.keep_dedupe_keys)?,
                kept_mails: span(settings.keep_mails)?,
            },
        })
    }
}

/// The address of the object store, with the options of its client: those of the environment, and then those of the
/// settings.
fn objects(settings: &Settings) -> Result<Option<Location>, StartError> {
    let Some(url) = &settings.object_store_url else {
        return Ok(settings.is_embedded().then(|| Location::Directory(settings.data_dir.join("objects"))));
    };
    let option = |text: &String| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let (name, value) = pair.ok_or_else(|| {
            StartError::Setting("--object-store-option: write NAME=VALUE, such as aws_region=eu-central-1".to_owned())
        })?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let own = settings.object_store_options.iter().map(option).collect::<Result<Vec<_>, StartError>>()?;
    let options =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let location = Location::parse(url, options.chain(own));
    location.map(Some).map_err(|error| StartError::Setting(format!("OBJECT_STORE_URL: {error}")))
}

/// The seller; without a name if none is set.
fn seller(settings: &Settings) -> Result<Party, StartError> {
    let Some(name) = &settings.seller_name else { return Ok(Party::default()) };
    Party::new(name, &settings.seller_address, settings.seller_tax_id.as_deref()).map_err(|(field, mistake)| {
        let flag = match field {
            PartyField::Name => "--seller-name",
            PartyField::Address | PartyField::Line(_) => "--seller-address",
            PartyField::TaxId => "--seller-tax-id",
        };
        StartError::Setting(format!("{flag}: a text {mistake}"))
    })
}

/// Documents with the instructions and the fonts of the settings.
fn documents(settings: &Settings) -> Result<PdfDocuments, StartError> {
    let instructions = settings.payment_instructions.as_ref().map(|text| match settings.payment_provider {
        PaymentProviderName::Manual => format!("How to pay: {text}"),
        PaymentProviderName::Stripe => {
            format!("Your payment method is charged. Without one, pay by bank transfer: {text}")
        }
    });
    settings.invoice_fonts.iter().try_fold(PdfDocuments::new(instructions), |documents, path| {
        let refused =
            |error: &dyn std::fmt::Display| StartError::Setting(format!("--invoice-font {}: {error}", path.display()));
        let font = std::fs::read(path).map_err(|error| refused(&error))?;
        documents.with_font(font).map_err(|error| refused(&error))
    })
}

fn public_url(text: &str) -> Result<PublicUrl, StartError> {
    let checked = exact_origin(text.trim_end_matches('/'));
    checked.map_err(|advice| StartError::Setting(format!("--public-url {text:?}: {advice}")))?;
    Ok(PublicUrl::new(text))
}

fn smtp(settings: &Settings) -> Result<Option<SmtpMailer>, StartError> {
    let (Some(url), Some(from)) = (&settings.smtp_url, &settings.mail_from) else { return Ok(None) };
    SmtpMailer::new(url, from).map(Some).map_err(|error| StartError::Setting(format!("SMTP_URL: {error}")))
}

fn span(duration: Duration) -> Result<TimeDelta, StartError> {
    TimeDelta::from_std(duration).map_err(StartError::setting)
}

fn configured_secret(settings: &Settings) -> Result<Option<MasterSecret>, StartError> {
    match &settings.secret {
        Some(secret) => Ok(Some(MasterSecret::new(secret)?)),
        None if settings.is_embedded() => Ok(None),
        None => Err(StartError::Setting(
            "set TIDEGATE_SECRET, the same for every server of this database; make one with `openssl rand -hex 32`"
                .to_owned(),
        )),
    }
}

fn operator(text: &str) -> Result<UserId, StartError> {
    let refused = |_| {
        let detail = "write a person's id such as usr_01jz3q9m0e7c2v5y8t4r6n1k0d; GET /api/v1/auth/me has it";
        StartError::Setting(format!("--operator {text:?}: {detail}"))
    };
    text.trim().parse().map_err(refused)
}

/// Normalizes `HOST:PORT` as it stands in a URL: a name, an IPv4 address or an IPv6 address in brackets, and the port.
fn allowed_host(text: &str) -> Result<String, StartError> {
    let text = text.trim();
    let refused = || {
        let detail = "write HOST:PORT such as wiki.internal:8443, 10.0.0.7:80 or [fd00::7]:80";
        StartError::Setting(format!("--allow-host {text:?}: {detail}"))
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(refused)?;
    let host = tidegate_outbound_http::canonical_host(host).ok_or_else(refused)?;
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_named_by_id() {
        assert!(operator("usr_01jz3q9m0e7c2v5y8t4r6n1k0d").is_ok());
        for text in ["", "ada@example.org", "ws_01jz3q9m0e7c2v5y8t4r6n1k0d"] {
            let error = operator(text).unwrap_err().to_string();
            assert!(error.contains("--operator") && error.contains("usr_"), "{error}");
        }
    }

    #[test]
    fn an_allowed_host_has_a_port_and_is_one() {
        for (text, canonical) in [
            ("localhost:8080", "localhost:8080"),
            (" Wiki.Internal:8443", "wiki.internal:8443"),
            ("10.0.0.7:80", "10.0.0.7:80"),
            ("0x7f.1:80", "127.0.0.1:80"),
            ("[FD00::0007]:80", "[fd00::7]:80"),
            ("bücher.internal:80", "xn--bcher-kva.internal:80"),
        ] {
            assert_eq!(allowed_host(text).unwrap(), canonical, "{text}");
        }
        for text in [
            "",
            "x",
            "x:",
            ":80",
            "x:0",
            "x:port",
            "x:65536",
            "http://x:80",
            "fd00::7",
            "fd00::7:80",
            "x y:80",
            "x/y:80",
            "*:80",
            "a@b:80",
        ] {
            match allowed_host(text) {
                Err(StartError::Setting(message)) => assert!(message.contains("write HOST:PORT"), "{text}: {message}"),
                other => panic!("{text}: {:?}", other.map_err(|error| error.to_string())),
            }
        }
    }
}
