//! Quotas: what the plan of a workspace allows, and how use cases reserve it.
//!
//! There are two kinds of meters. Uses such as runs add up over a period, and a new period begins at zero. Levels such as
//! stored bytes have no period: they go up and down.
//!
//! A use is reserved with [`Quota::reserve`] before it happens. A level is taken with [`QuotaLevels::take`] in the
//! transaction that stores the thing, so that both are there or neither.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::limit::Limit;
use crate::scope::WorkspaceScope;

macro_rules! meters {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $kind:expr;)*) => {
        /// A kind of usage that is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Meter {
            $($(#[$doc])* $variant,)*
        }

        impl Meter {
            /// Every meter, in the order in which usage lists them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in the API and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            const fn kind(self) -> MeterKind {
                match self { $(Self::$variant => $kind,)* }
            }
        }
    };
}

meters! {
    /// Requests in a workspace.
    ApiCalls = "api_calls", MeterKind::Use(Span::Day);
    /// Events added; duplicates and rejected ones do not count.
    Events = "events", MeterKind::Use(Span::Month);
    /// Runs started.
    Runs = "runs", MeterKind::Use(Span::Month);
    /// Attempts of steps that began.
    Steps = "steps", MeterKind::Use(Span::Month);
    /// Bytes of files, including deleted files that are not purged yet.
    StorageBytes = "storage_bytes", MeterKind::Level;
    /// Workflows.
    Workflows = "workflows", MeterKind::Level;
    /// Members.
    Members = "members", MeterKind::Level;
}

/// How a meter counts.
enum MeterKind {
    /// Uses add up over a period.
    Use(Span),
    /// It goes up and down.
    Level,
}

/// The length of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// A day in UTC.
    Day,
    /// A calendar month in UTC.
    Month,
}

impl Span {
    /// The period of this length that contains `now`.
    #[must_use]
    pub fn period(self, now: DateTime<Utc>) -> Period {
        let day = now.date_naive();
        let (start, end) = match self {
            Self::Day => (day, day.checked_add_days(Days::new(1))),
            Self::Month => {
                let first = day.with_day(1).unwrap_or(day);
                (first, first.checked_add_months(Months::new(1)))
            }
        };
        Period { start: midnight(start), end: midnight(end.unwrap_or(NaiveDate::MAX)) }
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

impl Period {
    /// The calendar month in UTC that is written as `YYYY-MM`; `None` if the text is no month from 0001 to 9999.
    #[must_use]
    pub fn month(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return None;
        }
        let first = NaiveDate::from_ymd_opt(year.parse().ok().filter(|year| *year > 0)?, month.parse().ok()?, 1)?;
        Some(Span::Month.period(midnight(first)))
    }
}

/// A time span with an exclusive end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Period {
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

impl Meter {
    /// Whether the meter is a level, which no new period sets back to zero.
    #[must_use]
    pub const fn is_level(self) -> bool {
        matches!(self.kind(), MeterKind::Level)
    }

    /// The period of this meter that contains `now`. The period of a level is the month: once in it, its owners are
    /// warned that the limit is near.
    #[must_use]
    pub fn period(self, now: DateTime<Utc>) -> Period {
        match self.kind() {
            MeterKind::Use(span) => span.period(now),
            MeterKind::Level => Span::Month.period(now),
        }
    }

    /// When its counter begins at zero again; `None` if it is a level.
    #[must_use]
    pub fn resets_at(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (!self.is_level()).then(|| self.period(now).end)
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a meter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a meter")]
pub struct UnknownMeter(pub String);

impl FromStr for Meter {
    type Err = UnknownMeter;
    fn from_str(text: &str) -> Result<Self, UnknownMeter> {
        let found = Self::ALL.iter().copied().find(|meter| meter.as_str() == text);
        found.ok_or_else(|| UnknownMeter(text.to_owned()))
    }
}

/// A refusal: the plan does not allow so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plan of the workspace allows {limit} {meter}, of which {used} are used")]
pub struct QuotaExceeded {
    /// The meter.
    pub meter: Meter,
    /// The limit.
    pub limit: i64,
    /// What is used or reserved.
    pub used: i64,
    /// When the next period begins; `None` if the meter is a level.
    pub resets_at: Option<DateTime<Utc>>,
}

/// The shares of a limit, in percent, at which the owners of a workspace are told.
pub const THRESHOLDS: [i16; 2] = [80, 100];

/// The thresholds that `used` has passed. A limit of 0 has none: nobody used anything.
pub fn thresholds_passed(used: i64, limit: Limit) -> impl Iterator<Item = i16> {
    let limit = limit.at_most().filter(|limit| *limit > 0).map(i128::from);
    THRESHOLDS
        .into_iter()
        .filter(move |percent| limit.is_some_and(|limit| i128::from(used) * 100 >= limit * i128::from(*percent)))
}

/// Why a quota was not reserved.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// The plan does not allow so much.
    #[error(transparent)]
    Exceeded(#[from] QuotaExceeded),
    /// The store failed. Nothing was reserved.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the plan of a workspace allows.
#[async_trait]
pub trait Quota: Send + Sync {
    /// The limit of `meter`. Needs no permission beyond the scope.
    ///
    /// # Errors
    /// [`StoreError`] if the plan could not be read.
    async fn limit(&self, scope: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError>;

    /// Reserves `amount` units of a meter with a period.
    ///
    /// MUST NOT let the sum of all reservations of a period that were not released exceed the limit, under any
    /// concurrency, across processes, and whatever is killed. If the store is unavailable, MUST fail and reserve nothing.
    ///
    /// # Errors
    /// [`QuotaError::Exceeded`] if the rest of the limit is smaller. It MAY be an early refusal by what other processes
    /// hold; see the implementation for the bound.
    async fn reserve(&self, scope: &WorkspaceScope, meter: Meter, amount: i64) -> Result<Reservation, QuotaError>;
}

/// No quota: everything is allowed. For programs that embed the domains without plans.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoQuota;

#[async_trait]
impl Quota for NoQuota {
    async fn limit(&self, _: &WorkspaceScope, _: Meter) -> Result<Limit, StoreError> {
        Ok(Limit::Unlimited)
    }

    async fn reserve(&self, _: &WorkspaceScope, _: Meter, _: i64) -> Result<Reservation, QuotaError> {
        Ok(Reservation::unlimited())
    }
}

/// Reserved units. Dropping it releases them, so nothing is lost if the work is cancelled.
///
/// A reservation that is neither committed nor dropped, because its process was killed, counts as used until the period
/// ends.
#[must_use = "dropping a reservation releases it"]
pub struct Reservation {
    /// The units that were not used so far.
    units: i64,
    release: Option<Box<dyn FnOnce(i64) + Send + Sync>>,
}

impl Reservation {
    /// A reservation of `units`. `release` takes back those that are not used.
    pub fn new(units: i64, release: impl FnOnce(i64) + Send + Sync + 'static) -> Self {
        Self { units, release: Some(Box::new(release)) }
    }

    /// A reservation of what has no limit.
    pub const fn unlimited() -> Self {
        Self { units: 0, release: None }
    }

    /// All units were used.
    pub fn commit(mut self) {
        self.release = None;
    }

    /// So many units were used. The others are released.
    pub fn commit_some(mut self, used: i64) {
        self.units = self.units.saturating_sub(used).max(0);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(release) = self.release.take().filter(|_| self.units > 0) {
            release(self.units);
        }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("limited", &self.release.is_some()).field("units", &self.units).finish()
    }
}

/// The levels of one workspace, in the transaction of what raises and lowers them.
#[async_trait]
pub trait QuotaLevels: Send {
    /// Adds `amount` to the level of `meter` and returns the new level.
    ///
    /// MUST add nothing if the level would then exceed `limit`. MUST NOT let concurrent transactions exceed it together:
    /// a second transaction waits until the first has ended. MUST raise an alert when a threshold is passed, in the same
    /// transaction and once in a period.
    ///
    /// # Errors
    /// [`QuotaError::Exceeded`] if the level would exceed the limit.
    async fn take(&mut self, meter: Meter, amount: i64, limit: Limit) -> Result<i64, QuotaError>;

    /// Subtracts `amount` from the level of `meter`.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if less was taken, which is a defect. Nothing was subtracted then.
    async fn give_back(&mut self, meter: Meter, amount: i64) -> Result<(), StoreError>;

    /// The level of `meter`; 0 if nothing was taken.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be read.
    async fn level(&mut self, meter: Meter) -> Result<i64, StoreError>;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    fn period(meter: Meter, now: &str) -> [String; 2] {
        let period = meter.period(now.parse().unwrap());
        [period.start.to_rfc3339(), period.end.to_rfc3339()]
    }

    #[test]
    fn months_and_days_begin_at_midnight_utc() {
        let month = ["2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"];
        assert_eq!(period(Meter::Events, "2026-12-31T23:59:59.999Z"), month);
        assert_eq!(period(Meter::Runs, "2026-12-01T00:00:00Z"), month);
        let day = ["2028-02-29T00:00:00+00:00", "2028-03-01T00:00:00+00:00"];
        assert_eq!(period(Meter::ApiCalls, "2028-02-29T12:00:00Z"), day);
        let now = "2028-02-29T12:00:00Z".parse().unwrap();
        assert_eq!(Meter::Members.resets_at(now), None);
        assert_eq!(Meter::Events.resets_at(now), Some(Meter::Events.period(now).end));
    }

    #[test]
    fn an_instant_lies_in_its_period_and_periods_meet() {
        let step = 39_119_999;
        for seconds in (0..10_000_000_000_i64).step_by(step) {
            let now = DateTime::from_timestamp(seconds, 0).unwrap();
            for span in [Span::Day, Span::Month] {
                let period = span.period(now);
                assert!(period.start <= now && now < period.end);
                assert_eq!(span.period(period.end).start, period.end);
            }
        }
    }

    #[test]
    fn a_month_is_written_as_in_iso_8601() {
        let february = Period::month("2028-02").unwrap();
        assert_eq!((february.end - february.start).num_days(), 29);
        assert!(Period::month("0001-01").is_some() && Period::month("9999-12").is_some());
        for text in
            ["", "2028", "2028-2", "2028-00", "2028-13", "0000-01", "+028-01", "2028-02-01", "12028-01", "２028-01"]
        {
            assert_eq!(Period::month(text), None, "{text}");
        }
    }

    #[test]
    fn thresholds_are_passed_at_their_share_of_the_limit() {
        let passed = |used, limit| thresholds_passed(used, limit).collect::<Vec<_>>();
        assert_eq!(passed(79, Limit::AtMost(100)), [0; 0]);
        assert_eq!(passed(80, Limit::AtMost(100)), [80]);
        assert_eq!(passed(2, Limit::AtMost(3)), [0; 0]);
        assert_eq!(passed(3, Limit::AtMost(3)), [80, 100]);
        assert_eq!(passed(i64::MAX, Limit::AtMost(i64::MAX)), [80, 100]);
        assert_eq!(passed(0, Limit::AtMost(0)), [0; 0]);
        assert_eq!(passed(i64::MAX, Limit::Unlimited), [0; 0]);
    }

    #[test]
    fn meters_read_back_by_name() {
        for meter in Meter::ALL {
            assert_eq!(meter.as_str().parse(), Ok(*meter));
        }
        assert!("calls".parse::<Meter>().is_err());
    }

    #[test]
    fn a_reservation_is_released_once_unless_it_is_committed() {
        let released = Arc::new(AtomicI64::new(0));
        let reservation = || {
            let released = Arc::clone(&released);
            Reservation::new(5, move |units| {
                released.fetch_add(units, Ordering::Relaxed);
            })
        };
        reservation().commit();
        Reservation::unlimited().commit();
        assert_eq!(released.load(Ordering::Relaxed), 0);
        reservation().commit_some(5);
        assert_eq!(released.load(Ordering::Relaxed), 0);
        reservation().commit_some(3);
        assert_eq!(released.load(Ordering::Relaxed), 2);
        drop(reservation());
        assert_eq!(released.load(Ordering::Relaxed), 7);
    }
}
