//! Promo codes: discounts on the invoices of a subscription.

use chrono::{DateTime, Utc};

use crate::money::{Currency, Overflow};

/// Parts per million of 100 %.
const WHOLE: u32 = 1_000_000;

/// What a promo code takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discount {
    /// A share of the charges, in parts per million: 250 000 is 25 %.
    Percent(u32),
    /// Up to this many minor units of an invoice in this currency. What an invoice does not use up is lost.
    Amount(Currency, i64),
}

/// For how many invoices of a subscription a promo code counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromoDuration {
    /// For this many invoices, at least 1.
    Invoices(u32),
    /// For all invoices from its redemption on.
    Forever,
}

/// A promo code, and how often it was redeemed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromoCode {
    /// The code that a customer enters.
    pub code: String,
    /// What it takes off.
    pub discount: Discount,
    /// For how many invoices.
    pub duration: PromoDuration,
    /// How many customers can redeem it; `None` if any number can.
    pub max_redemptions: Option<i64>,
    /// The first instant at which it cannot be redeemed any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// How many customers have redeemed it.
    pub redemptions: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// From when on it cannot be redeemed, whatever else it says.
    pub deactivated_at: Option<DateTime<Utc>>,
}

/// A promo code that a customer has redeemed: a copy of its discount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromoRedemption {
    /// The code.
    pub code: String,
    /// What it takes off.
    pub discount: Discount,
    /// For how many more invoices it counts; `None` is for all.
    pub left: Option<u32>,
    /// When it was redeemed.
    pub redeemed_at: DateTime<Utc>,
}

impl PromoRedemption {
    /// What it takes off an invoice in this currency; `None` if it takes off nothing.
    #[must_use]
    pub fn on_invoice(&self, currency: Currency) -> Option<(String, Discount)> {
        let fits = !matches!(self.discount, Discount::Amount(other, _) if other != currency);
        (fits && self.left != Some(0)).then(|| (self.code.clone(), self.discount))
    }
}

/// Why a promo code cannot be redeemed or created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PromoError {
    /// It is not written as a promo code is.
    #[error("a promo code has 6 to 40 letters, digits and dashes")]
    Text,
    /// Its time is over.
    #[error("the promo code has expired")]
    Expired,
    /// As many customers as can have redeemed it.
    #[error("the promo code was redeemed as often as it can be")]
    UsedUp,
    /// It takes off an amount of another currency.
    #[error("the promo code is for another currency")]
    Currency,
    /// It takes off nothing, or more than everything.
    #[error("a promo code takes off more than 0 and at most 100 %")]
    Share,
    /// It takes off nothing.
    #[error("a promo code takes off at least one minor unit")]
    Amount,
    /// It counts for no invoice.
    #[error("a promo code counts for at least one invoice")]
    Duration,
    /// No customer can redeem it.
    #[error("at least one customer can redeem a promo code")]
    Redemptions,
}

impl PromoCode {
    /// The shortest code. With the limit of attempts, a random one is not guessed.
    pub const MIN_LEN: usize = 6;
    /// The longest code.
    pub const MAX_LEN: usize = 40;

    /// A code as customers enter it, in the form in which it is stored.
    #[must_use]
    pub fn normalized(text: &str) -> String {
        text.trim().to_ascii_uppercase()
    }

    /// What a customer has who redeems it at this time.
    #[must_use]
    pub fn redemption(&self, now: DateTime<Utc>) -> PromoRedemption {
        let left = match self.duration {
            PromoDuration::Invoices(invoices) => Some(invoices),
            PromoDuration::Forever => None,
        };
        PromoRedemption { code: self.code.clone(), discount: self.discount, left, redeemed_at: now }
    }

    /// Checks that the code makes sense.
    ///
    /// # Errors
    /// [`PromoError`] says what does not.
    pub fn check(&self) -> Result<(), PromoError> {
        let is_text = (Self::MIN_LEN..=Self::MAX_LEN).contains(&self.code.len())
            && self.code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
        if !is_text {
            return Err(PromoError::Text);
        }
        match self.discount {
            Discount::Percent(ppm) if !(1..=WHOLE).contains(&ppm) => return Err(PromoError::Share),
            Discount::Amount(_, amount) if amount < 1 => return Err(PromoError::Amount),
            Discount::Percent(_) | Discount::Amount(..) => {}
        }
        if self.duration == PromoDuration::Invoices(0) {
            Err(PromoError::Duration)
        } else if self.max_redemptions.is_some_and(|max| max < 1) {
            Err(PromoError::Redemptions)
        } else {
            Ok(())
        }
    }

    /// Redeems the code once for a customer who pays in `currency`, if they have a subscription. The caller makes sure that each customer redeems
    /// a code once, and that nothing comes between reading the code and storing the result.
    ///
    /// # Errors
    /// [`PromoError`] if it has expired, is used up, or is for another currency. Nothing has changed then.
    pub fn redeem(&mut self, now: DateTime<Utc>, currency: Option<Currency>) -> Result<(), PromoError> {
        if [self.expires_at, self.deactivated_at].into_iter().flatten().any(|end| end <= now) {
            return Err(PromoError::Expired);
        } else if self.max_redemptions.is_some_and(|max| self.redemptions >= max) {
            return Err(PromoError::UsedUp);
        } else if matches!(self.discount, Discount::Amount(other, _) if currency.is_some_and(|currency| currency != other))
        {
            return Err(PromoError::Currency);
        }
        self.redemptions = self.redemptions.saturating_add(1);
        Ok(())
    }
}

impl Discount {
    /// What is taken off charges of this many minor units: at most the charges. A share is rounded down.
    ///
    /// # Errors
    /// [`Overflow`] if a share does not fit, which it does up to 100 %.
    pub fn of(self, charges: i64) -> Result<i64, Overflow> {
        let charges = charges.max(0);
        match self {
            Self::Percent(ppm) => {
                i64::try_from(i128::from(charges) * i128::from(ppm) / i128::from(WHOLE)).map_err(|_| Overflow)
            }
            Self::Amount(_, amount) => Ok(amount.clamp(0, charges)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(discount: Discount) -> PromoCode {
        let duration = PromoDuration::Invoices(3);
        let expires_at = Some("2027-01-01T00:00:00Z".parse().unwrap());
        PromoCode {
            code: "SPRING".into(),
            discount,
            duration,
            max_redemptions: Some(2),
            expires_at,
            redemptions: 0,
            created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            deactivated_at: None,
        }
    }

    #[test]
    fn a_code_is_redeemed_as_often_as_it_can_be() {
        let now = "2026-12-31T23:59:59Z".parse().unwrap();
        let mut promo = code(Discount::Amount(Currency::EUR, 500));
        assert_eq!(promo.redeem(now, Some("USD".parse().unwrap())), Err(PromoError::Currency));
        assert_eq!(promo.redeem("2027-01-01T00:00:00Z".parse().unwrap(), None), Err(PromoError::Expired));
        let redeemed: Vec<_> = (0..3).map(|_| promo.redeem(now, Some(Currency::EUR))).collect();
        assert_eq!(redeemed, [Ok(()), Ok(()), Err(PromoError::UsedUp)]);
        assert_eq!(promo.redemptions, 2);
        let mut gone = PromoCode { deactivated_at: Some(now), ..code(Discount::Percent(1)) };
        assert_eq!(gone.redeem(now, None), Err(PromoError::Expired));
    }

    #[test]
    fn a_discount_is_at_most_the_charges() {
        let off = |discount: Discount, charges| discount.of(charges).unwrap();
        assert_eq!(off(Discount::Percent(333_333), 100), 33);
        assert_eq!(off(Discount::Percent(1_000_000), i64::MAX), i64::MAX);
        assert_eq!(off(Discount::Amount(Currency::EUR, 500), 300), 300);
        assert_eq!(off(Discount::Amount(Currency::EUR, 500), -300), 0);
    }

    #[test]
    fn a_code_that_makes_no_sense_is_refused() {
        let percent = code(Discount::Percent(250_000));
        assert_eq!(percent.check(), Ok(()));
        assert_eq!(code(Discount::Percent(1_000_001)).check(), Err(PromoError::Share));
        assert_eq!(code(Discount::Amount(Currency::EUR, -5)).check(), Err(PromoError::Amount));
        let never = PromoCode { duration: PromoDuration::Invoices(0), ..percent.clone() };
        assert_eq!(never.check(), Err(PromoError::Duration));
        for text in ["FEW", "small-letters", "WITH SPACE", &"A".repeat(41)] {
            assert_eq!(PromoCode { code: text.into(), ..percent.clone() }.check(), Err(PromoError::Text), "{text}");
        }
        assert_eq!(PromoCode { max_redemptions: Some(0), ..percent }.check(), Err(PromoError::Redemptions));
    }
}
