//! Every setting of the server: a flag, its environment variable and its default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tidegate_billing::Plan;
use tidegate_workflows::definition::parse_duration;

/// What a server process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Answers requests and runs workflows.
    All,
    /// Only answers requests.
    Api,
    /// Only runs workflows, finds patterns and fires triggers; it still answers health checks.
    Worker,
}

impl Role {
    /// Whether the process answers API requests.
    #[must_use]
    pub const fn serves_api(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether the process does background work.
    #[must_use]
    pub const fn works(self) -> bool {
        matches!(self, Self::All | Self::Worker)
    }
}

/// Where lists are cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CacheMode {
    /// With Redis if it is set, in this process if it is embedded, otherwise nowhere.
    Auto,
    /// In this process, which has to be the only one of its database.
    InProcess,
    /// Nowhere: every list is read from the database.
    Off,
}

/// Who collects payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PaymentProviderName {
    /// Nobody: customers pay by bank transfer, and operators record the payments.
    Manual,
    /// Stripe.
    Stripe,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Settings of `tidegate serve`. Flags win over the environment.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "TIDEGATE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// What this process does
    #[arg(long, env = "TIDEGATE_ROLE", value_enum, default_value = "all")]
    pub role: Role,

    /// Directory of the embedded PostgreSQL and the secret, when no DATABASE_URL is given
    #[arg(long, env = "TIDEGATE_DATA_DIR", default_value = "tidegate-data")]
    pub data_dir: PathBuf,

    /// PostgreSQL 15 or newer; default: an embedded PostgreSQL for this process alone
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// The engine's own database login; default: DATABASE_URL
    #[arg(long, env = "ENGINE_DATABASE_URL", hide_env_values = true, requires = "database_url")]
    pub engine_database_url: Option<String>,

    /// Database login for work before a workspace is known, such as logging in; default: DATABASE_URL
    #[arg(long, env = "DIRECTORY_DATABASE_URL", hide_env_values = true, requires = "database_url")]
    pub directory_database_url: Option<String>,

    /// Most connections of each pool to a PostgreSQL server
    #[arg(long, env = "TIDEGATE_MAX_CONNECTIONS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_connections: u32,

    /// Redis for rate limits, signals and cached lists across processes: redis://host:6379, several nodes of a cluster
    /// with commas between them, or redis+cluster://host:6379; without it they stay inside this process
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// Where lists are cached
    #[arg(long, env = "TIDEGATE_CACHE", value_enum, default_value = "auto")]
    pub cache: CacheMode,

    /// Secret of the installation, at least 32 bytes; when embedded, one is created in the data directory
    #[arg(long, env = "TIDEGATE_SECRET", hide_env_values = true)]
    pub secret: Option<String>,

    /// Secrets that TIDEGATE_SECRET has replaced: what was sealed with them, such as second factors, can still be opened
    #[arg(long = "previous-secret", env = "TIDEGATE_PREVIOUS_SECRETS", hide_env_values = true, value_delimiter = ',')]
    pub previous_secrets: Vec<String>,

    /// Plan of a new workspace; default: unlimited when embedded, free with a PostgreSQL server
    #[arg(long, env = "TIDEGATE_DEFAULT_PLAN")]
    pub default_plan: Option<String>,

    /// Plans besides those that ship with the program. They are added to the catalogue when the server starts.
    #[arg(skip)]
    pub further_plans: Vec<Plan>,

    /// Tax on invoices in percent, such as 19 or 7.7
    #[arg(long, env = "TIDEGATE_TAX_RATE", default_value = "0", value_name = "PERCENT", value_parser = parts_per_million)]
    pub tax_rate: u32,

    /// Prices of plans contain the tax
    #[arg(long, env = "TIDEGATE_TAX_INCLUSIVE")]
    pub tax_inclusive: bool,

    /// Time from the issue of an invoice until its payment is due
    #[arg(long, env = "TIDEGATE_PAYMENT_TERMS", default_value = "14d", value_name = "DURATION", value_parser = at_least::<1>)]
    pub payment_terms: Duration,

    /// Seller on invoices: the name of the company
    #[arg(long, env = "TIDEGATE_SELLER_NAME", value_name = "NAME")]
    pub seller_name: Option<String>,

    /// Address of the seller: its lines, with semicolons between them
    #[arg(
        long,
        env = "TIDEGATE_SELLER_ADDRESS",
        value_name = "LINES",
        value_delimiter = ';',
        requires = "seller_name"
    )]
    pub seller_address: Vec<String>,

    /// Number under which tax offices know the seller
    #[arg(long, env = "TIDEGATE_SELLER_TAX_ID", value_name = "ID", requires = "seller_name")]
    pub seller_tax_id: Option<String>,

    /// Font file for names on invoices in scripts other than Latin, Greek, Cyrillic, Hebrew and Arabic; may be repeated
    #[arg(long = "invoice-font", env = "TIDEGATE_INVOICE_FONTS", value_name = "FILE", value_delimiter = ',')]
    pub invoice_fonts: Vec<PathBuf>,

    /// Who collects payments
    #[arg(long, env = "TIDEGATE_PAYMENT_PROVIDER", value_enum, default_value = "manual")]
    pub payment_provider: PaymentProviderName,

    /// Page to which customers come back from the pages of the payment provider, such as `https://console.example.org/billing`
    #[arg(long, env = "TIDEGATE_PAYMENT_RETURN_URL", value_name = "URL")]
    pub payment_return_url: Option<String>,

    /// Secret key of the Stripe account
    #[arg(long, env = "STRIPE_SECRET_KEY", hide_env_values = true, value_name = "KEY")]
    pub stripe_secret_key: Option<String>,

    /// Signing secret of the webhook endpoint at Stripe; two are valid while one replaces the other
    #[arg(
        long = "stripe-webhook-secret",
        env = "STRIPE_WEBHOOK_SECRETS",
        hide_env_values = true,
        value_name = "SECRET",
        value_delimiter = ','
    )]
    pub stripe_webhook_secrets: Vec<String>,

    /// Address of the API of Stripe
    #[arg(long, env = "TIDEGATE_STRIPE_API_URL", value_name = "URL", default_value = "https://api.stripe.com")]
    pub stripe_api_url: String,

    /// How customers pay, as mails and PDFs of invoices say it, such as the number of a bank account
    #[arg(long, env = "TIDEGATE_PAYMENT_INSTRUCTIONS", value_name = "TEXT")]
    pub payment_instructions: Option<String>,

    /// Overrides a rate limit, such as `login` (5/1m) or `register` (3/1h); may be repeated
    #[arg(long = "rate-limit", env = "TIDEGATE_RATE_LIMITS", value_name = "NAME=N/PERIOD|off", value_delimiter = ',')]
    pub rate_limits: Vec<String>,

    /// Private address that http.request may reach; may be repeated
    #[arg(long = "allow-host", env = "TIDEGATE_ALLOW_HOSTS", value_name = "HOST:PORT", value_delimiter = ',')]
    pub allow_hosts: Vec<String>,

    /// Network of proxies whose forwarding headers give the caller's address; may be repeated
    #[arg(long = "trusted-proxy", env = "TIDEGATE_TRUSTED_PROXIES", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,

    /// How long after its deletion a workspace is erased, such as `12h` or `30d`
    #[arg(long, env = "TIDEGATE_ERASE_AFTER", default_value = "30d", value_name = "DURATION", value_parser = erase_after)]
    pub erase_after: Duration,

    /// Retention of login sessions after their end
    #[arg(long, env = "TIDEGATE_KEEP_SESSIONS", default_value = "30d", value_name = "DURATION", value_parser = at_least::<1>)]
    pub keep_sessions: Duration,

    /// Retention of account events: what people did to their own accounts
    #[arg(long, env = "TIDEGATE_KEEP_ACCOUNT_EVENTS", default_value = "400d", value_name = "DURATION", value_parser = at_least::<1>)]
    pub keep_account_events: Duration,

    /// Retention of usage counters, from the beginning of their month or day
    #[arg(long, env = "TIDEGATE_KEEP_USAGE", default_value = "1100d", value_name = "DURATION", value_parser = at_least::<93>)]
    pub keep_usage: Duration,

    /// Retention of the dedupe keys of runs
    #[arg(long, env = "TIDEGATE_KEEP_DEDUPE_KEYS", default_value = "32d", value_name = "DURATION", value_parser = at_least::<32>)]
    pub keep_dedupe_keys: Duration,

    /// Retention of mails that are stored because no mail server is set
    #[arg(long, env = "TIDEGATE_KEEP_MAILS", default_value = "30d", value_name = "DURATION", value_parser = at_least::<1>)]
    pub keep_mails: Duration,

    /// Object store of files: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///directory; default:
    /// `objects` in the data directory when embedded, and no files with a PostgreSQL server
    #[arg(long, env = "OBJECT_STORE_URL")]
    pub object_store_url: Option<String>,

    /// Option of the object store's client, such as `aws_endpoint=https://minio.internal:9000`; wins over the AWS_*,
    /// GOOGLE_* or AZURE_* variable of that name; may be repeated
    #[arg(
        long = "object-store-option",
        env = "TIDEGATE_OBJECT_STORE_OPTIONS",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub object_store_options: Vec<String>,

    /// How long after its deletion a file is purged; until then it can be restored
    #[arg(long, env = "TIDEGATE_PURGE_FILES_AFTER", default_value = "30d", value_name = "DURATION", value_parser = erase_after)]
    pub purge_files_after: Duration,

    /// Address under which people reach this installation, such as `https://tidegate.example.org`: links in mails lead
    /// there; default: the address that it listens on
    #[arg(long, env = "TIDEGATE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Mail server: smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465; without it mails are
    /// stored in the database
    #[arg(long, env = "SMTP_URL", hide_env_values = true, requires = "mail_from", requires = "public_url")]
    pub smtp_url: Option<String>,

    /// Sender of mails, such as `Tidegate <no-reply@example.org>`
    #[arg(long, env = "TIDEGATE_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,

    /// Origin whose pages may call the API from a browser, such as `https://console.example.org`; may be repeated
    #[arg(long = "cors-origin", env = "TIDEGATE_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origins: Vec<String>,

    /// Operator of this installation, by person id, who sees the runs in quarantine; may be repeated
    #[arg(long = "operator", env = "TIDEGATE_OPERATORS", value_name = "USR_ID", value_delimiter = ',')]
    pub operators: Vec<String>,

    /// Format of log lines
    #[arg(long, env = "TIDEGATE_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,

    /// Log filter, such as `info` or `tidegate=debug,warn`
    #[arg(long, env = "TIDEGATE_LOG", default_value = "info")]
    pub log: String,

    /// Seconds that requests and steps under way get to finish at shutdown
    #[arg(long, env = "TIDEGATE_SHUTDOWN_SECONDS", default_value_t = 20)]
    pub shutdown_seconds: u64,
}

const DAY: Duration = Duration::from_secs(86_400);
/// The longest retention: ten years.
const MAX_KEPT: Duration = Duration::from_secs(3_660 * 86_400);

fn erase_after(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| *duration <= MAX_KEPT)
        .ok_or_else(|| "write a duration such as 12h or 30d, at most 3660d".to_owned())
}

/// A rate in percent with at most four decimals, as parts per million.
fn parts_per_million(text: &str) -> Result<u32, String> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let ppm = if digits(whole, 3) && digits(decimals, 4) {
        format!("{whole}{decimals:0<4}").parse().ok().filter(|ppm| *ppm <= 1_000_000)
    } else {
        None
    };
    ppm.ok_or_else(|| "write a percentage from 0 to 100 such as 19 or 7.7".to_owned())
}

/// A duration of at least so many days.
fn at_least<const DAYS: u32>(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| (DAY * DAYS..=MAX_KEPT).contains(duration))
        .ok_or_else(|| format!("write a duration such as 36h or 400d, at least {DAYS}d and at most 3660d"))
}

impl Settings {
    /// Whether this process uses the embedded PostgreSQL.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        self.database_url.is_none()
    }

    /// The plan of a new workspace.
    #[must_use]
    pub fn plan(&self) -> &str {
        match &self.default_plan {
            Some(plan) => plan,
            None if self.is_embedded() => "unlimited",
            None => "free",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        _settings: Settings,
    }

    #[test]
    fn a_tax_rate_is_a_percentage() {
        let read = ["0", "19", "7.7", "100", "8.0125"].map(|text| parts_per_million(text).unwrap());
        assert_eq!(read, [0, 190_000, 77_000, 1_000_000, 80_125]);
        for text in ["", "-1", "100.0001", "7,7", "19%", "1.23456", ".5", "5.", "+5"] {
            assert!(parts_per_million(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_setting_is_documented_with_its_variable() {
        let documented = include_str!("../../../docs/configuration.md");
        for argument in Flags::command().get_arguments().filter(|argument| argument.get_id() != "help") {
            let (flag, variable) = (argument.get_long().unwrap(), argument.get_env().unwrap().to_string_lossy());
            assert!(
                documented.contains(&format!("| `--{flag}` | `{variable}` |")),
                "docs/configuration.md lacks --{flag}"
            );
        }
    }
}
