//! Tax on the lines of an invoice.
//!
//! The tax of one rate is computed once, on the sum of the lines with this rate, and rounded to the nearest minor unit;
//! a half is rounded away from zero. It is distributed over the lines by the largest remainder: each line gets the
//! exact tax rounded down, and the units that are left go to the lines with the largest remainders, the first of equal
//! ones first. The tax of a line therefore differs from the exact one by less than a minor unit, and the lines sum to
//! the total.

use serde::{Deserialize, Serialize};

use crate::money::{Overflow, divide};

/// Parts per million of 100 %.
const WHOLE: i128 = 1_000_000;

/// A tax rate, and how amounts relate to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaxRate {
    /// Parts per million: 190 000 is 19 %.
    pub ppm: u32,
    /// Whether amounts contain the tax.
    pub inclusive: bool,
}

impl TaxRate {
    /// No tax.
    pub const NONE: Self = Self { ppm: 0, inclusive: false };

    /// The exact tax of an amount as a fraction: numerator and denominator.
    fn exact(self, amount: i64) -> (i128, i128) {
        let ppm = i128::from(self.ppm);
        (i128::from(amount) * ppm, if self.inclusive { WHOLE + ppm } else { WHOLE })
    }

    /// The tax of each of `amounts`, in their order.
    ///
    /// # Errors
    /// [`Overflow`] if the tax does not fit.
    pub fn of(self, amounts: &[i64]) -> Result<Vec<i64>, Overflow> {
        let (_, denominator) = self.exact(0);
        let exact: Vec<i128> = amounts.iter().map(|amount| self.exact(*amount).0).collect();
        let total = i128::from(divide(exact.iter().sum(), denominator)?);
        let mut taxes: Vec<i128> = exact.iter().map(|exact| exact.div_euclid(denominator)).collect();
        let left = total - taxes.iter().sum::<i128>();
        let mut order: Vec<usize> = (0..exact.len()).collect();
        // The sort is stable: of equal remainders the first line comes first.
        order.sort_by_key(|line| std::cmp::Reverse(exact[*line].rem_euclid(denominator)));
        for line in order.into_iter().take(usize::try_from(left).map_err(|_| Overflow)?) {
            taxes[line] += 1;
        }
        taxes.into_iter().map(|tax| i64::try_from(tax).map_err(|_| Overflow)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VAT: TaxRate = TaxRate { ppm: 190_000, inclusive: false };

    #[test]
    fn the_largest_remainders_get_the_units_that_are_left() {
        assert_eq!(VAT.of(&[1900]), Ok(vec![361]));
        assert_eq!(TaxRate { inclusive: true, ..VAT }.of(&[1190]), Ok(vec![190]));
        // 0.19 each: together 0.57, which is 1, and the first line gets it.
        assert_eq!(VAT.of(&[1, 1, 1]), Ok(vec![1, 0, 0]));
        // 1.90 and 0.95: together 2.85, which is 3.
        assert_eq!(VAT.of(&[10, 5]), Ok(vec![2, 1]));
        // -1.90 and 0.95: together -0.95, which is -1.
        assert_eq!(VAT.of(&[-10, 5]), Ok(vec![-2, 1]));
        assert_eq!(VAT.of(&[]), Ok(vec![]));
        assert_eq!(TaxRate { ppm: 2_000_000, inclusive: false }.of(&[i64::MAX]), Err(Overflow));
    }

    proptest! {
        #[test]
        fn lines_sum_to_the_rounded_total(
            ppm in 0_u32..1_000_000, inclusive: bool, amounts in prop::collection::vec(-10_000_000_i64..10_000_000, 0..20),
        ) {
            let rate = TaxRate { ppm, inclusive };
            let taxes = rate.of(&amounts).unwrap();
            let (exact, denominator) = rate.exact(amounts.iter().sum());
            prop_assert_eq!(Ok(taxes.iter().sum::<i64>()), divide(exact, denominator));
            for (amount, tax) in amounts.iter().zip(&taxes) {
                let (exact, _) = rate.exact(*amount);
                prop_assert!((i128::from(*tax) * denominator - exact).abs() < denominator);
            }
        }
    }
}
