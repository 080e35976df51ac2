//! `haversack page-link`, and the link that `serve` shows to whoever started it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;

use super::output::print;
use super::signing::{Signing, token};
use crate::auth::Caller;
use crate::config::{Config, ConfigError, Settings};
use crate::http::options::PublicUrl;
use crate::ids::UserId;

/// Whom the page acts for unless told otherwise.
pub(super) const DEFAULT_USER: UserId = UserId(1);
/// How long a link opens the page.
const TTL_SECS: u64 = 12 * 3600;

#[derive(Args, Debug)]
#[allow(rustdoc::bare_urls, clippy::doc_markdown)] // clap prints these comments as they are
pub(super) struct Arguments {
    /// The user whose files the page shows
    #[arg(long, value_name = "ID", allow_negative_numbers = true, default_value_t = DEFAULT_USER.0)]
    user_id: i64,

    /// Where the server is reached, such as https://media.example.org [default: where it listens]
    #[arg(long, env = "HAVERSACK_PUBLIC_URL", value_name = "URL")]
    url: Option<PublicUrl>,

    /// Where the server listens [default: 127.0.0.1:8080]
    #[arg(long, env = "HAVERSACK_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,

    #[command(flatten)]
    signing: Signing,
}

pub(super) fn run(arguments: Arguments) -> Result<(), ConfigError> {
    let settings =
        Settings { listen: arguments.listen, public_url: arguments.url, ..Settings::default() };
    let config = arguments.signing.load(settings)?;
    if config.http.public_url.is_none() && config.http.listen.port() == 0 {
        return Err(ConfigError("the port is not known: say --url http://HOST:PORT".into()));
    }
    let link = link(&config, UserId(arguments.user_id))?;
    print(|out| writeln!(out, "{link}"))
}

/// A link that opens the page for this user. The token is in the fragment, which browsers send nowhere.
pub(super) fn link(config: &Config, user: UserId) -> Result<String, ConfigError> {
    let token = token(config, Caller::User(user), TTL_SECS)?;
    let base = match &config.http.public_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("http://{}", reachable(config.http.listen)),
    };
    Ok(format!("{base}/#token={token}"))
}

/// Where a browser on this machine finds a server that listens there.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_server_that_listens_everywhere_is_reached_by_the_loopback_address() {
        let reachable = |listen: &str| super::reachable(listen.parse().unwrap()).to_string();
        assert_eq!(reachable("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(reachable("[::]:8080"), "[::1]:8080");
        assert_eq!(reachable("192.0.2.7:80"), "192.0.2.7:80");
    }
}
