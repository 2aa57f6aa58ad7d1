//! Volume: how much may travel in a stretch of time, and the meters that count it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::policy::SyncPolicy;
use crate::policy::decision::PeerPolicy;
use crate::policy::decision::Share;

/// At most so many facts and bytes in any stretch of so many seconds that a [`Meter`] begins. None of them is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    facts: u64,
    bytes: u64,
    seconds: u64,
}

impl Volume {
    /// So many facts and bytes in so many seconds; `None` if one of them is 0.
    pub fn new(facts: u64, bytes: u64, seconds: u64) -> Option<Self> {
        let volume = Self {
            facts,
            bytes,
            seconds,
        };
        let is_none = [facts, bytes, seconds].contains(&0);
        (!is_none).then_some(volume)
    }

    /// How many facts.
    pub fn facts(&self) -> u64 {
        self.facts
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// In how many seconds.
    pub fn seconds(&self) -> u64 {
        self.seconds
    }
}

/// Counts what travelled for the sake of one rule and peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    since_ms: u64,
    facts: u64,
    bytes: u64,
}

impl Meter {
    /// Counts one fact of so many bytes.
    ///
    /// A stretch begins with the first fact that is counted in it, or where the clock was set back. A fact that alone is
    /// larger than the volume passes at the beginning of a stretch, since it never would otherwise.
    ///
    /// # Errors
    ///
    /// When it does not fit any more: the time at which the stretch ends. It is then not counted.
    pub fn count(&mut self, volume: &Volume, now_ms: u64, bytes: u64) -> Result<(), u64> {
        let Some(end_ms) = self.end_ms(volume, now_ms) else {
            *self = Self {
                since_ms: now_ms,
                facts: 1,
                bytes,
            };
            return Ok(());
        };
        let total = self.bytes.saturating_add(bytes);
        if self.facts >= volume.facts || total > volume.bytes {
            return Err(end_ms);
        }
        self.facts += 1;
        self.bytes = total;
        Ok(())
    }

    /// Until when the volume is used up; `None` if it is not, so that some fact would still be counted.
    pub fn used_up_until(&self, volume: &Volume, now_ms: u64) -> Option<u64> {
        let is_used_up = self.facts >= volume.facts || self.bytes >= volume.bytes;
        self.end_ms(volume, now_ms).filter(|_| is_used_up)
    }

    /// When the stretch ends; `None` where none is under way.
    fn end_ms(&self, volume: &Volume, now_ms: u64) -> Option<u64> {
        let length_ms = volume.seconds.saturating_mul(1000);
        let end_ms = self.since_ms.saturating_add(length_ms);
        let is_under_way = self.facts > 0 && (self.since_ms..end_ms).contains(&now_ms);
        is_under_way.then_some(end_ms)
    }
}

/// The meters of all rules about one peer, one way.
///
/// They are kept over sessions, or a peer that calls again would have the volume again, and over policies: a rule is known
/// by its name. A restart forgets them. There is never more than one for each rule with a volume that was met since the last
/// [`retain`](Self::retain).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meters(BTreeMap<String, Meter>);

impl Meters {
    /// Counts one fact of so many bytes against the first rule that grants it and has room; against none if one grants it
    /// that has no volume.
    ///
    /// # Errors
    ///
    /// When no rule has room: the time at which the first of them will have. It is then not counted.
    pub fn count(&mut self, share: &Share<'_>, now_ms: u64, bytes: u64) -> Result<(), u64> {
        let mut next_ms = u64::MAX;
        for policy in share.policies() {
            let Some(volume) = policy.volume() else {
                return Ok(());
            };
            let mut meter = self.0.get(policy.name()).copied().unwrap_or_default();
            match meter.count(volume, now_ms, bytes) {
                Ok(()) => {
                    self.0.insert(policy.name().to_owned(), meter);
                    return Ok(());
                }
                Err(end_ms) => next_ms = next_ms.min(end_ms),
            }
        }
        Err(next_ms)
    }

    /// Until when the volume of a rule is used up; `None` if it is not.
    pub fn used_up_until(&self, policy: &SyncPolicy, now_ms: u64) -> Option<u64> {
        let meter = self.0.get(policy.name())?;
        meter.used_up_until(policy.volume()?, now_ms)
    }

    /// Forgets what was counted for rules that are none any more.
    pub fn retain(&mut self, policy: &PeerPolicy) {
        let names: BTreeSet<_> = policy.limited().map(SyncPolicy::name).collect();
        self.0.retain(|name, _| names.contains(name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn facts_and_bytes_are_counted_until_the_stretch_is_over() {
        let volume = Volume::new(2, 100, 10).unwrap();
        let mut meter = Meter::default();
        assert_eq!(meter.count(&volume, 5_000, 60), Ok(()));
        assert_eq!(meter.count(&volume, 5_001, 41), Err(15_000));
        assert_eq!(meter.count(&volume, 5_002, 40), Ok(()));
        assert_eq!(meter.count(&volume, 14_999, 0), Err(15_000));
        assert_eq!(meter.count(&volume, 15_000, 500), Ok(()));
        assert_eq!(meter.count(&volume, 15_000, 1), Err(25_000));
    }

    #[test]
    fn a_meter_says_until_when_the_volume_is_used_up() {
        let by_facts = Volume::new(2, 100, 10).unwrap();
        let mut meter = Meter::default();
        assert_eq!(meter.used_up_until(&by_facts, 0), None);
        meter.count(&by_facts, 5_000, 60).unwrap();
        assert_eq!(meter.used_up_until(&by_facts, 5_000), None);
        meter.count(&by_facts, 5_001, 1).unwrap();
        let until = [5_001, 14_999, 15_000].map(|now| meter.used_up_until(&by_facts, now));
        assert_eq!(until, [Some(15_000), Some(15_000), None]);

        let by_bytes = Volume::new(9, 61, 10).unwrap();
        assert_eq!(meter.used_up_until(&by_bytes, 5_001), Some(15_000));
        // What is larger than all of it passes at the beginning, and uses it up.
        let mut meter = Meter::default();
        assert_eq!(meter.count(&by_bytes, 0, u64::MAX), Ok(()));
        assert_eq!(meter.count(&by_bytes, 0, u64::MAX), Err(10_000));
        assert_eq!(meter.used_up_until(&by_bytes, 0), Some(10_000));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_close_a_volume_until_it_caught_up() {
        let volume = Volume::new(1, 100, 10).unwrap();
        let mut meter = Meter::default();
        meter.count(&volume, 3_600_000, 1).unwrap();
        assert_eq!(meter.used_up_until(&volume, 0), None);
        assert_eq!(meter.count(&volume, 0, 1), Ok(()));
        assert_eq!(meter.count(&volume, 1, 1), Err(10_000));
    }

    #[test]
    fn a_volume_of_nothing_is_none() {
        assert_eq!(Volume::new(0, 1, 1), None);
        assert_eq!(Volume::new(1, 0, 1), None);
        assert_eq!(Volume::new(1, 1, 0), None);
    }

    proptest! {
        #[test]
        fn a_meter_takes_any_numbers_and_its_answers_agree(
            numbers in prop::array::uniform3(1..=u64::MAX),
            counts in prop::collection::vec((any::<u64>(), any::<u64>()), 0..20),
            (now, size) in any::<(u64, u64)>(),
        ) {
            let [facts, bytes, seconds] = numbers;
            let volume = Volume::new(facts, bytes, seconds).unwrap();
            let mut meter = Meter::default();
            for (now, size) in counts {
                let _ = meter.count(&volume, now, size);
            }
            let used_up = meter.used_up_until(&volume, now);
            let before = meter;
            match meter.count(&volume, now, size) {
                Ok(()) => prop_assert!(used_up.is_none() || size == 0),
                Err(end) => {
                    prop_assert!(now < end && used_up.is_none_or(|until| until == end));
                    prop_assert_eq!(meter, before);
                }
            }
        }

        #[test]
        fn no_stretch_carries_more_than_the_volume(
            (facts, bytes, seconds) in (1..9_u64, 1..900_u64, 1..5_u64),
            steps in prop::collection::vec((0..2_000_u64, 0..300_u64), 0..80),
        ) {
            let volume = Volume::new(facts, bytes, seconds).unwrap();
            let (mut meter, mut now) = (Meter::default(), 0);
            let mut stretches: Vec<(u64, Vec<u64>)> = Vec::new();
            for (step, size) in steps {
                now += step;
                if meter.count(&volume, now, size).is_ok() {
                    match stretches.last_mut() {
                        Some((since, sizes)) if now < *since + seconds * 1000 => sizes.push(size),
                        _ => stretches.push((now, vec![size])),
                    }
                }
            }
            for (_, sizes) in stretches {
                prop_assert!(sizes.len() as u64 <= facts);
                prop_assert!(sizes.len() == 1 || sizes.iter().sum::<u64>() <= bytes);
            }
        }
    }
}
