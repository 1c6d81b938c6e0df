//! Money: currencies of ISO 4217 and whole minor units, such as cents. No amount is ever a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A currency of ISO 4217 in which a price can be: fund codes, metals and test codes are refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(iso_currency::Currency::EUR);

    /// The three letters of ISO 4217.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The number of decimal digits of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    #[must_use]
    pub fn digits(self) -> u16 {
        self.0.exponent().unwrap_or(0)
    }

    /// An amount of minor units as people read it: `22.61 EUR` for 2261.
    #[must_use]
    pub fn amount(self, minor: i64) -> String {
        let digits = usize::from(self.digits());
        let sign = if minor < 0 { "-" } else { "" };
        let text = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
        let (whole, fraction) = text.split_at(text.len() - digits);
        let point = if digits == 0 { "" } else { "." };
        format!("{sign}{whole}{point}{fraction} {}", self.code())
    }
}

/// A text that is not the code of a currency in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a currency; expected a code of ISO 4217 in capital letters, such as EUR")]
pub struct UnknownCurrency(pub String);

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.flags().is_empty())
            .map(Self)
            .ok_or_else(|| UnknownCurrency(code.to_owned()))
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(code: String) -> Result<Self, UnknownCurrency> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount that does not fit into 64 bits of minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large")]
pub struct Overflow;

/// The sum of these amounts.
///
/// # Errors
/// [`Overflow`] if the sum does not fit.
pub fn sum(amounts: impl IntoIterator<Item = i64>) -> Result<i64, Overflow> {
    let sum: i128 = amounts.into_iter().map(i128::from).sum();
    i64::try_from(sum).map_err(|_| Overflow)
}

/// `amount × part ÷ whole`, rounded to the nearest minor unit; a half is rounded away from zero.
///
/// # Errors
/// [`Overflow`] if the result does not fit or `whole` is not positive.
pub fn share(amount: i64, part: i64, whole: i64) -> Result<i64, Overflow> {
    divide(i128::from(amount) * i128::from(part), i128::from(whole))
}

/// `numerator ÷ denominator`, rounded to the nearest integer; a half is rounded away from zero.
pub(crate) fn divide(numerator: i128, denominator: i128) -> Result<i64, Overflow> {
    if denominator < 1 {
        return Err(Overflow);
    }
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    let up = if rest.abs() >= denominator - rest.abs() { numerator.signum() } else { 0 };
    i64::try_from(whole + up).map_err(|_| Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let thirds = [(1, 2), (-1, 2), (1, 3), (2, 3), (5, 2), (-5, 3)].map(|(part, whole)| share(1, part, whole));
        assert_eq!(thirds, [Ok(1), Ok(-1), Ok(0), Ok(1), Ok(3), Ok(-2)]);
        assert_eq!(share(i64::MAX, i64::MAX, i64::MAX), Ok(i64::MAX));
        assert_eq!((share(i64::MAX, 2, 1), share(1, 1, 0)), (Err(Overflow), Err(Overflow)));
        assert_eq!((sum([i64::MAX, 1, -1]), sum([i64::MAX, 1])), (Ok(i64::MAX), Err(Overflow)));
    }

    proptest! {
        #[test]
        fn a_share_of_a_whole_is_within_it(amount in 0..i64::MAX, whole in 1..i64::MAX, part in 0..i64::MAX) {
            let part = part % whole;
            let shared = share(amount, part, whole).unwrap();
            prop_assert!((0..=amount).contains(&shared));
            let exact = i128::from(amount) * i128::from(part);
            prop_assert!((i128::from(shared) * i128::from(whole) - exact).abs() * 2 <= i128::from(whole));
        }
    }

    #[test]
    fn amounts_are_written_with_the_digits_of_their_currency() {
        let of = |code: &str, minor| code.parse::<Currency>().unwrap().amount(minor);
        assert_eq!([of("EUR", 2261), of("EUR", 5), of("EUR", -100)], ["22.61 EUR", "0.05 EUR", "-1.00 EUR"]);
        assert_eq!(
            [of("JPY", 0), of("KWD", 1), of("EUR", i64::MIN)],
            ["0 JPY", "0.001 KWD", "-92233720368547758.08 EUR"]
        );
    }

    #[test]
    fn currencies_are_those_in_use() {
        assert_eq!("EUR".parse(), Ok(Currency::EUR));
        let digits = ["EUR", "JPY", "KWD"].map(|code| code.parse::<Currency>().unwrap().digits());
        assert_eq!(digits, [2, 0, 3]);
        for code in ["eur", "", "EURO", "XAU", "XTS", "CHE", "DEM"] {
            assert_eq!(code.parse::<Currency>(), Err(UnknownCurrency(code.into())));
        }
    }
}
