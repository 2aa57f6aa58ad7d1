//! Tickets: how to reach a domain and who it is, as one string to paste, with check digits.
//!
//! `causality1` and lower-case base32 (RFC 4648, no padding) of: version 0, domain id, name, number of addresses and the
//! addresses, 5 bytes of a hash of all before. Texts are a length byte and UTF-8.

use std::sync::LazyLock;

use causality_fact::{DecodeError, Decoder, DomainId, Encoder, TaggedHash};
use data_encoding::{DecodeKind, Encoding, Specification};
use thiserror::Error;

use crate::exit::Failure;
use crate::name;

/// The most addresses of a ticket.
pub(crate) const ADDRESSES_MAX: usize = 8;

const PREFIX: &str = "causality1";
const VERSION: u8 = 0;
const CHECK_BYTES: usize = 5;
/// More than any ticket has; a pasted novel is not decoded.
const TEXT_BYTES_MAX: usize = 8192;

/// What a domain tells another so that it can be added as a peer. No secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) domain: DomainId,
    /// What the domain calls itself.
    pub(crate) name: String,
    /// `host:port`, in the order in which they are to be tried.
    pub(crate) addresses: Vec<String>,
}

/// Why text is not a ticket.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum TicketError {
    #[error("this is not a ticket: it does not start with \"{PREFIX}\"")]
    Prefix,
    #[error("a newer program made this ticket; this one reads version {VERSION}")]
    Newer,
    #[error("a ticket has no {character:?}, which is at character {at}")]
    Character { at: usize, character: char },
    #[error("a character of the ticket is wrong: its check digits do not match")]
    Checksum,
    #[error("the end of the ticket is missing")]
    Truncated,
    #[error("the ticket is malformed: {0}")]
    Malformed(String),
}

impl From<TicketError> for Failure {
    fn from(error: TicketError) -> Self {
        Self::usage(error).advise("copy it again from `causality peer ticket`")
    }
}

impl Ticket {
    /// The string.
    pub(crate) fn to_text(&self) -> String {
        let mut to = Encoder::new();
        to.u8(VERSION)
            .raw(self.domain.as_ref())
            .string(&self.name)
            .length(self.addresses.len());
        for address in &self.addresses {
            to.string(address);
        }
        let mut bytes = to.finish();
        bytes.extend(check_digits(&bytes));
        format!("{PREFIX}{}", BASE32.encode(&bytes))
    }

    /// Reads the string; white space anywhere, as terminals add it, does not matter.
    pub(crate) fn parse(text: &str) -> Result<Self, TicketError> {
        let text: String = text
            .chars()
            .filter(|c| !c.is_whitespace())
            .take(TEXT_BYTES_MAX)
            .collect();
        let Some(body) = text.strip_prefix(PREFIX) else {
            let other_format = text
                .strip_prefix("causality")
                .and_then(|rest| rest.chars().next());
            let newer = other_format.is_some_and(|digit| ('2'..='9').contains(&digit));
            return Err(if newer {
                TicketError::Newer
            } else {
                TicketError::Prefix
            });
        };
        let bytes = decode_base32(body)?;
        let (body, check) = bytes
            .len()
            .checked_sub(CHECK_BYTES)
            .and_then(|at| bytes.split_at_checked(at))
            .ok_or(TicketError::Truncated)?;
        if check != check_digits(body) {
            // Whether something is missing or mistyped only the lengths inside can tell, as far as they can be trusted.
            return Err(if ends_early(&bytes) {
                TicketError::Truncated
            } else {
                TicketError::Checksum
            });
        }
        if body.first() != Some(&VERSION) {
            return Err(TicketError::Newer);
        }
        let malformed = |error: DecodeError| TicketError::Malformed(error.to_string());
        let ticket = Decoder::exactly(body, Self::decode).map_err(malformed)?;
        ticket.checked()
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        from.u8()?;
        let domain = DomainId::decode(from)?;
        let name = from.string("name", name::NAME_BYTES_MAX)?.to_owned();
        let count = from.length("number of addresses", ADDRESSES_MAX)?;
        let address = |_| {
            from.string("address", name::ADDRESS_BYTES_MAX)
                .map(str::to_owned)
        };
        let addresses = (0..count).map(address).collect::<Result<_, _>>()?;
        Ok(Self {
            domain,
            name,
            addresses,
        })
    }

    fn checked(self) -> Result<Self, TicketError> {
        let malformed = |failure: Failure| TicketError::Malformed(failure.message);
        name::check_domain_name(&self.name).map_err(malformed)?;
        self.addresses
            .iter()
            .try_for_each(|a| name::check_address(a))
            .map_err(malformed)?;
        Ok(self)
    }
}

fn ends_early(bytes: &[u8]) -> bool {
    let mut from = Decoder::new(bytes);
    match Ticket::decode(&mut from) {
        Ok(_) => from.remaining() < CHECK_BYTES,
        Err(error) => matches!(error, DecodeError::Truncated { .. }),
    }
}

fn decode_base32(text: &str) -> Result<Vec<u8>, TicketError> {
    BASE32
        .decode(text.as_bytes())
        .map_err(|error| match error.kind {
            DecodeKind::Symbol => {
                let at = error.position;
                let character = text
                    .get(at..)
                    .and_then(|rest| rest.chars().next())
                    .unwrap_or('?');
                TicketError::Character {
                    at: PREFIX.len() + at + 1,
                    character,
                }
            }
            DecodeKind::Length => TicketError::Truncated,
            _ => TicketError::Checksum,
        })
}

fn check_digits(body: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = TaggedHash::new("causality/ticket").chain(body).finish();
    std::array::from_fn(|at| hash[at])
}

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification
        .encoding()
        .expect("32 different symbols are an encoding")
});

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            domain: DomainId::new([7; 32]),
            name: "seismo.us.ci".into(),
            addresses: vec!["127.0.0.1:4770".into(), "[::1]:4770".into()],
        }
    }

    fn text_of(bytes: &[u8]) -> String {
        let check = check_digits(bytes);
        format!("{PREFIX}{}", BASE32.encode(&[bytes, &check].concat()))
    }

    #[test]
    fn a_ticket_survives_its_text_and_the_terminal() {
        let text = ticket().to_text();
        assert!(
            text.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
            "{text}"
        );
        assert_eq!(Ticket::parse(&text), Ok(ticket()));
        let (start, end) = text.split_at(40);
        assert_eq!(
            Ticket::parse(&format!("  {start}\n  {end}\n")),
            Ok(ticket())
        );
        let bare = Ticket {
            addresses: Vec::new(),
            ..ticket()
        };
        assert_eq!(Ticket::parse(&bare.to_text()), Ok(bare));
    }

    #[test]
    fn every_wrong_character_is_noticed() {
        let text = ticket().to_text();
        for at in 0..text.len() {
            for other in ["a", "7", "1", "A", "-"] {
                if &text[at..=at] == other {
                    continue;
                }
                let wrong = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                assert!(Ticket::parse(&wrong).is_err(), "{wrong}");
            }
        }
        let swapped = text.replacen("causality1a", "causality1b", 1);
        assert_eq!(Ticket::parse(&swapped), Err(TicketError::Checksum));
    }

    #[test]
    fn a_cut_ticket_says_so() {
        let text = ticket().to_text();
        for length in PREFIX.len()..text.len() {
            let error = Ticket::parse(&text[..length]).unwrap_err();
            assert!(
                matches!(error, TicketError::Truncated | TicketError::Checksum),
                "{length}: {error}"
            );
        }
        assert_eq!(
            Ticket::parse(&text[..text.len() / 2]),
            Err(TicketError::Truncated)
        );
        assert_eq!(Ticket::parse(PREFIX), Err(TicketError::Truncated));
    }

    #[test]
    fn other_texts_are_told_apart() {
        let text = ticket().to_text();
        assert_eq!(Ticket::parse(""), Err(TicketError::Prefix));
        assert_eq!(Ticket::parse(&text[1..]), Err(TicketError::Prefix));
        assert_eq!(
            Ticket::parse(&text.replacen('1', "2", 1)),
            Err(TicketError::Newer)
        );
        assert_eq!(Ticket::parse(&text_of(&[1, 2, 3])), Err(TicketError::Newer));
        let bad = format!("{PREFIX}a1");
        assert_eq!(
            Ticket::parse(&bad),
            Err(TicketError::Character {
                at: 12,
                character: '1'
            })
        );
        assert!(matches!(
            Ticket::parse(&text_of(&[0, 1])),
            Err(TicketError::Malformed(_))
        ));
    }

    #[test]
    fn limits_hold() {
        let with = |addresses: usize, length: usize| Ticket {
            addresses: vec![format!("{}:1", "h".repeat(length)); addresses],
            ..ticket()
        };
        let most = with(ADDRESSES_MAX, name::ADDRESS_BYTES_MAX - 2);
        assert_eq!(Ticket::parse(&most.to_text()), Ok(most));
        let more = with(ADDRESSES_MAX + 1, 5).to_text();
        assert!(matches!(
            Ticket::parse(&more),
            Err(TicketError::Malformed(_))
        ));
        let longer = with(1, name::ADDRESS_BYTES_MAX - 1).to_text();
        assert!(matches!(
            Ticket::parse(&longer),
            Err(TicketError::Malformed(_))
        ));
        let name = Ticket {
            name: "a b".into(),
            ..ticket()
        }
        .to_text();
        assert!(matches!(
            Ticket::parse(&name),
            Err(TicketError::Malformed(_))
        ));
    }
}
