//! Volume: how much may travel in a stretch of time, and the meter that counts it.

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
    /// A fact that alone is larger than the volume passes at the beginning of a stretch, since it never would otherwise.
    ///
    /// # Errors
    ///
    /// When it does not fit any more: the time at which the next stretch begins. It is then not counted.
    pub fn count(&mut self, volume: &Volume, now_ms: u64, bytes: u64) -> Result<(), u64> {
        let next_ms = self
            .since_ms
            .saturating_add(volume.seconds.saturating_mul(1000));
        if self.facts == 0 || now_ms >= next_ms {
            *self = Self {
                since_ms: now_ms,
                facts: 1,
                bytes,
            };
            return Ok(());
        }
        let total = self.bytes.saturating_add(bytes);
        if self.facts >= volume.facts || total > volume.bytes {
            return Err(next_ms);
        }
        self.facts += 1;
        self.bytes = total;
        Ok(())
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
    fn a_volume_of_nothing_is_none() {
        assert_eq!(Volume::new(0, 1, 1), None);
        assert_eq!(Volume::new(1, 0, 1), None);
        assert_eq!(Volume::new(1, 1, 0), None);
    }

    proptest! {
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
