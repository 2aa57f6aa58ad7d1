//! The names that this domain has for compartments.

use causality_fact::CompartmentId;
use causality_store::SideWrite;
use std::collections::BTreeMap;

use crate::logbook::COMPARTMENTS;

/// The name of [`CompartmentId::PUBLIC`].
pub const PUBLIC_NAME: &str = "public";
/// The longest name of a compartment, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Names of compartments, which are this domain's own: two domains may call one compartment differently.
#[derive(Clone, Debug)]
pub(crate) struct Compartments {
    names: BTreeMap<CompartmentId, String>,
    /// The other way round: a peer may bring many compartments, and each append looks for one.
    ids: BTreeMap<String, CompartmentId>,
}

impl Compartments {
    /// From the rows of the side table.
    pub(crate) fn restore(rows: impl IntoIterator<Item = (CompartmentId, String)>) -> Self {
        let public = (CompartmentId::PUBLIC, PUBLIC_NAME.to_owned());
        let names: BTreeMap<_, _> = rows.into_iter().chain([public]).collect();
        let ids = names.iter().rev().map(|(id, name)| (name.clone(), *id));
        Self {
            ids: ids.collect(),
            names,
        }
    }

    pub(crate) fn name(&self, id: CompartmentId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(String::as_str)
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<CompartmentId> {
        self.ids.get(name).copied()
    }

    /// By which name a compartment that a peer calls `told` is one of those that `granted` names, if it is: by its name here
    /// or, if that was made from what it was told by, by that.
    pub(crate) fn granted_as<'a>(
        &'a self,
        granted: impl Fn(&str) -> bool,
        id: CompartmentId,
        told: Option<&'a str>,
    ) -> Option<&'a str> {
        let granted = |name: &&str| granted(name);
        match (self.name(id), told) {
            (None, told) => told.filter(granted),
            (Some(name), Some(told)) if names_like(id, told).any(|like| like == name) => {
                Some(name).filter(&granted).or(Some(told).filter(granted))
            }
            (Some(name), _) => Some(name).filter(granted),
        }
    }

    /// Whether what a peer calls a compartment is its name here, or one of the two was made from the other.
    pub(crate) fn is_called(&self, id: CompartmentId, told: &str) -> bool {
        let is_like = |one: &str, other: &str| names_like(id, one).any(|like| like == other);
        let name = self.name(id);
        name.is_none_or(|name| is_like(told, name) || is_like(name, told))
    }

    /// Takes up a compartment under the name that it was told by, or one like it if that is taken.
    pub(crate) fn add(&mut self, id: CompartmentId, told: &str) -> SideWrite {
        let free = names_like(id, told).find(|name| self.by_name(name).is_none());
        let name = free.unwrap_or_else(|| id.to_string());
        self.names.insert(id, name.clone());
        self.ids.insert(name.clone(), id);
        let value = Some(name.into_bytes());
        SideWrite {
            table: COMPARTMENTS,
            key: id.as_bytes().to_vec(),
            value,
        }
    }
}

/// A name, and longer ones that tell its compartment from others of the same name: with the first digits of its id, and with
/// all of them.
fn names_like(id: CompartmentId, name: &str) -> impl Iterator<Item = String> {
    let with = move |digits: String| {
        let room = NAME_BYTES_MAX - 1 - digits.len();
        format!("{}-{digits}", &name[..name.floor_char_boundary(room)])
    };
    [
        name.to_owned(),
        with(format!("{id:.8}")),
        with(id.to_string()),
    ]
    .into_iter()
}

/// Whether text can name a compartment.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_told_name_that_is_taken_gets_a_distinguishing_end() {
        let mut compartments = Compartments::restore([]);
        assert_eq!(compartments.by_name("public"), Some(CompartmentId::PUBLIC));
        let (one, other) = (CompartmentId::new([1; 16]), CompartmentId::new([2; 16]));
        compartments.add(one, "ops");
        let write = compartments.add(other, "ops");
        assert_eq!(write.value, Some(b"ops-02020202".to_vec()));
        assert_eq!(compartments.name(one), Some("ops"));
        assert_eq!(compartments.by_name("ops-02020202"), Some(other));
    }

    #[test]
    fn a_restored_name_is_found_as_before() {
        let mut before = Compartments::restore([]);
        let ids = [3, 1, 2].map(|n| CompartmentId::new([n; 16]));
        for id in ids {
            before.add(id, "ops");
        }
        let after = Compartments::restore(before.names.clone());
        for name in before.names.values() {
            assert!(before.by_name(name).is_some());
            assert_eq!(before.by_name(name), after.by_name(name));
        }
    }

    #[test]
    fn ids_that_start_alike_have_different_names_of_bounded_length() {
        let mut compartments = Compartments::restore([]);
        let told = "é".repeat(32);
        for last in 0..3 {
            let mut id = [7; 16];
            id[15] = last;
            compartments.add(CompartmentId::new(id), &told);
        }
        assert_eq!(compartments.names.len(), 4);
        assert!(compartments.names.values().all(|name| is_name(name)));
        let names: BTreeSet<_> = compartments.names.values().collect();
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn a_grant_reaches_what_was_made_of_a_told_name_and_nothing_else() {
        let mut compartments = Compartments::restore([]);
        let [ops, other, secret, new] = [1, 2, 3, 4].map(|n| CompartmentId::new([n; 16]));
        compartments.add(ops, "ops");
        compartments.add(other, "ops");
        compartments.add(secret, "secret");
        let among = |id, told| {
            compartments
                .granted_as(|name| name == "ops", id, told)
                .is_some()
        };
        assert!(among(ops, None) && among(ops, Some("theirs")));
        assert!(among(other, Some("ops")) && !among(other, Some("theirs")) && !among(other, None));
        assert!(among(new, Some("ops")) && !among(new, Some("theirs")) && !among(new, None));
        // What a peer calls a compartment that is known here opens nothing.
        assert!(!among(secret, Some("ops")));
    }

    #[test]
    fn a_compartment_is_called_as_it_is_here_or_with_digits_of_its_id() {
        let mut compartments = Compartments::restore([]);
        let [ops, other] = [1, 2].map(|n| CompartmentId::new([n; 16]));
        compartments.add(ops, "ops");
        compartments.add(other, "ops");
        for (id, told, expected) in [
            (ops, "ops", true),
            (ops, "ops-01010101", true),
            (ops, "ops-02020202", false),
            (ops, "news", false),
            (other, "ops", true),
            (other, "ops-02020202", true),
            (other, "ops-01010101", false),
            (CompartmentId::new([3; 16]), "whatever", true),
            (CompartmentId::PUBLIC, "news", false),
        ] {
            assert_eq!(compartments.is_called(id, told), expected, "{id} {told}");
        }
    }

    #[test]
    fn names_are_short_and_printable() {
        assert!(is_name(&"x".repeat(NAME_BYTES_MAX)));
        assert!(!is_name(&"x".repeat(NAME_BYTES_MAX + 1)));
        assert!(!is_name(""));
        assert!(!is_name("a\nb"));
    }
}
