//! Hybrid logical clocks (Kulkarni et al., "Logical Physical Clocks", 2014): 48 bits of milliseconds since 1970, and a
//! counter of 16 bits that orders what happens within one.

use std::fmt;

/// A hybrid logical time. Ordered; strictly increasing along a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hlc(u64);

impl Hlc {
    /// The largest number of milliseconds that fits, in the year 10889.
    pub const MILLIS_MAX: u64 = (1 << 48) - 1;

    /// From its 64 bits, of which the upper 48 are milliseconds.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The first time of a millisecond; later ones than [`Hlc::MILLIS_MAX`] become that.
    pub const fn from_millis(millis: u64) -> Self {
        let millis = if millis > Self::MILLIS_MAX {
            Self::MILLIS_MAX
        } else {
            millis
        };
        Self(millis << 16)
    }

    /// Its 64 bits.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The counter within the millisecond.
    pub const fn counter(self) -> u16 {
        self.0 as u16
    }

    /// The next time after this one that is not before `now_ms`, for the writer of a lane; `None` at the end of time.
    pub fn next(self, now_ms: u64) -> Option<Self> {
        self.0
            .checked_add(1)
            .map(|after| Self(after.max(Self::from_millis(now_ms).0)))
    }
}

impl fmt::Display for Hlc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.millis(), self.counter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_clock_stands_still_or_jumps_back() {
        let first = Hlc::default().next(1_000).unwrap();
        assert_eq!((first.millis(), first.counter()), (1_000, 0));
        let second = first.next(1_000).unwrap();
        assert_eq!((second.millis(), second.counter()), (1_000, 1));
        let third = second.next(10).unwrap();
        assert!(third > second);
        assert_eq!(third.next(2_000), Some(Hlc::from_millis(2_000)));
        assert_eq!(third.to_string(), "1000.2");
    }

    #[test]
    fn a_full_counter_carries_into_the_milliseconds_and_time_has_an_end() {
        let full = Hlc::from_bits((7 << 16) | 0xffff);
        assert_eq!(full.next(0), Some(Hlc::from_millis(8)));
        assert_eq!(Hlc::from_bits(u64::MAX).next(0), None);
        assert_eq!(Hlc::from_millis(u64::MAX).millis(), Hlc::MILLIS_MAX);
    }
}
