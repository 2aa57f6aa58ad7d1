//! How long to wait before trying again, and how much to send at once.

/// Exponential backoff with jitter and a budget. Randomness is an argument: the same numbers give the same delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any values are legal")]
pub struct RetryPolicy {
    /// The delay after the first failure.
    pub delay_ms_first: u64,
    /// No delay is longer.
    pub delay_ms_max: u64,
    /// The budget: how many failures in a row are followed by another attempt.
    pub retries_max: u32,
    /// How much of a delay chance may take away, so that those who failed together do not come back together. More than
    /// 100 is 100.
    pub jitter_percent: u8,
}

impl RetryPolicy {
    /// How long to wait after so many failures in a row; `None` when the budget is spent.
    ///
    /// The delay doubles with each failure up to [`delay_ms_max`](Self::delay_ms_max). Of that, `random` takes away up to
    /// [`jitter_percent`](Self::jitter_percent).
    pub fn delay_ms(&self, failures: u32, random: u64) -> Option<u64> {
        let Some(doublings) = failures.checked_sub(1) else {
            return Some(0);
        };
        if failures > self.retries_max {
            return None;
        }
        let delay = backoff_ms(self.delay_ms_first, self.delay_ms_max, doublings);
        let percent = u64::from(self.jitter_percent.min(100));
        let jitter = delay / 100 * percent + delay % 100 * percent / 100;
        Some(delay - random % jitter.saturating_add(1))
    }
}

/// A delay that doubles so many times, up to a bound.
pub(crate) fn backoff_ms(first: u64, max: u64, doublings: u32) -> u64 {
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    first.saturating_mul(factor).min(max)
}

/// How many facts a batch begins with, before anything is known of the way.
pub const BATCH_FACTS_FIRST: u32 = 64;

/// How many facts the next batch may have: twice what the last one carried through, and nothing is waited for to fill
/// it. After a failure the last one counts as 0, and it begins anew.
pub fn next_batch(last: u32, max: u32) -> u32 {
    last.saturating_mul(2).max(BATCH_FACTS_FIRST).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn delays_double_up_to_the_bound_until_the_budget_is_spent() {
        let policy = RetryPolicy {
            delay_ms_first: 100,
            delay_ms_max: 500,
            retries_max: 4,
            jitter_percent: 50,
        };
        let delays = (0..6).map(|failures| policy.delay_ms(failures, 0));
        let expected = [Some(0), Some(100), Some(200), Some(400), Some(500), None];
        assert_eq!(delays.collect::<Vec<_>>(), expected);
        assert_eq!(policy.delay_ms(1, 50), Some(50));
        assert_eq!(policy.delay_ms(1, 51), Some(100));
    }

    #[test]
    fn chance_takes_away_as_much_of_a_delay_as_it_may() {
        let shortest = |delay_ms_first, jitter_percent| {
            let policy = RetryPolicy {
                delay_ms_first,
                delay_ms_max: u64::MAX,
                retries_max: 1,
                jitter_percent,
            };
            (0..2_000).map(|random| policy.delay_ms(1, random)).min()
        };
        assert_eq!(shortest(1_000, 0), Some(Some(1_000)));
        assert_eq!(shortest(1_000, 20), Some(Some(800)));
        assert_eq!(shortest(199, 50), Some(Some(100)));
        assert_eq!(shortest(1_000, 100), Some(Some(0)));
        assert_eq!(shortest(1_000, 255), Some(Some(0)));
        assert_eq!(shortest(u64::MAX, 100), Some(Some(u64::MAX - 1_999)));
    }

    #[test]
    fn batches_double_from_the_first_size_up_to_the_largest() {
        assert_eq!(next_batch(0, 1000), BATCH_FACTS_FIRST);
        assert_eq!(next_batch(64, 1000), 128);
        assert_eq!(next_batch(600, 1000), 1000);
        assert_eq!(next_batch(u32::MAX, u32::MAX), u32::MAX);
        assert_eq!(next_batch(0, 10), 10);
    }

    proptest! {
        #[test]
        fn retries_stay_within_budget_and_bounds(
            delay_ms_first: u64, delay_ms_max: u64, retries_max: u32, jitter_percent: u8, failures: u32,
            random: u64,
        ) {
            let policy = RetryPolicy { delay_ms_first, delay_ms_max, retries_max, jitter_percent };
            match policy.delay_ms(failures, random) {
                None => prop_assert!(failures > retries_max),
                Some(0) if failures == 0 => {}
                Some(delay) => {
                    let longest = policy.delay_ms(failures, 0).unwrap();
                    prop_assert!(failures <= retries_max);
                    prop_assert!(delay <= longest && longest <= delay_ms_max);
                    let share = u128::from(longest) * u128::from(jitter_percent.min(100)) / 100;
                    prop_assert!(u128::from(longest - delay) <= share);
                }
            }
        }
    }
}
