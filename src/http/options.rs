//! Settings.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::body::BodyLimits;
use super::requests::AccessLog;

/// Settings for answering requests.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address that the server listens on; the first one if there are several.
    pub listen: SocketAddr,
    /// The address that links begin with; `None` means the one that the client used.
    pub public_url: Option<PublicUrl>,
    /// Networks whose `X-Forwarded-…` headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The path under which a trusted proxy serves the stored files.
    pub accel_redirect: Option<AccelPath>,
    /// Limits on request bodies.
    pub body: BodyLimits,
    /// Which requests get a line in the log.
    pub access_log: AccessLog,
}

/// An address without the user and password in it, if it has any (RFC 3986, section 3.2.1). Other text stays as it is.
pub fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The scheme, authority and optional path that links begin with, without a trailing slash.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicUrl(String);

impl PublicUrl {
    /// The beginning of links, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: http::Uri = text.parse().map_err(|error| format!("not an address: {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
            return Err("write it like https://media.example.org".into());
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.0
    }
}

/// A path on a proxy, with a trailing slash.
#[derive(Clone, Debug)]
pub struct AccelPath(String);

impl AccelPath {
    /// The beginning of paths below it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for AccelPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if !text.starts_with('/') || text.starts_with("//") || !text.chars().all(plain) {
            return Err("write it like /haversack-blobs/".into());
        }
        Ok(Self(format!("{}/", text.trim_end_matches('/'))))
    }
}

#[cfg(test)]
mod tests {
    use super::without_userinfo;

    #[test]
    fn an_address_is_shown_without_what_is_secret_in_it() {
        for (text, shown) in [
            ("https://a:b@media.example.org/x", "https://media.example.org/x"),
            ("https://media.example.org/@x", "https://media.example.org/@x"),
            ("https://a@b@media.example.org", "https://media.example.org"),
            ("5GiB", "5GiB"),
        ] {
            assert_eq!(without_userinfo(text), shown);
        }
    }
}
