//! Values of settings that are valid once they are built: the secret, and those of options that were dropped.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::error::ConfigError;

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

impl TryFrom<String> for Secret {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
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
