//! Sizes and times as people write them: `10MiB`, `8d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes: `204800`, `200KiB`, `10MiB`, `5GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// A length of time: `90`, `90s`, `15m`, `24h`, `8d`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// 100 years; what is added to the present must stay a time.
const LONGEST_SECS: u64 = 100 * 365 * 24 * 3600;

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        scaled(text, &units).map(Self).ok_or_else(|| {
            format!("\"{text}\" is no size: use bytes or KiB, MiB, GiB, such as 10MiB")
        })
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600)];
        scaled(text, &units)
            .filter(|secs| *secs <= LONGEST_SECS)
            .map(|secs| Self(Duration::from_secs(secs)))
            .ok_or_else(|| {
                format!("\"{text}\" is no time: use seconds or s, m, h, d, such as 90s or 8d")
            })
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.as_secs(), f)
    }
}

/// A whole number and perhaps a unit; nothing beyond 2^63-1.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" => 1,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|n| i64::try_from(*n).is_ok())
}

macro_rules! as_text_or_number {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                #[derive(Deserialize)]
                #[serde(untagged)]
                enum TextOrNumber {
                    Number(u64),
                    Text(String),
                }
                let text = match TextOrNumber::deserialize(deserializer)? {
                    TextOrNumber::Number(number) => number.to_string(),
                    TextOrNumber::Text(text) => text,
                };
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

as_text_or_number!(ByteSize);
as_text_or_number!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_binary_multiples() {
        for (text, bytes) in
            [("0", 0), ("204800", 204_800), ("10MiB", 10 << 20), ("2 GiB", 2 << 30)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for wrong in ["", "MiB", "10MB", "1.5GiB", "-1", "9007199254740992GiB"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, secs) in [("90", 90), ("90s", 90), ("15m", 900), ("24h", 86400), ("8d", 691_200)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(secs))), "{text}");
        }
        for wrong in ["", "s", "1w", "1.5h", "-1s"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
