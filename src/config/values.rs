//! Values of settings that are valid once they are built: secrets, addresses, paths, origins; and those of options
//! that were dropped.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Lets a value be read from a file as from the command line.
macro_rules! parsed_from_text {
    ($($name:ident),*) => {
        $(impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        })*
    };
}
parsed_from_text!(Secret, PublicUrl, AccelPath, Origin, CorsHeader);

/// A secret: never printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secret(String);

impl Secret {
    /// The bytes that sign.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// A random one, of 32 bytes.
    pub fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(crate::links::random_secret()))
    }

    /// The text to keep in a file.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError(format!(
                "no secret: set HAVERSACK_JWT_SECRET, or start `haversack serve` once so that it makes \
                 {} ({error})",
                path.display()
            ))
        })?;
        text.trim().parse().map_err(|error| ConfigError(format!("{}: {error}", path.display())))
    }
}

impl std::str::FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the secret is empty".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
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

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.0
    }
}

/// A path of a proxy's own, with a slash at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

impl From<AccelPath> for String {
    fn from(path: AccelPath) -> Self {
        path.0
    }
}

/// A web origin, as browsers send it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(http::HeaderValue);

impl Origin {
    /// The header's value.
    pub fn value(&self) -> &http::HeaderValue {
        &self.0
    }
}

impl std::str::FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no origin: it must look like https://chat.example.org");
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "https") || rest.is_empty() || rest.contains('/') {
            return Err(wrong());
        }
        http::HeaderValue::from_str(text).map(Self).map_err(|_| wrong())
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0.to_str().unwrap_or_default().to_owned()
    }
}

/// The name of a request header that pages of other origins may send.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CorsHeader(http::HeaderName);

impl CorsHeader {
    /// The header's name.
    pub fn name(&self) -> &http::HeaderName {
        &self.0
    }
}

impl std::str::FromStr for CorsHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = http::HeaderName::from_bytes(text.trim().as_bytes());
        name.map(Self)
            .map_err(|_| format!("{text:?} is no header's name, such as x-client-version"))
    }
}

impl From<CorsHeader> for String {
    fn from(header: CorsHeader) -> Self {
        header.0.to_string()
    }
}

/// The value of an option that has no effect any more: whatever it is, it is accepted, so that a configuration of
/// an earlier release still starts the server.
#[derive(Clone, Copy, Debug)]
pub struct Dropped;

impl std::str::FromStr for Dropped {
    type Err = std::convert::Infallible;

    fn from_str(_: &str) -> Result<Self, Self::Err> {
        Ok(Self)
    }
}

impl<'de> Deserialize<'de> for Dropped {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl Serialize for Dropped {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true) // anything: it is read back by the above
    }
}
