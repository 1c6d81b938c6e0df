//! The confidence in a measured share.

/// The normal quantile for 95 % (two-sided).
const Z: f64 = 1.959_963_984_540_054;

/// The lower bound of the 95 % Wilson score interval for `hits` out of `of`, in millionths, rounded down.
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
/// Statistical Association 22 (1927), 209–212. A small sample gives a low bound: three out of three give 0.438.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts below 2^52; a share of 1 at most"
)]
pub fn wilson_lower_bound(hits: i64, of: i64) -> i64 {
    if of <= 0 || hits <= 0 {
        return 0;
    }
    let (n, share) = (of as f64, (hits.min(of)) as f64 / of as f64);
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let bound = (centre - spread) / (1.0 + Z * Z / n);
    (bound.clamp(0.0, 1.0) * 1e6) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values() {
        // 81 of 263 is the worked example of Newcombe (1998), method 3: 0.2553.
        assert_eq!(wilson_lower_bound(3, 3), 438_502);
        assert_eq!(wilson_lower_bound(8, 10) / 1000, 490);
        assert_eq!((wilson_lower_bound(81, 263) + 50) / 100, 2553);
        assert_eq!(wilson_lower_bound(0, 10), 0);
        assert_eq!(wilson_lower_bound(1, 0), 0);
    }

    proptest! {
        #[test]
        fn it_is_below_the_share_and_grows_with_the_sample(hits in 1i64..1000, more in 0i64..1000) {
            let of = hits + more;
            prop_assert!(wilson_lower_bound(hits, of) <= hits * 1_000_000 / of);
            prop_assert!(wilson_lower_bound(hits, of) <= wilson_lower_bound(hits * 2, of * 2));
            prop_assert!(wilson_lower_bound(hits, of + 1) <= wilson_lower_bound(hits, of));
        }
    }
}
