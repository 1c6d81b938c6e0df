//! People and what they set for themselves.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use icu_locale_core::LanguageIdentifier;
use serde::{Deserialize, Serialize};
use tidegate_kernel::{Environment, UserId};

use crate::model::email::Email;
use crate::model::text::{InvalidText, Name};

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The id.
    pub id: UserId,
    /// The address for mail and for log-in.
    pub email: Email,
    /// When the person has proven that they receive mail at the address; `None` if they have not.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// The display name.
    pub name: Name,
    /// The language of mails; `None` for the language of the installation.
    pub language: Option<Language>,
    /// The time zone in which times are shown; `None` for UTC.
    pub time_zone: Option<TimeZone>,
    /// Which mails the person gets.
    pub notifications: Notifications,
    /// When they registered.
    pub created_at: DateTime<Utc>,
    /// When the account was deactivated; `None` if it is active.
    pub deactivated_at: Option<DateTime<Utc>>,
}

impl Person {
    /// A person who registers at `at`, with a new id and nothing set.
    #[must_use]
    pub fn register(env: &Environment, email: Email, name: Name, at: DateTime<Utc>) -> Self {
        Self {
            id: UserId::generate(env),
            email,
            email_verified_at: None,
            name,
            language: None,
            time_zone: None,
            notifications: Notifications::default(),
            created_at: at,
            deactivated_at: None,
        }
    }

    /// Whether the account is not deactivated.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.deactivated_at.is_none()
    }

    /// Whether the address is verified.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        self.email_verified_at.is_some()
    }
}

/// A language tag (BCP 47, RFC 5646) of language, script and region, such as `de` or `pt-BR`, in its usual case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language(String);

impl Language {
    /// Validates a language tag.
    ///
    /// # Errors
    /// [`InvalidText`] if the text is not a language tag.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        const INVALID: InvalidText = InvalidText("must be a language tag, such as en, de or pt-BR");
        let tag = LanguageIdentifier::try_from_str(text).map_err(|_| INVALID)?;
        if tag.language.is_unknown() { Err(INVALID) } else { Ok(Self(tag.to_string())) }
    }

    /// A tag from the store.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A time zone of the IANA database, such as `Europe/Berlin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(String);

impl TimeZone {
    /// Validates a name of a time zone.
    ///
    /// # Errors
    /// [`InvalidText`] if there is no such time zone.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let zone: Tz = text.parse().map_err(|_| InvalidText("must be an IANA time zone, such as Europe/Berlin"))?;
        Ok(Self(zone.name().to_owned()))
    }

    /// A name from the store.
    #[must_use]
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which mails a person gets. Mails about the account, and about payments that fail, are always sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notifications {
    /// Mails to owners about limits of the plan that are near or reached.
    pub usage: bool,
    /// Mails to owners about trials, invoices and payments that succeeded.
    pub billing: bool,
}

impl Default for Notifications {
    fn default() -> Self {
        Self { usage: true, billing: true }
    }
}

/// A change of a person's own data. A field with `None` is not changed; an inner `None` removes the value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// The new name.
    pub name: Option<Name>,
    /// The new language.
    pub language: Option<Option<Language>>,
    /// The new time zone.
    pub time_zone: Option<Option<TimeZone>>,
    /// Whether the person gets mails about usage.
    pub notify_usage: Option<bool>,
    /// Whether the person gets mails about billing.
    pub notify_billing: Option<bool>,
}

impl ProfileChange {
    /// The person after the change.
    #[must_use]
    pub fn apply(self, person: Person) -> Person {
        let Notifications { usage, billing } = person.notifications;
        Person {
            name: self.name.unwrap_or(person.name),
            language: self.language.unwrap_or(person.language),
            time_zone: self.time_zone.unwrap_or(person.time_zone),
            notifications: Notifications {
                usage: self.notify_usage.unwrap_or(usage),
                billing: self.notify_billing.unwrap_or(billing),
            },
            ..person
        }
    }

    /// The names of the fields that it changes, for logs.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        let fields = [
            ("name", self.name.is_some()),
            ("language", self.language.is_some()),
            ("time_zone", self.time_zone.is_some()),
            ("notifications.usage", self.notify_usage.is_some()),
            ("notifications.billing", self.notify_billing.is_some()),
        ];
        fields.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_and_time_zones_are_those_that_exist() {
        for (typed, kept) in [("en", "en"), ("DE", "de"), ("pt-br", "pt-BR"), ("zh-hant-TW", "zh-Hant-TW")] {
            assert_eq!(Language::new(typed).unwrap().as_str(), kept);
        }
        for bad in ["", "german", "und", "e", "de_", "de-", "x-klingon", "en; drop", "de-DE-u-co-phonebk"] {
            assert!(Language::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(TimeZone::new("Europe/Berlin").unwrap().as_str(), "Europe/Berlin");
        for bad in ["", "Berlin", "+02:00", "Europe/berlin", "Mars/Olympus"] {
            assert!(TimeZone::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let person = crate::model::testing::person();
        let change = ProfileChange {
            time_zone: Some(Some(TimeZone::new("Asia/Tokyo").unwrap())),
            notify_usage: Some(false),
            ..ProfileChange::default()
        };
        assert_eq!(change.fields(), ["time_zone", "notifications.usage"]);
        let changed = change.apply(person.clone());
        assert_eq!(changed.time_zone.as_ref().map(TimeZone::as_str), Some("Asia/Tokyo"));
        assert_eq!(changed.notifications, Notifications { usage: false, billing: true });
        let back = ProfileChange { time_zone: Some(None), notify_usage: Some(true), ..ProfileChange::default() };
        assert_eq!(back.apply(changed), person);
    }
}
