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
}

impl Compartments {
    /// From the rows of the side table.
    pub(crate) fn restore(rows: impl IntoIterator<Item = (CompartmentId, String)>) -> Self {
        let public = (CompartmentId::PUBLIC, PUBLIC_NAME.to_owned());
        Self {
            names: rows.into_iter().chain([public]).collect(),
        }
    }

    pub(crate) fn name(&self, id: CompartmentId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<CompartmentId> {
        self.names
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(id, _)| *id)
    }

    /// Takes up a compartment under the name that it was told by, or one like it if that is taken.
    pub(crate) fn add(&mut self, id: CompartmentId, told: &str) -> SideWrite {
        let name = match self.by_name(told) {
            None => told.to_owned(),
            Some(_) => {
                let short: String = told.chars().take(40).collect();
                format!("{short}-{id:.8}")
            }
        };
        self.names.insert(id, name.clone());
        let value = Some(name.into_bytes());
        SideWrite {
            table: COMPARTMENTS,
            key: id.as_bytes().to_vec(),
            value,
        }
    }
}

/// Whether text can name a compartment.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn names_are_short_and_printable() {
        assert!(is_name(&"x".repeat(NAME_BYTES_MAX)));
        assert!(!is_name(&"x".repeat(NAME_BYTES_MAX + 1)));
        assert!(!is_name(""));
        assert!(!is_name("a\nb"));
    }
}
