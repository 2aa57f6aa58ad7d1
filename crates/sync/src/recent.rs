//! A bounded memory of what was used lately.

use std::collections::BTreeMap;

/// How many keys one generation has; there are two.
pub(crate) const GENERATION_KEYS_MAX: usize = 1 << 15;

/// Values by key. Of two generations the older is dropped when the younger is full, so that a key stays for at least as
/// many insertions as a generation has: longer than any write is on its way to the store.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: BTreeMap<K, V>,
    old: BTreeMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
        }
    }
}

impl<K: Ord, V> Recent<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= GENERATION_KEYS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_for_a_generation_and_memory_is_bounded() {
        let mut recent = Recent::default();
        for n in 0..=GENERATION_KEYS_MAX {
            recent.insert(n, ());
        }
        assert!(recent.get(&0).is_some());
        for n in 0..GENERATION_KEYS_MAX {
            recent.insert(1_000_000 + n, ());
        }
        assert!(recent.get(&0).is_none());
        assert!(recent.young.len() + recent.old.len() <= 2 * GENERATION_KEYS_MAX);
    }
}
