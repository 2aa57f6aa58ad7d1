//! Names, addresses and identifiers as people write them: what is allowed, and which domain is meant.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;

use causality_fact::DomainId;

use crate::exit::{ExitCode, Failure};
use crate::home::{Config, Peer};

/// The longest name of a domain or compartment, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;
/// The digits of an id of a fact or domain.
const ID_DIGITS: usize = 64;
/// The fewest of its first digits that an id is known by.
const ID_DIGITS_MIN: usize = 8;
/// The longest `host:port`, in bytes.
pub(crate) const ADDRESS_BYTES_MAX: usize = 255;

/// A domain's name has letters, digits, dots, dashes and underscores, such as `seismo.us.ci`.
pub(crate) fn check_domain_name(name: &str) -> Result<(), Failure> {
    let allowed = |c: char| c.is_alphanumeric() || ".-_".contains(c);
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "{name:?} cannot name a domain: a name has 1 to {NAME_BYTES_MAX} bytes of letters, digits, '.', '-' and '_'"
    )))
}

/// A compartment's name is any text of 1 to 64 bytes without control characters, and without the wildcards that grants
/// have.
pub(crate) fn check_compartment(name: &str) -> Result<(), Failure> {
    let is_allowed = |c: char| !c.is_control() && !"*?".contains(c);
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "{name:?} cannot name a compartment: a name has 1 to {NAME_BYTES_MAX} bytes without control characters, '*' and \
         '?'"
    ))
    .advise("a rule of the policy can mean several compartments"))
}

/// `host:port`, where an IPv6 address stands in brackets.
pub(crate) fn check_address(address: &str) -> Result<(), Failure> {
    let parts = address
        .rsplit_once(':')
        .filter(|_| address.len() <= ADDRESS_BYTES_MAX);
    let host_is_one = |host: &str| {
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        match inner {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .chars()
                        .all(|c| c.is_alphanumeric() || ".-_".contains(c))
            }
        }
    };
    match parts {
        Some((host, port)) if host_is_one(host) && port.parse::<u16>().is_ok() => Ok(()),
        _ => Err(Failure::usage(format_args!(
            "{address:?} is no address: expected HOST:PORT, such as 192.0.2.7:4770, [2001:db8::7]:4770 or example.org:4770"
        ))),
    }
}

/// The ids that begin with these digits; `None` if they are too few, too many, or none.
pub(crate) fn ids_from<T: FromStr>(digits: &str) -> Option<RangeInclusive<T>> {
    let missing = ID_DIGITS.checked_sub(digits.len())?;
    let filled = |digit: &str| (digits.to_owned() + &digit.repeat(missing)).parse().ok();
    let range = filled("0")?..=filled("f")?;
    (digits.len() >= ID_DIGITS_MIN).then_some(range)
}

/// Refuses the first digits of several ids.
pub(crate) fn ambiguous<T: ToString>(digits: &str, ids: [&T; 2]) -> Failure {
    let [one, other] = ids.map(T::to_string);
    Failure::usage(format_args!(
        "several ids begin with {digits}, such as {one} and {other}"
    ))
    .advise("give more digits")
}

/// Which of these domains has an id that is, or begins with, what was said.
fn by_digits(
    domains: impl IntoIterator<Item = DomainId>,
    said: &str,
) -> Result<Option<DomainId>, Failure> {
    let Some(ids) = ids_from(said) else {
        return Ok(None);
    };
    let found = domains.into_iter().filter(|domain| ids.contains(domain));
    let found: BTreeSet<DomainId> = found.collect();
    match (found.first(), found.last()) {
        (Some(one), Some(other)) if one != other => Err(ambiguous(said, [one, other])),
        (found, _) => Ok(found.copied()),
    }
}

/// The peer that a name or id means.
pub(crate) fn peer<'a>(peers: &'a [Peer], said: &str) -> Result<&'a Peer, Failure> {
    let named = peers.iter().find(|peer| peer.name == said);
    let id = match named {
        Some(peer) => Some(peer.id),
        None => by_digits(peers.iter().map(|peer| peer.id), said)?,
    };
    let found = peers.iter().find(|peer| Some(peer.id) == id);
    found.ok_or_else(|| {
        Failure::not_found(format_args!("no peer is called {said:?}")).advise(
            "`causality peer list` shows who is known, `causality peer add TICKET` adds one",
        )
    })
}

/// The domain that a name or id means: this one, a peer, one of whom something is held, or any other by its whole id.
pub(crate) fn origin(
    own: (DomainId, &Config),
    peers: &[Peer],
    held: impl IntoIterator<Item = DomainId>,
    said: &str,
) -> Result<DomainId, Failure> {
    let (domain, config) = own;
    if said == config.name {
        return Ok(domain);
    }
    if let Some(peer) = peers.iter().find(|peer| peer.name == said) {
        return Ok(peer.id);
    }
    if let Ok(id) = said.parse() {
        return Ok(id);
    }
    let known = peers.iter().map(|peer| peer.id).chain([domain]).chain(held);
    by_digits(known, said)?.ok_or_else(|| {
        Failure::not_found(format_args!("no domain is called {said:?} here")).advise(
            "give the name of this domain or of a peer, or an id as `causality digest` shows it",
        )
    })
}

/// Refuses a name that this domain or another peer has already.
pub(crate) fn check_free(
    own: &Config,
    peers: &[Peer],
    (name, id): (&str, DomainId),
) -> Result<(), Failure> {
    let other = peers.iter().any(|peer| peer.name == name && peer.id != id);
    if name == own.name || other {
        let whose = if other { "another peer" } else { "this domain" };
        return Err(Failure::new(
            ExitCode::Contradiction,
            format_args!("{name:?} is the name of {whose} already"),
        )
        .advise("give the peer another name with --as NAME"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer_of(name: &str, id: u8) -> Peer {
        Peer {
            name: name.into(),
            id: DomainId::new([id; 32]),
            addresses: Vec::new(),
            send: Vec::new(),
            receive: Vec::new(),
        }
    }

    fn config() -> Config {
        Config {
            name: "me".into(),
            listen: "127.0.0.1:1".into(),
        }
    }

    #[test]
    fn names_are_checked_at_their_limits() {
        for name in [
            "a",
            "seismo.us.ci",
            "Zürich_2-b",
            &"x".repeat(NAME_BYTES_MAX),
        ] {
            assert_eq!(check_domain_name(name), Ok(()), "{name}");
        }
        for name in ["", "a b", "a/b", "a\n", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(
                check_domain_name(name).unwrap_err().code,
                ExitCode::Usage,
                "{name}"
            );
        }
        assert_eq!(check_compartment("for partners"), Ok(()));
        for name in ["", "a\tb", "*", "op?", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(
                check_compartment(name).unwrap_err().code,
                ExitCode::Usage,
                "{name}"
            );
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for address in [
            "127.0.0.1:4770",
            "[::1]:0",
            "example.org:65535",
            "localhost:1",
        ] {
            assert_eq!(check_address(address), Ok(()), "{address}");
        }
        for address in [
            "",
            "4770",
            ":1",
            "a:",
            "a:65536",
            "a:-1",
            "::1:5",
            "[x]:1",
            "a b:1",
            "http://a:1",
        ] {
            assert_eq!(
                check_address(address).unwrap_err().code,
                ExitCode::Usage,
                "{address}"
            );
        }
    }

    #[test]
    fn a_domain_is_meant_by_its_name_or_its_id() {
        let (own, peers) = (
            (DomainId::new([9; 32]), &config()),
            [peer_of("b", 1), peer_of("c", 2)],
        );
        let held = [DomainId::new([1; 32]), DomainId::new([7; 32])];
        let origin = |said: &str| origin(own, &peers, held, said);
        for (said, id) in [
            ("me", 9),
            ("c", 2),
            (&"09".repeat(4), 9),
            (&"01".repeat(4), 1),
            (&"07".repeat(6), 7),
            // Whoever it is, it is meant by its whole id.
            (&"05".repeat(32), 5),
        ] {
            assert_eq!(origin(said), Ok(DomainId::new([id; 32])), "{said}");
        }
        for said in ["nobody", &"05".repeat(31), "0909090"] {
            assert_eq!(origin(said).unwrap_err().code, ExitCode::NotFound, "{said}");
        }
        let peer = |said: &str| peer(&peers, said).map(|peer| peer.name.as_str());
        for said in ["b", &"01".repeat(32), &"01".repeat(4)] {
            assert_eq!(peer(said), Ok("b"), "{said}");
        }
        for said in ["me", &"09".repeat(32), &"01".repeat(33), "0101010"] {
            assert_eq!(peer(said).unwrap_err().code, ExitCode::NotFound, "{said}");
        }
    }

    #[test]
    fn digits_that_several_ids_begin_with_are_refused_and_names_go_before_digits() {
        let mut near = peer_of("c", 1);
        near.id = DomainId::new([[1; 16], [2; 16]].concat().try_into().unwrap());
        let mut peers = vec![peer_of("b", 1), near.clone()];
        let failure = peer(&peers, &"01".repeat(16)).unwrap_err();
        assert_eq!(failure.code, ExitCode::Usage);
        for said in [
            "more digits",
            &near.id.to_string(),
            &peers[0].id.to_string(),
        ] {
            assert!(failure.message.contains(said), "{failure:?}");
        }
        let longer = "01".repeat(16) + "0";
        assert_eq!(peer(&peers, &(longer.clone() + "2")).unwrap().name, "c");
        assert!(peer(&peers, &longer).is_err());
        peers.push(peer_of(&"01".repeat(4), 3));
        assert_eq!(peer(&peers, &"01".repeat(4)).unwrap().id, peers[2].id);
    }

    #[test]
    fn digits_stand_for_ids_from_the_least_number_on() {
        let range = |digits: &str| ids_from::<DomainId>(digits);
        let least = range("0a0b0c0d").unwrap();
        assert_eq!(least.start().as_bytes()[3..6], [0x0d, 0, 0]);
        assert_eq!(least.end().as_bytes()[3..6], [0x0d, 0xff, 0xff]);
        let odd = range("0a0b0c0d1").unwrap();
        assert_eq!(
            (odd.start().as_bytes()[4], odd.end().as_bytes()[4]),
            (0x10, 0x1f)
        );
        let whole = range(&"0a".repeat(32)).unwrap();
        assert_eq!(whole.start(), whole.end());
        for none in ["", "0a0b0c0", "0A0B0C0D", "0a0b0c0g", &"0a".repeat(33)] {
            assert_eq!(range(none), None, "{none}");
        }
    }

    #[test]
    fn a_name_means_one_domain_only() {
        let peers = [peer_of("b", 1)];
        let check = |name, id| check_free(&config(), &peers, (name, DomainId::new([id; 32])));
        assert_eq!(check("b", 1), Ok(()));
        assert_eq!(check("c", 2), Ok(()));
        assert_eq!(check("b", 2).unwrap_err().code, ExitCode::Contradiction);
        assert_eq!(check("me", 2).unwrap_err().code, ExitCode::Contradiction);
    }
}
