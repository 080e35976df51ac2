//! Parses and binds addresses to listen on.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::str::FromStr;

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

/// Maximum number of connections waiting to be accepted; the same as in tokio.
const BACKLOG: i32 = 1024;

/// The value of `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// This address, such as `192.0.2.7:8080` or `[::]:8080`.
    At(SocketAddr),
    /// Both loopback addresses, such as `8080` or `:8080`.
    Loopback(u16),
    /// Every address that a name resolves to, such as `localhost:8080`.
    #[allow(missing_docs)]
    Host { name: String, port: u16 },
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not an address with a port: use 0.0.0.0:8080, [::]:8080, localhost:8080, or 8080 for \
                 this machine only"
            )
        };
        let text = text.trim();
        if let Ok(address) = text.parse() {
            return Ok(Self::At(address));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() {
            return Ok(Self::Loopback(port));
        }
        let is_name = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
        // The last label of a host name is never a number: 127.0.0:8080 is a mistyped address.
        let is_number = host.rsplit('.').next().is_some_and(|part| part.parse::<u64>().is_ok());
        if !is_name || is_number {
            return Err(wrong());
        }
        Ok(Self::Host { name: host.to_owned(), port })
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::At(address)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Loopback(port) => write!(f, "localhost:{port}"),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

impl Listen {
    /// Whether only programs on this machine can connect. The only name that guarantees this is `localhost` (RFC 6761,
    /// section 6.3).
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::At(address) => address.ip().to_canonical().is_loopback(),
            Self::Loopback(_) => true,
            Self::Host { name, .. } => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// The first address. A name isn't resolved; a loopback address stands for it.
    pub fn first(&self) -> SocketAddr {
        match self {
            Self::At(address) => *address,
            Self::Loopback(port) | Self::Host { port, .. } => (Ipv4Addr::LOCALHOST, *port).into(),
        }
    }

    /// Every address, IPv4 first. Resolves a name, which blocks.
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::At(address) => Ok(vec![*address]),
            Self::Loopback(port) => {
                Ok(vec![(Ipv4Addr::LOCALHOST, *port).into(), (Ipv6Addr::LOCALHOST, *port).into()])
            }
            Self::Host { name, port } => {
                let addresses: BTreeSet<_> = (name.as_str(), *port).to_socket_addrs()?.collect();
                Ok(addresses.into_iter().collect())
            }
        }
    }

    /// Listens on every address. If there are several, skips those that this machine doesn't have, as on a machine
    /// without IPv6. With port 0, all get the same free port.
    pub fn bind(&self) -> Result<Vec<TcpListener>, BindError> {
        self.each(|socket| {
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
    }

    /// Checks that the server could listen on these addresses, without accepting connections.
    pub fn try_bind(&self) -> Result<(), BindError> {
        self.each(Ok).map(|_sockets| ())
    }

    fn each<T>(&self, take: impl Fn(Socket) -> io::Result<T>) -> Result<Vec<T>, BindError> {
        let failed =
            |place: &dyn fmt::Display, error| BindError { place: place.to_string(), error };
        let addresses = self.addresses().map_err(|error| failed(self, error))?;
        let (mut bound, mut missing, mut free_port) = (Vec::new(), None, None);
        for mut address in addresses {
            if let Some(port) = free_port.filter(|_| address.port() == 0) {
                address.set_port(port);
            }
            let socket = match bound_socket(address) {
                Ok(socket) => socket,
                Err(error) if is_missing(&error) => {
                    missing = Some(failed(&address, error));
                    continue;
                }
                Err(error) => return Err(failed(&address, error)),
            };
            let port = socket.local_addr().ok().and_then(|address| address.as_socket());
            free_port = free_port.or(port.map(|address| address.port()));
            bound.push(take(socket).map_err(|error| failed(&address, error))?);
        }
        match missing {
            Some(error) if bound.is_empty() => Err(error),
            _ if bound.is_empty() => {
                Err(failed(self, io::Error::other("the name resolves to no address")))
            }
            _ => Ok(bound),
        }
    }
}

/// An address that the server can't listen on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {place}: {error}")]
pub struct BindError {
    place: String,
    error: io::Error,
}

/// Binds like std and tokio: also to an address that connections of an earlier process still use.
fn bound_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whether binding failed because this machine doesn't have the address.
fn is_missing(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT].iter().any(|code| errno == Some(code.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Listen {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_port_alone_means_loopback_only() {
        for text in ["8080", ":8080"] {
            assert_eq!(parsed(text), Listen::Loopback(8080));
        }
        let addresses = parsed(":8080").addresses().unwrap();
        assert_eq!(addresses, ["127.0.0.1:8080".parse().unwrap(), "[::1]:8080".parse().unwrap()]);
    }

    #[test]
    fn a_name_stands_for_all_its_addresses() {
        assert_eq!(parsed("localhost:80"), Listen::Host { name: "localhost".into(), port: 80 });
        let addresses = parsed("localhost:80").addresses().unwrap();
        assert!(addresses.contains(&"127.0.0.1:80".parse().unwrap()), "{addresses:?}");
        assert!(addresses.iter().all(|address| address.ip().is_loopback()), "{addresses:?}");
    }

    #[test]
    fn mistyped_addresses_are_refused() {
        for text in [
            "",
            "localhost",
            "0.0.0.0",
            "127.0.0:8080",
            "::1:8080",
            "[::1]",
            "a b:80",
            "x:99999",
            "*:80",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_addresses_get_the_same_free_port() {
        let bound = parsed(":0").bind().unwrap();
        let ports: BTreeSet<u16> =
            bound.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 1);
        assert!(!ports.contains(&0));
    }

    #[test]
    fn a_port_in_use_is_reported_without_listening_on_it() {
        let listening = parsed("127.0.0.1:0").bind().unwrap();
        let taken = Listen::At(listening[0].local_addr().unwrap());
        assert!(taken.try_bind().unwrap_err().to_string().contains("in use"));
        drop(listening);
        taken.try_bind().unwrap();
    }
}
