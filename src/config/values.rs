//! Types of values: the secret, values that may be `none` or `auto`, numbers above zero, and values of options that no
//! longer exist.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::ConfigError;

/// The secret that signs tokens. Never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The key.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// A random secret of 32 bytes.
    pub fn random() -> Self {
        Self(URL_SAFE_NO_PAD.encode(crate::links::random_secret()))
    }

    /// The text to store in a file.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A warning if it is weak.
    pub fn weakness(&self) -> Option<&'static str> {
        (self.0.len() < 32).then_some(
            "the secret for tokens is shorter than 32 bytes and could be guessed (RFC 7518, section 3.2)",
        )
    }

    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |error: io::Error| {
            let remedy = match error.kind() {
                ErrorKind::PermissionDenied => "run this as the user that runs the server",
                _ => "start `haversack serve` once, which creates it",
            };
            let path = path.display();
            ConfigError(format!(
                "no secret: {path}: {error}; {remedy}, or set HAVERSACK_JWT_SECRET"
            ))
        };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        text.trim().parse().map_err(|error| ConfigError(format!("{}: {error}", path.display())))
    }
}

impl FromStr for Secret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the secret is empty".into());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A value, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrNone<T>(pub Option<T>);

impl<T: FromStr> FromStr for OrNone<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        text.parse().map(|value| Self(Some(value)))
    }
}

impl<T: fmt::Display> fmt::Display for OrNone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("none"),
        }
    }
}

/// The values in a list that aren't `none`.
pub(super) fn without_none<T>(list: Vec<OrNone<T>>) -> Vec<T> {
    list.into_iter().filter_map(|value| value.0).collect()
}

/// Yes, no, or whatever fits the other settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Switch {
    Auto,
    On,
    Off,
}

impl FromStr for Switch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "yes" | "true" | "on" | "y" | "t" | "1" => Ok(Self::On),
            "no" | "false" | "off" | "n" | "f" | "0" => Ok(Self::Off),
            _ => Err("it must be yes, no or auto"),
        }
    }
}

/// Parses a value that must not be zero.
pub(super) fn at_least_one<T>(text: &str) -> Result<T, String>
where
    T: FromStr<Err: fmt::Display> + PartialEq,
{
    let value = text.parse::<T>().map_err(|error| error.to_string())?;
    match "0".parse::<T>() {
        Ok(zero) if zero == value => Err("it must be at least 1".into()),
        _ => Ok(value),
    }
}

/// The value of an option that no longer has any effect. Any value is accepted, so that the server still starts with
/// an old configuration.
#[derive(Clone, Copy, Debug)]
pub struct Dropped;

impl FromStr for Dropped {
    type Err = Infallible;

    fn from_str(_: &str) -> Result<Self, Infallible> {
        Ok(Self)
    }
}
