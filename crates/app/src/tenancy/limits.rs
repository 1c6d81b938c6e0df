//! The server's named rate limits, counted by address and by account.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_kernel::{Decision, RateKey, RateLimit, RateLimiter, WorkspaceId};
use tidegate_tenancy::Digest;

use crate::server::StartError;

/// A limit: its name for `--rate-limit`, and its default.
struct Default {
    name: &'static str,
    limit: &'static str,
}

/// Attempts to log in, per address and per account.
pub const LOGIN: &str = "login";
/// Registrations, per address and per account.
pub const REGISTER: &str = "register";
/// Requests for mails with links, per address and per account.
pub const FORGOT: &str = "forgot";
/// Requests for links that verify an address, per address and per account.
pub const RESEND: &str = "resend";
/// New passwords by links, per address.
pub const RESET: &str = "reset";
/// Second factors, and proofs for a step-up, per address and per account.
pub const SECOND_FACTOR: &str = "second-factor";
/// Verifications of addresses by links, per address.
pub const VERIFY: &str = "verify";

/// Attempts to redeem a promo code, per address and per workspace.
pub const PROMO_CODES: &str = "promo-codes";

/// Requests in a workspace, per minute.
pub const REQUESTS: &str = "requests_per_minute";

const MINUTE: Duration = Duration::from_secs(60);

const DEFAULTS: &[Default] = &[
    Default { name: LOGIN, limit: "5/1m" },
    Default { name: REGISTER, limit: "3/1h" },
    Default { name: FORGOT, limit: "5/1h" },
    Default { name: RESEND, limit: "5/1h" },
    Default { name: RESET, limit: "10/1h" },
    Default { name: VERIFY, limit: "10/1h" },
    Default { name: SECOND_FACTOR, limit: "10/1h" },
    Default { name: PROMO_CODES, limit: "10/1h" },
];

/// The names of all limits.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    DEFAULTS.iter().map(|default| default.name).chain([REQUESTS])
}

/// A network such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    prefix: u32,
}

/// An address as 128 bits. IPv4 is mapped to IPv6, so that both notations of an address are the same.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

impl Network {
    /// Parses `address/prefix`, or a single address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address.parse::<IpAddr>().ok()?, Some(prefix.parse::<u32>().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let length = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(length);
        if prefix > length {
            return None;
        }
        let prefix = 128 - length + prefix;
        Some(Self { bits: bits(address) & mask(prefix), prefix })
    }

    /// Whether the network contains this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & mask(self.prefix) == self.bits
    }
}

/// The result of counting a request: the decision with the fewest remaining requests.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// The limit's name.
    pub name: &'static str,
    /// The limit.
    pub limit: RateLimit,
    /// The decision.
    pub decision: Decision,
}

/// The configured rate limits, and the networks whose forwarding headers are trusted.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    limits: HashMap<&'static str, Option<RateLimit>>,
    proxies: Vec<Network>,
}

impl LimitSettings {
    /// The default limits with `overrides` (`NAME=N/PERIOD` or `NAME=off`), and the networks whose forwarding headers
    /// are trusted.
    ///
    /// # Errors
    /// [`StartError::Setting`] if one of them cannot be parsed.
    pub fn read(overrides: &[String], proxies: &[String]) -> Result<Self, StartError> {
        let mut limits: HashMap<_, _> =
            DEFAULTS.iter().map(|default| (default.name, default.limit.parse().ok())).collect();
        for text in overrides {
            let (name, limit) = text.split_once('=').ok_or_else(|| {
                StartError::Setting(format!("--rate-limit {text:?}: write NAME=N/PERIOD or NAME=off"))
            })?;
            let limit = match limit {
                "off" => None,
                limit => Some(
                    limit
                        .parse::<RateLimit>()
                        .map_err(|error| StartError::Setting(format!("--rate-limit {text:?}: {error}")))?,
                ),
            };
            let known: Vec<&str> = DEFAULTS.iter().map(|default| default.name).collect();
            let slot = limits.get_mut(name).ok_or_else(|| {
                let known = known.join(", ");
                StartError::Setting(format!("--rate-limit {text:?}: there is no limit {name:?}; there are {known}"))
            })?;
            *slot = limit;
        }
        let networks: Option<Vec<Network>> = proxies.iter().map(|text| Network::parse(text.trim())).collect();
        let proxies = networks.ok_or_else(|| {
            StartError::Setting(format!("--trusted-proxy {proxies:?}: write networks such as 10.0.0.0/8"))
        })?;
        Ok(Self { limits, proxies })
    }
}

/// The named limits of a server.
pub struct Limits {
    limiter: Arc<dyn RateLimiter>,
    settings: LimitSettings,
}

impl Limits {
    /// Limits by `settings`, counted by `limiter`.
    #[must_use]
    pub const fn new(limiter: Arc<dyn RateLimiter>, settings: LimitSettings) -> Self {
        Self { limiter, settings }
    }

    /// Counts a request against the limit `name`, per address and per account, and stops at the first refusal. `None`
    /// if the limit is off, or if neither the address nor the account is known.
    pub async fn check(&self, name: &'static str, address: Option<IpAddr>, account: Option<&str>) -> Option<Verdict> {
        let limit = self.settings.limits.get(name).copied().flatten()?;
        let address = address.map(|address| format!("address:{}", subject(address)));
        // Uses a digest, because counters are kept where mail addresses must not be stored.
        let account = account.map(|account| {
            let digest = Digest::of(account);
            format!("account:{}", u128::from_be_bytes(std::array::from_fn(|n| digest.as_bytes()[n])))
        });
        let mut tightest: Option<Verdict> = None;
        for subject in [address, account].into_iter().flatten() {
            let decision = self.limiter.check(&RateKey::new(name, subject), limit).await;
            if tightest.is_none_or(|verdict| !decision.allowed || decision.remaining < verdict.decision.remaining) {
                tightest = Some(Verdict { name, limit, decision });
            }
            if !decision.allowed {
                break;
            }
        }
        tightest
    }

    /// Counts a request in `workspace` against the requests per minute of its plan.
    pub async fn check_workspace(&self, workspace: WorkspaceId, per_minute: i64) -> Decision {
        let n = u32::try_from(per_minute).unwrap_or(u32::MAX);
        match RateLimit::new(n, MINUTE) {
            Some(limit) => self.limiter.check(&RateKey::new(REQUESTS, workspace.to_string()), limit).await,
            // The plan allows none.
            None => Decision { allowed: false, remaining: 0, reset_after: MINUTE },
        }
    }

    /// The address of the caller: the peer's, or if the peer is a trusted proxy, the last address in `X-Forwarded-For`
    /// that is not a trusted proxy. So a caller cannot choose its address.
    #[must_use]
    pub fn client_address(&self, peer: Option<IpAddr>, forwarded_for: &[&str]) -> Option<IpAddr> {
        let mut address = peer?.to_canonical();
        let hops = forwarded_for.iter().flat_map(|header| header.split(',')).collect::<Vec<_>>();
        for hop in hops.into_iter().rev() {
            if !self.settings.proxies.iter().any(|proxy| proxy.contains(address)) {
                break;
            }
            match hop.trim().parse::<IpAddr>() {
                Ok(next) => address = next.to_canonical(),
                Err(_) => break,
            }
        }
        Some(address)
    }
}

/// What an address is counted as: one IPv4 address, or the /64 that one IPv6 host can have (RFC 6177).
fn subject(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{}/64", Ipv6Addr::from_bits(v6.to_bits() & mask(64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_in_process::InProcessRateLimiter;

    fn limits(overrides: &[&str], proxies: &[&str]) -> Result<Limits, StartError> {
        let limiter = Arc::new(InProcessRateLimiter::new(crate::system::environment()));
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Ok(Limits::new(limiter, LimitSettings::read(&owned(overrides), &owned(proxies))?))
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_came_from() {
        let limits = limits(&[], &["10.0.0.0/8", "2001:db8::/32"]).unwrap();
        let client = |peer: &str, headers: &[&str]| {
            limits.client_address(Some(peer.parse().unwrap()), headers).unwrap().to_string()
        };
        assert_eq!(client("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client("10.1.2.3", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.1.2.3", &["198.51.100.7, 203.0.113.9, 10.9.9.9"]), "203.0.113.9");
        assert_eq!(client("10.1.2.3", &["198.51.100.7", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(client("10.1.2.3", &["not an address"]), "10.1.2.3");
        assert_eq!(client("::ffff:10.1.2.3", &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn settings_that_cannot_be_read_stop_the_start() {
        for bad in ["login", "login=", "login=5", "nothing=off", "login=0/1m"] {
            assert!(limits(&[bad], &[]).is_err(), "{bad}");
        }
        for bad in ["10.0.0.0/33", "x", "10.0.0.0/", "/8"] {
            assert!(limits(&[], &[bad]).is_err(), "{bad}");
        }
        assert_eq!(limits(&["login=off"], &[]).unwrap().settings.limits[LOGIN], None);
        assert_eq!(limits(&["register=7/1s"], &[]).unwrap().settings.limits[REGISTER], "7/1s".parse().ok());
        assert!(limits(&[], &[]).unwrap().settings.limits.values().all(Option::is_some));
    }

    #[tokio::test]
    async fn addresses_and_accounts_are_counted_apart() {
        let limits = limits(&["login=2/1h"], &[]).unwrap();
        let check = async |address: &str, account: &str| {
            limits.check(LOGIN, Some(address.parse().unwrap()), Some(account)).await.unwrap().decision.allowed
        };
        assert!(check("192.0.2.1", "ada").await && check("192.0.2.1", "bob").await);
        assert!(!check("192.0.2.1", "eve").await, "the address has used up its limit");
        assert!(check("192.0.2.2", "ada").await, "ada is at her second");
        assert!(!check("192.0.2.3", "ada").await, "the account has used up its limit");
        assert!(check("2001:db8::1", "x").await && check("2001:db8::2", "y").await);
        assert!(!check("2001:db8::ffff:3", "z").await, "one host fills a /64");
    }
}
