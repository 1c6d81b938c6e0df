//! The delay before another attempt: backoff with jitter.

use std::time::Duration;

use tidegate_kernel::RunId;

use crate::compiled::{RetryPolicy, StepIndex};

/// The delay after the failed attempt `attempt`, or `None` if no attempt is left: between half of the policy's delay
/// and all of it ("equal jitter": Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015). The jitter
/// is a function of the run, the step and the attempt, so the same history always gives the same delay.
pub(super) fn backoff(policy: &RetryPolicy, run: RunId, step: StepIndex, attempt: u32) -> Option<Duration> {
    let delay = policy.delay_after(attempt)?;
    let (high, low) = run.as_uuid().as_u64_pair();
    let seed = high ^ low.rotate_left(17) ^ (u64::from(step.0) << 32) ^ u64::from(attempt);
    Some(delay.mul_f64(0.5 + 0.5 * unit(seed)))
}

/// A number in `0.0..1.0` from a seed: the finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn unit(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    f64::from(u32::try_from(z >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    proptest! {
        #[test]
        fn a_pause_is_between_half_and_all_of_the_delay(run: u128, step: u16, attempt in 1u32..3) {
            let policy = RetryPolicy::default();
            let pause = backoff(&policy, RunId::from_uuid(Uuid::from_u128(run)), StepIndex(step), attempt).unwrap();
            let delay = policy.delay_after(attempt).unwrap();
            prop_assert!(pause >= delay / 2 && pause <= delay);
        }
    }

    #[test]
    fn two_runs_that_fail_together_do_not_come_back_together() {
        let pauses: std::collections::BTreeSet<_> = (0..100)
            .map(|n| backoff(&RetryPolicy::default(), RunId::from_uuid(Uuid::from_u128(n)), StepIndex(0), 1))
            .collect();
        assert!(pauses.len() > 90);
    }
}
