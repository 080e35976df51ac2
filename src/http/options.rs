//! Settings of this room.

use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::body::BodyLimits;

/// What an operator decides of how requests are answered.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address that the server listens on; the first of several.
    pub listen: SocketAddr,
    /// Address that links carry; `None`: the one that the client used.
    pub public_url: Option<PublicUrl>,
    /// Networks whose `X-Forwarded-…` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Where a trusted proxy finds the stored files by itself.
    pub accel_redirect: Option<AccelPath>,
    /// Limits of bodies.
    pub body: BodyLimits,
}

/// Scheme and authority (and perhaps a path) of links, without a slash at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicUrl(String);

impl PublicUrl {
    /// What links begin with.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: http::Uri = text.parse().map_err(|error| format!("not an address: {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.query().is_some() {
            return Err("it must look like https://media.example.org".into());
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

/// A path of a proxy's own, with a slash at its end.
#[derive(Clone, Debug)]
pub struct AccelPath(String);

impl AccelPath {
    /// What paths below it begin with.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for AccelPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
        if !text.starts_with('/') || text.starts_with("//") || !text.chars().all(plain) {
            return Err("it must look like /haversack-blobs/".into());
        }
        Ok(Self(format!("{}/", text.trim_end_matches('/'))))
    }
}
