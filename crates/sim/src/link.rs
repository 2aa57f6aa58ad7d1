//! What a link does to the datagrams that it carries: a pure function of a seed, the time and what went before. The
//! simulated network asks it, and whatever relays real datagrams may ask it too.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// So many of a thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_structs,
    reason = "any number is one; from 1000 on it is always"
)]
pub struct PerMille(pub u32);

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "any values describe a link")]
pub struct Conditions {
    /// The least time that a datagram takes.
    pub latency: Duration,
    /// Up to so much longer, drawn for each; the order stays.
    pub jitter: Duration,
    /// Datagrams that do not arrive.
    pub loss: PerMille,
    /// Datagrams that arrive twice.
    pub duplication: PerMille,
    /// Datagrams that others overtake.
    pub reordering: PerMille,
    /// Datagrams of which one bit arrives flipped.
    pub corruption: PerMille,
    /// How much fits through; what waits longer than [`QUEUE_MAX`] is dropped. `None`: as much as there is.
    pub bytes_per_second: Option<u64>,
    /// Nothing arrives.
    pub is_cut: bool,
}

impl Conditions {
    /// A good line between two cities.
    pub const GOOD: Self = Self {
        latency: Duration::from_millis(20),
        jitter: Duration::from_millis(4),
        loss: PerMille(0),
        duplication: PerMille(0),
        reordering: PerMille(0),
        corruption: PerMille(0),
        bytes_per_second: None,
        is_cut: false,
    };
}

/// What happened to a datagram beyond taking its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the faults that a link has")]
pub enum LinkFault {
    /// A bit was flipped.
    Corrupted,
    /// The link is cut.
    Cut,
    /// It arrives twice.
    Duplicated,
    /// It is lost.
    Lost,
    /// It was dropped, because too much waits for a narrow link.
    Overflowed,
    /// It arrives later than what follows it.
    Reordered,
}

/// A copy of a datagram that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// When, on the clock of the caller.
    pub at: Duration,
    /// What.
    pub bytes: Vec<u8>,
}

/// What becomes of one datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Passage {
    /// The copies that arrive: none, one or two.
    pub deliveries: Vec<Delivery>,
    /// What happened on the way.
    pub faults: Vec<LinkFault>,
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct LinkModel {
    /// How it behaves from now on.
    pub conditions: Conditions,
    random: ChaCha8Rng,
    /// When the last datagram will have left for good.
    sent: Duration,
    /// When the last datagram that was not overtaken arrives.
    arrived: Duration,
}

impl LinkModel {
    /// A link whose fortunes the seed decides.
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        Self {
            conditions,
            random: ChaCha8Rng::seed_from_u64(seed),
            sent: Duration::ZERO,
            arrived: Duration::ZERO,
        }
    }

    /// Carries a datagram that is sent at `now`, which never decreases. Draws equally often whatever happens, so that one
    /// decision does not change all that follow.
    pub fn carry(&mut self, now: Duration, datagram: &[u8]) -> Passage {
        let conditions = self.conditions;
        let [loss, duplication, reordering, corruption] = [(); 4].map(|()| self.random.next_u32());
        let [jitter, late, place] = [(); 3].map(|()| self.random.next_u64());
        let happens = |draw: u32, chance: PerMille| draw % 1000 < chance.0;

        let mut passage = Passage::default();
        if conditions.is_cut {
            passage.faults.push(LinkFault::Cut);
            return passage;
        }
        let Some(sent) = self.send(now, datagram.len()) else {
            passage.faults.push(LinkFault::Overflowed);
            return passage;
        };
        if happens(loss, conditions.loss) {
            passage.faults.push(LinkFault::Lost);
            return passage;
        }
        let mut bytes = datagram.to_vec();
        if happens(corruption, conditions.corruption) && !bytes.is_empty() {
            let bit = place % (8 * bytes.len() as u64);
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
            passage.faults.push(LinkFault::Corrupted);
        }
        let mut at = sent + conditions.latency + part_of(conditions.jitter, jitter);
        if happens(reordering, conditions.reordering) {
            at += LATE_MIN + part_of(LATE_MAX - LATE_MIN, late);
            passage.faults.push(LinkFault::Reordered);
        } else {
            at = at.max(self.arrived);
            self.arrived = at;
        }
        if happens(duplication, conditions.duplication) {
            let at = at + part_of(LATE_MAX, late);
            let bytes = bytes.clone();
            passage.deliveries.push(Delivery { at, bytes });
            passage.faults.push(LinkFault::Duplicated);
        }
        passage.deliveries.insert(0, Delivery { at, bytes });
        passage
    }

    /// When a datagram has left, if it does not have to wait too long for those before it.
    fn send(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        let Some(rate) = self.conditions.bytes_per_second else {
            return Some(now);
        };
        let start = self.sent.max(now);
        if start - now > QUEUE_MAX {
            return None;
        }
        let takes = Duration::from_micros(bytes as u64 * 1_000_000 / rate.max(1));
        self.sent = start + takes;
        Some(self.sent)
    }
}

/// A share of a duration that a draw decides.
fn part_of(whole: Duration, draw: u64) -> Duration {
    let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(draw % micros.saturating_add(1))
}

/// How long a datagram waits for those before it, at most.
pub const QUEUE_MAX: Duration = Duration::from_millis(500);

/// How much later than it would have been an overtaken datagram arrives.
const LATE_MIN: Duration = Duration::from_millis(5);
const LATE_MAX: Duration = Duration::from_millis(60);

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u64 = 10_000;

    fn link(change: impl FnOnce(&mut Conditions)) -> LinkModel {
        let mut conditions = Conditions::GOOD;
        change(&mut conditions);
        LinkModel::new(7, conditions)
    }

    /// Sends a datagram of 100 bytes each millisecond.
    fn passages(link: &mut LinkModel) -> Vec<Passage> {
        let passage = |n| link.carry(Duration::from_millis(n), &[n as u8; 100]);
        (0..COUNT).map(passage).collect()
    }

    fn count(passages: &[Passage], fault: LinkFault) -> usize {
        let has = |passage: &&Passage| passage.faults.contains(&fault);
        passages.iter().filter(has).count()
    }

    #[test]
    fn a_good_link_delivers_everything_in_order_and_in_time() {
        let passages = passages(&mut link(|_| {}));
        let mut before = Duration::ZERO;
        for (n, passage) in passages.iter().enumerate() {
            assert_eq!(passage.faults, []);
            let [delivery] = passage.deliveries.as_slice() else {
                panic!("{passage:?}");
            };
            let took = delivery.at - Duration::from_millis(n as u64);
            assert!(took >= Duration::from_millis(20) && took <= Duration::from_millis(24));
            assert!(delivery.at >= before && delivery.bytes == [n as u8; 100]);
            before = delivery.at;
        }
    }

    #[test]
    fn each_fault_happens_as_often_as_it_should_and_shows() {
        let passages = passages(&mut link(|conditions| {
            conditions.loss = PerMille(50);
            conditions.duplication = PerMille(50);
            conditions.reordering = PerMille(50);
            conditions.corruption = PerMille(50);
        }));
        for fault in [
            LinkFault::Lost,
            LinkFault::Duplicated,
            LinkFault::Reordered,
            LinkFault::Corrupted,
        ] {
            let count = count(&passages, fault);
            assert!((350..650).contains(&count), "{fault:?}: {count}");
        }
        let mut overtaken = 0;
        let mut before = Duration::ZERO;
        for (n, passage) in passages.iter().enumerate() {
            let has = |fault| passage.faults.contains(&fault);
            let copies = passage.deliveries.len();
            assert_eq!(copies == 0, has(LinkFault::Lost));
            assert_eq!(copies == 2, has(LinkFault::Duplicated));
            for delivery in &passage.deliveries {
                let sent = [n as u8; 100];
                let flipped = |(a, b): (&u8, &u8)| (a ^ b).count_ones();
                let flipped: u32 = delivery.bytes.iter().zip(&sent).map(flipped).sum();
                assert_eq!(flipped == 1, has(LinkFault::Corrupted), "{passage:?}");
                assert!(flipped < 2);
                overtaken += usize::from(delivery.at < before);
                before = delivery.at;
            }
        }
        assert!(overtaken > 350, "{overtaken}");
    }

    #[test]
    fn a_narrow_link_takes_its_time_and_drops_what_would_wait_too_long() {
        let mut link = link(|conditions| conditions.bytes_per_second = Some(50_000));
        let passages = passages(&mut link);
        let overflowed = count(&passages, LinkFault::Overflowed);
        assert!((4_000..5_100).contains(&overflowed), "{overflowed}");
        let delivered = passages.iter().flat_map(|passage| &passage.deliveries);
        let last = delivered.map(|delivery| delivery.at).max().unwrap();
        let most = Duration::from_millis(COUNT) + QUEUE_MAX + Duration::from_millis(30);
        assert!(
            last <= most && last > Duration::from_millis(COUNT),
            "{last:?}"
        );
    }

    #[test]
    fn nothing_passes_a_cut_link_and_what_passes_afterwards_is_as_without_the_cut() {
        let mut cut = link(|conditions| conditions.is_cut = true);
        assert_eq!(count(&passages(&mut cut), LinkFault::Cut), COUNT as usize);
        let mut whole = link(|_| {});
        passages(&mut whole);
        cut.conditions.is_cut = false;
        let later = Duration::from_millis(2 * COUNT);
        assert_eq!(cut.carry(later, b"hello"), whole.carry(later, b"hello"));
    }

    #[test]
    fn equal_seeds_have_equal_fortunes_and_others_have_not() {
        let lossy = |seed| {
            let mut conditions = Conditions::GOOD;
            conditions.loss = PerMille(500);
            passages(&mut LinkModel::new(seed, conditions))
        };
        assert_eq!(lossy(1), lossy(1));
        assert_ne!(lossy(1), lossy(2));
    }
}
