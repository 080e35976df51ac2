//! Links that open the server's page. Knows the address at which browsers reach the server. `auth` signs the tokens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::auth::{Caller, sign};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::http::options::PublicUrl;
use crate::ids::UserId;

/// The user that the page acts for by default.
pub const DEFAULT_USER: i64 = 1;
/// How long a link is valid.
const TTL_SECS: u64 = 12 * 3600;

const OFF: &str = "the page is off: start the server with --page. Without --page, it is on only if the server \
                   listens on a loopback address and trusts no proxy";

/// Returns a link that opens the page for this user. Its base is `url`, or else `--public-url`, or else the address at
/// which browsers reach the server. The token is in the fragment, which browsers don't send to any server. Fails if the
/// page is off.
pub fn link(config: &Config, user: UserId, url: Option<&PublicUrl>) -> Result<String, ConfigError> {
    if !config.page {
        return Err(ConfigError(OFF.into()));
    }
    let secret = config.secret()?;
    let now = Clock::system().unix_secs();
    let token = sign(secret.as_bytes(), Caller::User(user), now, TTL_SECS);
    let base = match url.or(config.http.public_url.as_ref()) {
        Some(url) => url.as_str().to_owned(),
        None => format!("http://{}", reachable(config.http.listen, local_address)),
    };
    Ok(format!("{base}/#token={token}"))
}

/// Returns the address at which browsers reach a server that listens on `listen`. If that is all addresses, returns the
/// machine's address in its network, so that the link also opens on a phone.
fn reachable(listen: SocketAddr, local: fn(IpAddr) -> Option<IpAddr>) -> SocketAddr {
    let (v4, v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
    let ip = match listen.ip() {
        ip if ip == v4 => local(v4).unwrap_or(Ipv4Addr::LOCALHOST.into()),
        // On Linux, [::] also accepts IPv4, which every phone has.
        ip if ip == v6 => local(v4).or_else(|| local(v6)).unwrap_or(Ipv6Addr::LOCALHOST.into()),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Returns the address at which other machines in the network reach this one: the source address of packets to the
/// Internet. Sends nothing, because connecting a UDP socket only chooses a route (connect(2)).
fn local_address(any: IpAddr) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849). No network has them, so the default route leads there.
    let outside: IpAddr = match any {
        IpAddr::V4(_) => Ipv4Addr::new(203, 0, 113, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((outside, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    fn reachable(listen: &str, local: fn(IpAddr) -> Option<IpAddr>) -> String {
        super::reachable(listen.parse().unwrap(), local).to_string()
    }

    #[test]
    fn a_server_that_listens_on_all_addresses_is_reached_in_its_network() {
        let both = |any: IpAddr| {
            Some(if any.is_ipv4() { [192, 0, 2, 7].into() } else { "2001:db8::7".parse().unwrap() })
        };
        assert_eq!(reachable("0.0.0.0:8080", both), "192.0.2.7:8080");
        assert_eq!(reachable("[::]:8080", both), "192.0.2.7:8080");
        let only_v6 = |any: IpAddr| any.is_ipv6().then(|| "2001:db8::7".parse().unwrap());
        assert_eq!(reachable("[::]:8080", only_v6), "[2001:db8::7]:8080");
        assert_eq!(reachable("198.51.100.1:80", both), "198.51.100.1:80");
    }

    #[test]
    fn without_a_network_it_is_reached_on_this_machine() {
        assert_eq!(reachable("0.0.0.0:8080", |_| None), "127.0.0.1:8080");
        assert_eq!(reachable("[::]:8080", |_| None), "[::1]:8080");
    }
}
