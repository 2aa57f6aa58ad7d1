//! Time maps: what was known, as a size of each log (`docs/src/spec/log.md`, section "Time maps").

use crate::checkpoint::LOG_SIZE_MAX;
use crate::checkpoint::LogId;
use crate::codec::DecodeError;
use crate::codec::Decoder;
use crate::codec::Encoder;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use thiserror::Error;

/// The version of time maps that this crate writes.
pub const TIME_MAP_VERSION: u8 = 0;
/// The most logs of a time map.
pub const TIME_MAP_LOGS_MAX: usize = 65_536;

/// A bound over logs: of each, its first so many positions, at most [`LOG_SIZE_MAX`]; of a log that is not in it, none.
///
/// Bounds are ordered where one covers the other: `a < b` when `b` has all that `a` has, and more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeMap {
    // No size is 0, so that a bound has one form.
    sizes: BTreeMap<LogId, u64>,
}

/// Why a log does not fit into a time map.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeMapError {
    /// A size above [`LOG_SIZE_MAX`].
    #[error("a log of {0} positions, the limit is {LOG_SIZE_MAX}")]
    SizeTooLarge(u64),
    /// More logs than [`TIME_MAP_LOGS_MAX`].
    #[error("{0} logs, the limit is {TIME_MAP_LOGS_MAX}")]
    TooManyLogs(usize),
}

impl TimeMap {
    /// The bound that has nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the first `size` positions of a log; never takes any away.
    ///
    /// # Errors
    ///
    /// When the size or the number of logs is above its limit; the bound is then as before.
    pub fn raise(&mut self, log: LogId, size: u64) -> Result<(), TimeMapError> {
        if size > LOG_SIZE_MAX {
            return Err(TimeMapError::SizeTooLarge(size));
        }
        if size <= self.size(&log) {
            return Ok(());
        }
        if self.sizes.len() == TIME_MAP_LOGS_MAX && !self.sizes.contains_key(&log) {
            return Err(TimeMapError::TooManyLogs(TIME_MAP_LOGS_MAX + 1));
        }
        self.sizes.insert(log, size);
        Ok(())
    }

    /// How many positions of a log are in it.
    pub fn size(&self, log: &LogId) -> u64 {
        self.sizes.get(log).copied().unwrap_or(0)
    }

    /// Whether a position of a log is in it.
    pub fn contains(&self, log: &LogId, position: u64) -> bool {
        position < self.size(log)
    }

    /// The logs of which it has any positions, in ascending order, with how many.
    pub fn iter(&self) -> impl Iterator<Item = (&LogId, u64)> {
        self.sizes.iter().map(|(log, size)| (log, *size))
    }

    /// Whether it has all that the other has.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|(log, size)| size <= self.size(log))
    }

    /// The least bound that covers both: of each log the larger size.
    ///
    /// # Errors
    ///
    /// [`TimeMapError::TooManyLogs`] when they have too many together.
    pub fn join(&self, other: &Self) -> Result<Self, TimeMapError> {
        let mut sizes = self.sizes.clone();
        for (log, size) in other.iter() {
            let mine = sizes.entry(*log).or_insert(size);
            *mine = size.max(*mine);
        }
        match sizes.len() {
            logs if logs > TIME_MAP_LOGS_MAX => Err(TimeMapError::TooManyLogs(logs)),
            _ => Ok(Self { sizes }),
        }
    }

    /// The greatest bound that both cover: of each log the smaller size.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let least = self
            .iter()
            .map(|(log, size)| (*log, size.min(other.size(log))));
        Self {
            sizes: least.filter(|(_, size)| *size > 0).collect(),
        }
    }

    /// Its canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Encoder::new();
        to.u8(TIME_MAP_VERSION).length(self.sizes.len());
        for (log, size) in self.iter() {
            to.raw(&log.to_bytes()).uint(size);
        }
        to.finish()
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    ///
    /// When they are not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Decoder::exactly(bytes, Self::decode)
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.version("time map version", TIME_MAP_VERSION)?;
        let count = from.length("number of logs", TIME_MAP_LOGS_MAX)?;
        let mut sizes = BTreeMap::new();
        for _ in 0..count {
            let at = from.at();
            let log = LogId::decode(from)?;
            if sizes.last_key_value().is_some_and(|(last, _)| *last >= log) {
                let rule = "logs are in strictly ascending order";
                return Err(DecodeError::NotCanonical { at, rule });
            }
            let at = from.at();
            let size = from.uint_up_to("log size", LOG_SIZE_MAX)?;
            if size == 0 {
                let rule = "a log without positions is left out";
                return Err(DecodeError::NotCanonical { at, rule });
            }
            sizes.insert(log, size);
        }
        Ok(Self { sizes })
    }
}

impl PartialOrd for TimeMap {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self.covers(other), other.covers(self)) {
            (true, true) => Some(Ordering::Equal),
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CompartmentId;
    use crate::id::DomainId;
    use crate::id::LaneId;
    use proptest::prelude::*;

    fn log(number: u32) -> LogId {
        let mut lane = [0; 16];
        lane[..4].copy_from_slice(&number.to_le_bytes());
        LogId {
            origin: DomainId::new([1; 32]),
            compartment: CompartmentId::PUBLIC,
            lane: LaneId::new(lane),
        }
    }

    fn map(sizes: &[u64]) -> TimeMap {
        let mut map = TimeMap::new();
        for (number, size) in (0..).zip(sizes) {
            map.raise(log(number), *size).unwrap();
        }
        map
    }

    #[test]
    fn a_bound_only_grows_and_tells_what_it_has() {
        let mut map = map(&[5]);
        map.raise(log(0), 3).unwrap();
        map.raise(log(1), 0).unwrap();
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&log(0), 5)]);
        assert!(map.contains(&log(0), 4) && !map.contains(&log(0), 5));
        assert!(!map.contains(&log(1), 0));
    }

    #[test]
    fn bounds_have_limits() {
        let mut map = TimeMap::new();
        map.raise(log(0), LOG_SIZE_MAX).unwrap();
        let error = TimeMapError::SizeTooLarge(LOG_SIZE_MAX + 1);
        assert_eq!(map.raise(log(0), LOG_SIZE_MAX + 1), Err(error));
        (1..TIME_MAP_LOGS_MAX as u32).for_each(|number| map.raise(log(number), 1).unwrap());
        assert_eq!(TimeMap::from_bytes(&map.to_bytes()).as_ref(), Ok(&map));
        let error = TimeMapError::TooManyLogs(TIME_MAP_LOGS_MAX + 1);
        let another = log(TIME_MAP_LOGS_MAX as u32);
        assert_eq!(map.raise(another, 1), Err(error.clone()));
        map.raise(log(1), 2).unwrap();
        let mut other = TimeMap::new();
        other.raise(another, 1).unwrap();
        assert_eq!(map.join(&other), Err(error));
        let error = TimeMap::from_bytes(&[0, 0x81, 0x80, 0x04]);
        let limit = DecodeError::LimitExceeded {
            at: 1,
            what: "number of logs",
            actual: 65_537,
            limit: 65_536,
        };
        assert_eq!(error, Err(limit));
    }

    #[test]
    fn other_spellings_of_a_bound_are_refused() {
        let (one, two) = (log(1).to_bytes(), log(2).to_bytes());
        let cases = [
            ([&[0, 2][..], &two, &[1], &one, &[1]].concat(), 67),
            ([&[0, 2][..], &one, &[1], &one, &[1]].concat(), 67),
            ([&[0, 1][..], &one, &[0]].concat(), 66),
        ];
        for (bytes, offset) in cases {
            let error = TimeMap::from_bytes(&bytes);
            assert!(matches!(error, Err(DecodeError::NotCanonical { at, .. }) if at == offset));
        }
        let (what, code) = ("time map version", 1);
        let error = DecodeError::UnknownCode { at: 0, what, code };
        assert_eq!(TimeMap::from_bytes(&[1, 0]), Err(error));
    }

    proptest! {
        #[test]
        fn join_and_meet_are_the_least_and_greatest_bounds(
            one in prop::collection::vec(0..4u64, 4),
            other in prop::collection::vec(0..4u64, 4),
            third in prop::collection::vec(0..4u64, 4),
        ) {
            let (one, other, third) = (map(&one), map(&other), map(&third));
            let (join, meet) = (one.join(&other).unwrap(), one.meet(&other));
            prop_assert!(join >= one && join >= other && meet <= one && meet <= other);
            prop_assert_eq!(third >= join, third >= one && third >= other);
            prop_assert_eq!(third <= meet, third <= one && third <= other);
            prop_assert_eq!(one == other, one <= other && other <= one);
            prop_assert_eq!(TimeMap::from_bytes(&join.to_bytes()), Ok(join));
        }
    }
}
