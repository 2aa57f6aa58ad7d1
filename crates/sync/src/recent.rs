//! A memory of what was used lately, bounded but for what is in use.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Numbers of the appends that are open: from when one asks what it has to know until its facts are durable.
#[derive(Debug, Default)]
pub(crate) struct OpenAppends {
    open: BTreeSet<u64>,
    next: u64,
}

impl OpenAppends {
    pub(crate) fn begin(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.insert(number);
        number
    }

    pub(crate) fn end(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// Every append below it has ended.
    fn oldest(&self) -> u64 {
        self.open.first().copied().unwrap_or(self.next)
    }
}

/// Values by key, in two generations. When the younger is full the older is dropped, unless an append is open that began
/// before the older was complete: it may rely on what it found there, or may have asked the store before that was there.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    /// How many keys make a generation complete.
    generation_keys: usize,
    young: BTreeMap<K, V>,
    /// What the younger has too is out of date here.
    old: BTreeMap<K, V>,
    /// The number that the next append had when the older generation was complete.
    complete_at: u64,
}

impl<K: Ord, V> Recent<K, V> {
    pub(crate) fn new(generation_keys: usize) -> Self {
        Self {
            generation_keys,
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            complete_at: 0,
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// As [`get`](Self::get), to be changed.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    /// Whether the key is here; then it stays until every append that is open now has ended.
    pub(crate) fn keep(&mut self, key: K) -> bool {
        if self.young.contains_key(&key) {
            return true;
        }
        let kept = self.old.remove(&key);
        kept.is_some_and(|value| self.young.insert(key, value).is_none())
    }

    pub(crate) fn insert(&mut self, appends: &OpenAppends, key: K, value: V) {
        if self.young.len() >= self.generation_keys && appends.oldest() >= self.complete_at {
            self.old = std::mem::take(&mut self.young);
            self.complete_at = appends.next;
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATION_KEYS: usize = 8;

    fn fill(recent: &mut Recent<usize, ()>, appends: &OpenAppends, from: usize) {
        (from..from + GENERATION_KEYS).for_each(|key| recent.insert(appends, key, ()));
    }

    #[test]
    fn a_key_stays_for_a_generation_and_memory_is_bounded() {
        let (mut recent, appends) = (Recent::new(GENERATION_KEYS), OpenAppends::default());
        fill(&mut recent, &appends, 0);
        fill(&mut recent, &appends, 1_000_000);
        assert!(recent.get(&0).is_some());
        recent.insert(&appends, 2_000_000, ());
        assert!(recent.get(&0).is_none() && recent.get(&1_000_000).is_some());
        assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION_KEYS);
    }

    #[test]
    fn what_an_open_append_may_rely_on_stays_until_it_has_ended() {
        let (mut recent, mut appends) = (Recent::new(GENERATION_KEYS), OpenAppends::default());
        fill(&mut recent, &appends, 0);
        let begun = appends.begin();
        recent.insert(&appends, 1_000_000, ());
        assert!(recent.keep(7));
        fill(&mut recent, &appends, 2_000_000);
        fill(&mut recent, &appends, 3_000_000);
        // It found key 7 when it began, and the store may not have had the others.
        assert!(recent.get(&7).is_some() && recent.get(&1_000_000).is_some());
        appends.end(begun);
        recent.insert(&appends, 4_000_000, ());
        fill(&mut recent, &appends, 5_000_000);
        recent.insert(&appends, 6_000_000, ());
        assert!(recent.get(&7).is_none());
    }
}
