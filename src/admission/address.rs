//! Finds the address that counts: that of the peer, or the one that a trusted proxy states.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The address or IPv6 /64 that limits are counted by. One customer usually has a whole /64 (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Address(IpAddr);

impl Address {
    /// Returns the address or IPv6 /64 that limits are counted by.
    pub fn new(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        })
    }
}

/// Returns the client of a request that a trusted `proxy` forwarded: the last address in these `X-Forwarded-For` values
/// that isn't itself a trusted proxy. Each proxy appends the address that it received the request from; anything before
/// that is only the client's claim. Returns the first address if all are trusted, and `proxy` if there is none or an
/// invalid entry comes first.
pub fn forwarded<'a>(
    proxy: IpAddr,
    values: impl DoubleEndedIterator<Item = &'a str>,
    trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut nearest = proxy;
    for entry in values.rev().flat_map(|value| value.split(',').rev()) {
        let Some(ip) = parse(entry.trim()) else {
            return proxy;
        };
        nearest = ip;
        if !trusted(ip) {
            break;
        }
    }
    nearest
}

/// Parses an address, which may have brackets and a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let ip = bare.parse().or_else(|_| entry.parse().map(|address: SocketAddr| address.ip()));
    ip.ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(values: &[&str]) -> String {
        let trusted = |ip: IpAddr| ip.to_string().starts_with("10.");
        forwarded(ip("10.0.0.1"), values.iter().copied(), trusted).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxy_is_the_client() {
        assert_eq!(client(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["198.51.100.9, 192.0.2.1, 10.0.0.2"]), "192.0.2.1");
        assert_eq!(client(&["198.51.100.9", "192.0.2.1", "10.0.0.2"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn an_invalid_entry_leaves_the_proxys_address() {
        for values in [&[][..], &[""], &["unknown"], &["192.0.2.1, _hidden"], &["192.0.2.1,"]] {
            assert_eq!(client(values), "10.0.0.1", "{values:?}");
        }
        assert_eq!(client(&["x, 10.0.0.2"]), "10.0.0.1");
        assert_eq!(
            client(&["<script>, 192.0.2.1"]),
            "192.0.2.1",
            "entries further left are not read"
        );
    }

    #[test]
    fn addresses_may_have_brackets_and_ports() {
        for entry in ["192.0.2.1:4711", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:1"] {
            assert_eq!(client(&[entry]), "192.0.2.1", "{entry}");
        }
        for entry in ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"] {
            assert_eq!(client(&[entry]), "2001:db8::1", "{entry}");
        }
    }

    #[test]
    fn ipv6_counts_by_its_first_64_bits() {
        let one = Address::new(ip("2001:db8:1:2::1"));
        assert_eq!(one, Address::new(ip("2001:db8:1:2:ffff::9")));
        assert_ne!(one, Address::new(ip("2001:db8:1:3::1")));
        assert_eq!(Address::new(ip("::ffff:192.0.2.1")), Address::new(ip("192.0.2.1")));
    }
}
