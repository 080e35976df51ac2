//! Formats numbers for messages and the log.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// Formats a count: `1 file`, `2 files`. `thing` is a singular whose plural ends in `s`.
pub fn counted<N: fmt::Display + Copy + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    let s = if number == N::from(1) { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// Formats a number of bytes: `1 byte`, `204800 bytes`.
pub fn bytes(number: u64) -> String {
    counted(number, "byte")
}

/// Formats a duration to the second: `1 min 30 s`. Days are used from three days on: `48 h`, but `8 d`.
pub fn duration(length: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    let mut left = length.as_secs();
    let mut text = String::new();
    for (unit, secs, from) in [("d", DAY, 3 * DAY), ("h", 3600, 3600), ("min", 60, 60), ("s", 1, 1)]
    {
        if left >= from {
            let _ = write!(text, "{} {unit} ", left / secs);
            left %= secs;
        }
    }
    if text.is_empty() { "0 s".to_owned() } else { text.trim_end().to_owned() }
}

/// Formats inclusive ranges of numbers: `0, 3-7, 12`. If there are very many, shows the first ones and counts the rest.
pub fn ranges(ranges: &[(u32, u32)]) -> String {
    const SHOWN: usize = 20;
    let one = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let shown: Vec<_> = ranges.iter().take(SHOWN).map(one).collect();
    let mut text = shown.join(", ");
    if ranges.len() > SHOWN {
        let _ = write!(text, " and {}", counted(ranges.len() - SHOWN, "more range"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_one_is_singular() {
        assert_eq!(counted(0_u64, "file"), "0 files");
        assert_eq!(counted(1_u64, "file"), "1 file");
        assert_eq!(counted(2_u64, "unfinished upload"), "2 unfinished uploads");
        assert_eq!(bytes(1), "1 byte");
    }

    #[test]
    fn durations_are_shown_in_common_units() {
        for (secs, words) in [
            (0, "0 s"),
            (1, "1 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (3600, "1 h"),
            (172_800, "48 h"),
            (8 * 86_400, "8 d"),
            (3 * 86_400 + 3661, "3 d 1 h 1 min 1 s"),
        ] {
            assert_eq!(duration(Duration::from_secs(secs)), words);
        }
        assert_eq!(duration(Duration::from_millis(1999)), "1 s");
    }

    #[test]
    fn ranges_are_written_briefly() {
        assert_eq!(super::ranges(&[]), "");
        assert_eq!(super::ranges(&[(0, 0), (3, 7), (12, 12)]), "0, 3-7, 12");
        let many: Vec<_> = (0..30).map(|i| (i * 2, i * 2)).collect();
        let text = super::ranges(&many);
        assert!(text.starts_with("0, 2, 4") && text.ends_with("38 and 10 more ranges"), "{text}");
    }
}
