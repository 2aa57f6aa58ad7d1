//! Names, addresses and identifiers as people write them: what is allowed, and which domain is meant.

use causality_fact::DomainId;

use crate::exit::{ExitCode, Failure};
use crate::home::{Config, Peer};

/// The longest name of a domain or compartment, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;
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

/// A compartment's name is any text of 1 to 64 bytes without control characters.
pub(crate) fn check_compartment(name: &str) -> Result<(), Failure> {
    if !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "{name:?} cannot name a compartment: a name has 1 to {NAME_BYTES_MAX} bytes without control characters"
    )))
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

/// The peer that a name or id means.
pub(crate) fn peer<'a>(peers: &'a [Peer], said: &str) -> Result<&'a Peer, Failure> {
    let found = peers
        .iter()
        .find(|peer| peer.name == said || peer.id.to_string() == said);
    found.ok_or_else(|| {
        Failure::not_found(format_args!("no peer is called {said:?}")).advise(
            "`causality peer list` shows who is known, `causality peer add TICKET` adds one",
        )
    })
}

/// The domain that a name or id means: this one, a peer, or any other by its id.
pub(crate) fn origin(
    own: (DomainId, &Config),
    peers: &[Peer],
    said: &str,
) -> Result<DomainId, Failure> {
    let (domain, config) = own;
    if said == config.name {
        return Ok(domain);
    }
    if let Some(peer) = peers.iter().find(|peer| peer.name == said) {
        return Ok(peer.id);
    }
    said.parse().map_err(|_| {
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
        for name in ["", "a\tb", &"x".repeat(NAME_BYTES_MAX + 1)] {
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
        assert_eq!(origin(own, &peers, "me"), Ok(DomainId::new([9; 32])));
        assert_eq!(origin(own, &peers, "c"), Ok(DomainId::new([2; 32])));
        assert_eq!(
            origin(own, &peers, &"05".repeat(32)),
            Ok(DomainId::new([5; 32]))
        );
        assert_eq!(
            origin(own, &peers, "nobody").unwrap_err().code,
            ExitCode::NotFound
        );
        assert_eq!(peer(&peers, "b").unwrap().id, DomainId::new([1; 32]));
        assert_eq!(peer(&peers, &"02".repeat(32)).unwrap().name, "c");
        assert_eq!(peer(&peers, "me").unwrap_err().code, ExitCode::NotFound);
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
