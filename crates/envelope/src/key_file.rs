//! The key file: a domain's secrets and records as a few lines of text (`docs/src/spec/keys.md`, section "Key file").

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use thiserror::Error;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use causality_fact::{KeyError, KeyLog, TaggedHash};

use crate::keys::{DomainKeys, Secrets};

/// The version of key files that this crate writes and reads.
pub const KEY_FILE_VERSION: u32 = 0;

const MAGIC: &str = "causality secret keys, version ";
const CHECKSUM_LINE_BYTES: usize = "checksum: ".len() + 64 + 1;

impl DomainKeys {
    /// The key file. It holds every secret of the domain in the clear: whoever reads it can speak for the domain.
    pub fn to_file(&self) -> Zeroizing<Vec<u8>> {
        let records = self.log.records_from(0);
        // Reserved at once, since growing would leave copies of secrets behind.
        let lines: usize = records.iter().map(|record| 2 * record.len() + 16).sum();
        let mut text = Zeroizing::new(String::with_capacity(512 + lines));
        text.push_str(MAGIC);
        writeln!(text, "{KEY_FILE_VERSION}").expect("a string takes any text");
        let secrets = &self.secrets;
        push(&mut text, "signing", secrets.signing.as_bytes());
        push(&mut text, "next", secrets.next.as_bytes());
        push(&mut text, "encryption", secrets.encryption.as_bytes());
        push(&mut text, "transport", secrets.transport.as_bytes());
        for record in &records {
            push(&mut text, "record", record);
        }
        let checksum = checksum(text.as_bytes());
        push(&mut text, "checksum", &checksum);
        Zeroizing::new(std::mem::take(&mut *text).into_bytes())
    }

    /// Reads a key file, and checks that its records verify and publish its secrets.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]; after a flipped, missing or added byte it is `Damaged` or `NotAKeyFile`.
    pub fn from_file(file: &[u8]) -> Result<Self, KeyFileError> {
        let mut lines = Lines::of(file)?;
        let secrets = Secrets {
            signing: SigningKey::from_bytes(&*lines.secret("signing")?),
            next: SigningKey::from_bytes(&*lines.secret("next")?),
            encryption: StaticSecret::from(*lines.secret("encryption")?),
            transport: SigningKey::from_bytes(&*lines.secret("transport")?),
        };
        let mut records = Vec::new();
        while !lines.are_over() {
            records.push(lines.bytes("record")?);
        }
        let log = KeyLog::verify(records.iter().map(Vec::as_slice))?;
        check_published(&secrets, &log)?;
        Ok(Self { secrets, log })
    }
}

/// Why bytes are not a key file that can be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The checksum is not that of the rest: bytes were changed or are missing.
    #[error("the key file is damaged: its checksum does not match")]
    Damaged,
    /// A line is not what the format has there, though the checksum matches.
    #[error("line {line} of the key file is malformed, expected \"{expected}\"")]
    Malformed {
        /// Its number, from 1.
        line: usize,
        /// What the line should start with.
        expected: &'static str,
    },
    /// A newer program wrote it.
    #[error("the key file has version {found}, this program reads version {KEY_FILE_VERSION}")]
    NewerVersion {
        /// Its version.
        found: u32,
    },
    /// The bytes do not start like a key file.
    #[error("this is not a key file")]
    NotAKeyFile,
    /// A secret is not the one whose public half the newest record lists.
    #[error("the {key} key of the key file is not the one of its newest record")]
    NotPublished {
        /// Which: `signing`, `next`, `encryption` or `transport`.
        key: &'static str,
    },
    /// The records do not verify.
    #[error("the records of the key file do not verify: {0}")]
    Records(#[from] KeyError),
}

fn check_published(secrets: &Secrets, log: &KeyLog) -> Result<(), KeyFileError> {
    let head = log.head();
    let published = [
        ("signing", head.signing == [secrets.signing_key()]),
        ("next", head.next == secrets.commitment()),
        ("encryption", head.encryption == secrets.encryption_key()),
        ("transport", head.transport == [secrets.transport_key()]),
    ];
    match published.iter().find(|(_, matches)| !matches) {
        Some((key, _)) => Err(KeyFileError::NotPublished { key }),
        None => Ok(()),
    }
}

/// The lines between the first, which has the version, and the last, which has the checksum.
struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    /// Checks magic, checksum and version, in this order: a flipped version digit is damage, not a newer version.
    fn of(file: &'a [u8]) -> Result<Self, KeyFileError> {
        if !file.starts_with(MAGIC.as_bytes()) {
            return Err(KeyFileError::NotAKeyFile);
        }
        let body = body(file).ok_or(KeyFileError::Damaged)?;
        let first = KeyFileError::Malformed {
            line: 1,
            expected: "causality secret keys, version",
        };
        let text = str::from_utf8(body).ok();
        let (version, rest) = text
            .and_then(|text| text.strip_prefix(MAGIC)?.split_once('\n'))
            .ok_or_else(|| first.clone())?;
        match version.parse() {
            Ok(KEY_FILE_VERSION) if version.len() == 1 => Ok(Self { rest, number: 1 }),
            Ok(found) if found > KEY_FILE_VERSION => Err(KeyFileError::NewerVersion { found }),
            _ => Err(first),
        }
    }

    fn are_over(&self) -> bool {
        self.rest.is_empty()
    }

    fn secret(&mut self, name: &'static str) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
        let digits = self.value(name)?;
        let mut secret = Zeroizing::new([0; 32]);
        // `decode_mut` panics when the lengths do not fit.
        if digits.len() != 64
            || HEXLOWER
                .decode_mut(digits.as_bytes(), &mut *secret)
                .is_err()
        {
            return Err(self.malformed(name));
        }
        Ok(secret)
    }

    fn bytes(&mut self, name: &'static str) -> Result<Vec<u8>, KeyFileError> {
        let digits = self.value(name)?;
        let bytes = HEXLOWER.decode(digits.as_bytes());
        bytes.map_err(|_| self.malformed(name))
    }

    fn value(&mut self, name: &'static str) -> Result<&'a str, KeyFileError> {
        self.number += 1;
        let (line, rest) = self
            .rest
            .split_once('\n')
            .ok_or_else(|| self.malformed(name))?;
        self.rest = rest;
        line.strip_prefix(name)
            .and_then(|line| line.strip_prefix(": "))
            .ok_or_else(|| self.malformed(name))
    }

    fn malformed(&self, expected: &'static str) -> KeyFileError {
        let line = self.number;
        KeyFileError::Malformed { line, expected }
    }
}

/// What precedes the checksum, if that is right.
fn body(file: &[u8]) -> Option<&[u8]> {
    let (body, last) = file.split_at_checked(file.len().checked_sub(CHECKSUM_LINE_BYTES)?)?;
    let expected = format!("checksum: {}\n", HEXLOWER.encode(&checksum(body)));
    (last == expected.as_bytes()).then_some(body)
}

fn checksum(body: &[u8]) -> [u8; 32] {
    // Without a version, so that every version of the format can tell damage from news.
    TaggedHash::new("causality/key-file").chain(body).finish()
}

fn push(text: &mut String, name: &str, bytes: &[u8]) {
    text.push_str(name);
    text.push_str(": ");
    HEXLOWER.encode_append(bytes, text);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use causality_fact::DecodeError;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use std::collections::BTreeSet;

    fn keys(seed: u8) -> DomainKeys {
        DomainKeys::generate(&mut ChaCha20Rng::from_seed([seed; 32]), 10..20).unwrap()
    }

    fn text_of(keys: &DomainKeys) -> String {
        String::from_utf8(keys.to_file().to_vec()).unwrap()
    }

    /// The file with its body changed by somebody who knows how the checksum is made.
    fn forged(change: impl Fn(&str) -> String) -> Vec<u8> {
        let text = text_of(&keys(1));
        let mut body = change(&text[..text.len() - CHECKSUM_LINE_BYTES]);
        let checksum = checksum(body.as_bytes());
        push(&mut body, "checksum", &checksum);
        body.into_bytes()
    }

    fn check(file: &[u8], expected: KeyFileError) {
        assert_eq!(DomainKeys::from_file(file).map(drop), Err(expected));
    }

    #[test]
    fn keys_survive_their_file_also_after_rotation() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let first = keys(1);
        let (second, _) = first.rotate(&mut rng, 20..30, &BTreeSet::new()).unwrap();
        for keys in [first, second] {
            let file = keys.to_file();
            let read = DomainKeys::from_file(&file).unwrap();
            assert_eq!(read.key_log(), keys.key_log());
            assert_eq!(read.transport_secret(), keys.transport_secret());
            assert_eq!(read.to_file(), file);
        }
    }

    #[test]
    fn the_file_is_written_without_growing() {
        let file = keys(1).to_file();
        let capacity = file.capacity();
        let record = keys(1).log.records_from(0).remove(0);
        assert_eq!(capacity, 512 + 2 * record.len() + 16);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_told() {
        let file = keys(1).to_file();
        for bit in 0..8 * file.len() {
            let mut file = file.to_vec();
            file[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 < MAGIC.len() {
                true => KeyFileError::NotAKeyFile,
                false => KeyFileError::Damaged,
            };
            check(&file, expected);
        }
    }

    /// Attack 3 and 4.
    #[test]
    fn a_truncated_or_extended_file_is_told() {
        let file = keys(1).to_file();
        for length in 0..file.len() {
            let expected = match length < MAGIC.len() {
                true => KeyFileError::NotAKeyFile,
                false => KeyFileError::Damaged,
            };
            check(&file[..length], expected);
        }
        check(&[&*file, b"\n".as_slice()].concat(), KeyFileError::Damaged);
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let newer = forged(|body| body.replace("version 0", "version 12"));
        check(&newer, KeyFileError::NewerVersion { found: 12 });
        let flipped = text_of(&keys(1)).replace("version 0", "version 1");
        check(flipped.as_bytes(), KeyFileError::Damaged);
    }

    #[test]
    fn lines_that_the_format_does_not_have_are_refused() {
        let cases: [(&str, &str, usize, &str); 9] = [
            (
                "version 0",
                "version 00",
                1,
                "causality secret keys, version",
            ),
            ("version 0", "version ", 1, "causality secret keys, version"),
            (
                "version 0",
                "version zero",
                1,
                "causality secret keys, version",
            ),
            ("signing: ", "signing: 00", 2, "signing"),
            ("next: ", "next:", 3, "next"),
            ("encryption: ", "transport: ", 4, "encryption"),
            ("transport: ", "transport: x", 5, "transport"),
            ("record: ", "record: 0", 6, "record"),
            ("record: ", "extra: 00\nrecord: ", 6, "record"),
        ];
        for (from, to, line, expected) in cases {
            let file = forged(|body| body.replace(from, to));
            check(&file, KeyFileError::Malformed { line, expected });
        }
        let cut = forged(|body| body.trim_end().to_owned());
        let expected = "record";
        check(&cut, KeyFileError::Malformed { line: 6, expected });
    }

    #[test]
    fn records_that_do_not_verify_are_refused() {
        let none = forged(|body| body.split("record").next().unwrap().to_owned());
        check(&none, KeyFileError::Records(KeyError::NotGenesis));
        let short = forged(|body| format!("{}\n", &body[..body.len() - 3]));
        let records = KeyError::Malformed(DecodeError::Truncated { at: 230 });
        check(&short, KeyFileError::Records(records));
    }

    #[test]
    fn each_secret_has_to_be_the_published_one() {
        let other = text_of(&keys(7));
        for (line, key) in ["signing", "next", "encryption", "transport"]
            .iter()
            .enumerate()
        {
            let foreign = other.lines().nth(line + 1).unwrap();
            let file = forged(|body| {
                let own = body.lines().nth(line + 1).unwrap();
                body.replace(own, foreign)
            });
            check(&file, KeyFileError::NotPublished { key });
        }
    }
}
