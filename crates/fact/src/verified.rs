//! `Verified`: the proof, as a type, that something passed verification.

use std::ops::Deref;

/// Something that passed the verification that its constructor in this crate names. There is no other way to make one,
/// so code that takes a `Verified<T>` cannot be handed unverified bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// The value without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
