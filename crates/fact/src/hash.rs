//! Domain-separated SHA-256: one tag a purpose, so that bytes of one purpose never pass for another's.

use sha2::Digest as _;
use sha2::Sha256;

/// A hash for one purpose: SHA-256 over the length of the tag (one byte), the tag, and what is fed.
#[derive(Clone, Debug)]
pub struct TaggedHash(Sha256);

impl TaggedHash {
    /// Starts a hash for the purpose that `tag` names, such as `causality/0/fact`.
    ///
    /// # Panics
    ///
    /// When `tag` is longer than 255 bytes; tags are constants.
    pub fn new(tag: &'static str) -> Self {
        let length = u8::try_from(tag.len()).expect("tags are short constants");
        Self(Sha256::new().chain_update([length]).chain_update(tag))
    }

    /// Feeds bytes.
    #[must_use]
    pub fn chain(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.update(bytes);
        self
    }

    /// The 32-byte digest.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// What a signature for one purpose covers: the length of the tag (one byte), the tag, and the bytes.
pub fn tagged_message(tag: &'static str, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(tag.len()).expect("tags are short constants");
    [&[length], tag.as_bytes(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_separates_what_concatenation_would_confuse() {
        let one = TaggedHash::new("ab").chain("c").finish();
        let other = TaggedHash::new("a").chain("bc").finish();
        assert_ne!(one, other);
        assert_eq!(one, <[u8; 32]>::from(Sha256::digest(b"\x02abc")));
        assert_eq!(tagged_message("ab", b"c"), b"\x02abc");
    }
}
