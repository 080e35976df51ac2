//! Sizes and times as people write them: `10MiB`, `8d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes: `204800`, `200KiB`, `5GiB` (2^30 bytes each), `5GB` (10^9 bytes each). A unit of one letter is
/// binary: `5G` is `5GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// A duration in whole seconds: `90`, `90s`, `15m`, `1d 12h`, `1w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// 100 years: the present plus any duration must be a valid time.
const LONGEST_SECS: u64 = 100 * 365 * 24 * 3600;

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        // `bytesize` takes 5G for 5 * 10^9. Here it is 5GiB, as in systemd and Docker.
        let size = if has_bare_prefix(trimmed) { format!("{trimmed}iB") } else { trimmed.into() };
        let size = size.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64());
        // `bytesize` saturates instead of refusing what is too large.
        size.filter(|bytes| i64::try_from(*bytes).is_ok()).map(Self).ok_or_else(|| {
            format!(
                "\"{text}\" is not a size: use bytes or KiB, MiB, GiB, TiB (or KB, MB, GB, TB: powers of 1000), such \
                 as 10MiB"
            )
        })
    }
}

/// Whether a size has a unit of one letter, as in `5G`.
pub(super) fn has_bare_prefix(size: &str) -> bool {
    let unit = size.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').trim();
    matches!(unit, "K" | "k" | "M" | "m" | "G" | "g" | "T" | "t" | "P" | "p")
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let is_number = !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit());
        let time = if is_number { format!("{trimmed}s") } else { trimmed.into() };
        // `humantime` takes 5M for five months.
        let time = if time.contains('M') { None } else { humantime::parse_duration(&time).ok() };
        let in_range = |time: &Duration| time.subsec_nanos() == 0 && time.as_secs() <= LONGEST_SECS;
        time.filter(in_range).map(Self).ok_or_else(|| {
            format!(
                "\"{text}\" is not a duration: use whole seconds or s, m, h, d, w, such as 90s, 1d 12h or 8d; at \
                 most 100 years"
            )
        })
    }
}

impl fmt::Display for ByteSize {
    /// Exact, unlike `bytesize`, which rounds to a tenth of a unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        const DECIMAL: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
        let (binary, unit) = scaled(self.0, 1024);
        let (decimal, thousands) = scaled(self.0, 1000);
        match (unit, thousands) {
            (0, 0) => write!(f, "{}", self.0),
            (0, thousands) => write!(f, "{decimal}{}", DECIMAL[thousands]),
            (unit, _) => write!(f, "{binary}{}", BINARY[unit]),
        }
    }
}

/// Divides by `by` as long as nothing remains, at most four times. Returns the result and how often.
fn scaled(mut number: u64, by: u64) -> (u64, usize) {
    let mut times = 0;
    while number != 0 && number.is_multiple_of(by) && times < 4 {
        number /= by;
        times += 1;
    }
    (number, times)
}

impl fmt::Display for Span {
    /// In the units of the documentation. `humantime` would make months of 30.44 days: 90 days are `2months 29days 2h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_secs();
        let mut parts = Vec::new();
        for (unit, secs) in [("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)] {
            if left >= secs {
                parts.push(format!("{}{unit}", left / secs));
            }
            left %= secs;
        }
        f.write_str(if parts.is_empty() { "0s".into() } else { parts.join(" ") }.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_multiples_of_1024_or_of_1000() {
        for (text, bytes) in [
            ("0", 0),
            ("204800", 204_800),
            ("10MiB", 10 << 20),
            (" 2 GiB ", 2 << 30),
            ("5GB", 5_000_000_000),
            ("5gb", 5_000_000_000),
            ("5gib", 5 << 30),
            ("1.5KiB", 1536),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for wrong in ["", "MiB", "10MX", "-1", "1e3", "9007199254740992GiB", "9223372036854775808"]
        {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_letter_alone_is_a_binary_unit() {
        for text in ["5G", "5g", "5 G", "5Gi", "5GiB", "5120M", "5242880k"] {
            assert_eq!(text.parse(), Ok(ByteSize(5 << 30)), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_exactly_and_are_read_back() {
        for (bytes, text) in [
            (0, "0"),
            (1, "1"),
            (1000, "1KB"),
            (1024, "1KiB"),
            (204_800, "200KiB"),
            (5_000_000_000, "5GB"),
            (5 << 30, "5GiB"),
            (1 << 50, "1024TiB"),
            ((5 << 30) + 1, "5368709121"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
    }

    #[test]
    fn times_are_seconds_or_have_units() {
        for (text, secs) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("24h", 86_400),
            ("8d", 691_200),
            ("1w", 604_800),
            ("1d 12h", 129_600),
            ("1d12h", 129_600),
            ("1.5h", 5400),
            ("2 weeks", 1_209_600),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(secs))), "{text}");
        }
        for wrong in ["", "s", "5M", "-1s", "500ms", "1h 30", "soon", "101 years"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_shown_as_they_can_be_written() {
        for (secs, text) in [
            (0, "0s"),
            (90, "1m 30s"),
            (691_200, "8d"),
            (129_600, "1d 12h"),
            (90 * 86_400, "90d"),
            (366 * 86_400 + 3661, "366d 1h 1m 1s"),
        ] {
            assert_eq!(Span(Duration::from_secs(secs)).to_string(), text);
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(secs))));
        }
    }
}
