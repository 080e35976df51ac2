//! Decides which bytes of a stored file to send in reply to a GET or HEAD.
//!
//! Implements the grammar of `Range`, `If-Range`, `If-None-Match` and `If-Match` (RFC 9110, sections 13 and 14). Knows
//! no files and builds no replies: it turns the text of headers into a decision.

use std::ops::Range;

/// A header with more ranges than this is ignored.
///
/// RFC 9110, section 14.2, allows that for "a set of many small ranges". Known clients ask for a single range. The
/// limit is higher so that "all are outside the file" (416) can be told from "several" (200).
const MAX_RANGES: usize = 8;

/// What to send for a file of known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// Status 200 and all bytes: no range was requested, or the header is ignored.
    Whole,
    /// Status 206 and these bytes: never empty, never past the end.
    Partial(Range<u64>),
    /// Status 416 and no bytes of the file.
    Unsatisfiable,
}

impl Served {
    /// The `Content-Range` header for this result; `None` for status 200 (RFC 9110, section 14.4).
    #[must_use]
    pub fn content_range(&self, size: u64) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Partial(bytes) => {
                Some(format!("bytes {}-{}/{size}", bytes.start, bytes.end.saturating_sub(1)))
            }
            Self::Unsatisfiable => Some(format!("bytes */{size}")),
        }
    }
}

/// Decides what to send (RFC 9110, sections 13.1.5 and 14.2).
///
/// `etag` is the file's current entity tag, including quotes. A header counts as absent if it is malformed, has another
/// unit, or if its `If-Range` isn't exactly this strong tag. Only single ranges are served: the reply to a list is the
/// whole file, unless none of its ranges could be satisfied.
#[must_use]
pub fn resolve(
    range_header: Option<&str>,
    if_range: Option<&str>,
    etag: &str,
    size: u64,
) -> Served {
    let Some(header) = range_header else {
        return Served::Whole;
    };
    if if_range.is_some_and(|validator| !strong_match(validator.trim_matches(OWS), etag)) {
        return Served::Whole;
    }
    let Some(set) = byte_range_set(header) else {
        return Served::Whole;
    };

    let mut first = None;
    let mut any_satisfiable = false;
    let mut count = 0_usize;
    // A recipient must accept empty list members (RFC 9110, section 5.6.1.2). Each costs one comparison, and the length
    // of the header is already limited.
    for member in set.split(',').map(|m| m.trim_matches(OWS)) {
        if member.is_empty() {
            continue;
        }
        count += 1;
        if count > MAX_RANGES {
            return Served::Whole;
        }
        let Some(spec) = Spec::parse(member) else {
            return Served::Whole;
        };
        let served = spec.on(size);
        any_satisfiable |= served != Served::Unsatisfiable;
        first.get_or_insert(served);
    }
    match (count, first) {
        (1, Some(only)) => only,
        (2.., _) if !any_satisfiable => Served::Unsatisfiable,
        _ => Served::Whole,
    }
}

/// Whether `If-None-Match` contains the tag, by weak comparison, so that the reply is 304 (RFC 9110, section 13.1.2).
///
/// A malformed list is read up to the error. Several header lines must be joined by commas.
#[must_use]
pub fn if_none_match(header: &str, etag: &str) -> bool {
    lists(header, |tag| opaque(tag).is_some() && opaque(tag) == opaque(etag))
}

/// Whether `If-Match` contains the tag, by strong comparison; if not, the reply is 412 (RFC 9110, section 13.1.1).
#[must_use]
pub fn if_match(header: &str, etag: &str) -> bool {
    lists(header, |tag| strong_match(tag, etag))
}

/// Optional white space (RFC 9110, section 5.6.3).
const OWS: [char; 2] = [' ', '\t'];

/// The text after `bytes=`. Unit names are case-insensitive (RFC 9110, section 14.1).
fn byte_range_set(header: &str) -> Option<&str> {
    let (unit, set) = header.trim_matches(OWS).split_once('=')?;
    unit.eq_ignore_ascii_case("bytes").then_some(set)
}

/// A range-spec (RFC 9110, section 14.1.1).
enum Spec {
    From { first: u64, last: Option<u64> },
    Suffix(u64),
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        if first.is_empty() {
            return Some(Self::Suffix(saturating_decimal(last)?));
        }
        let first = saturating_decimal(first)?;
        let last = match last {
            "" => None,
            digits => Some(saturating_decimal(digits)?),
        };
        // A backward range is invalid, not unsatisfiable (section 14.1.2).
        (last.is_none_or(|last| first <= last)).then_some(Self::From { first, last })
    }

    fn on(&self, size: u64) -> Served {
        match *self {
            Self::Suffix(0) => Served::Unsatisfiable,
            // A suffix of an empty file is satisfiable, but no Content-Range can express it.
            Self::Suffix(_) if size == 0 => Served::Whole,
            Self::Suffix(length) => Served::Partial(size.saturating_sub(length)..size),
            Self::From { first, .. } if first >= size => Served::Unsatisfiable,
            Self::From { first, last } => {
                let end = last.map_or(size, |last| last.saturating_add(1).min(size));
                Served::Partial(first..end)
            }
        }
    }
}

/// Parses digits, without sign or spaces. A number above `u64::MAX` becomes `u64::MAX`, which lies past the end of
/// every file.
fn saturating_decimal(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn strong_match(given: &str, etag: &str) -> bool {
    given == etag && given.starts_with('"') && opaque(given).is_some()
}

/// The quoted part of an entity tag, weak or strong (RFC 9110, section 8.8.3).
fn opaque(tag: &str) -> Option<&str> {
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('"')).then_some(inner)
}

/// Checks whether any tag in a list matches. Commas inside quotes belong to the tag.
fn lists(header: &str, matches: impl Fn(&str) -> bool) -> bool {
    let mut rest = header.trim_matches(OWS);
    if rest == "*" {
        return true;
    }
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let weak = usize::from(rest.starts_with("W/")) * 2;
        let Some(quoted) = rest[weak..].strip_prefix('"') else {
            return false;
        };
        let Some(length) = quoted.find('"') else {
            return false;
        };
        let (tag, after) = rest.split_at(weak + length + 2);
        if matches(tag) {
            return true;
        }
        rest = after.trim_start_matches(OWS);
        if !rest.starts_with(',') {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Served, if_match, if_none_match, resolve};
    use proptest::prelude::*;

    const TAG: &str = "\"abc\"";

    fn bytes(set: &str, size: u64) -> Served {
        resolve(Some(&format!("bytes={set}")), None, TAG, size)
    }

    #[test]
    fn no_header_means_the_whole_file() {
        assert_eq!(resolve(None, None, TAG, 10), Served::Whole);
        assert_eq!(resolve(None, Some(TAG), TAG, 10), Served::Whole);
    }

    #[test]
    fn single_ranges_are_served_and_clamped() {
        for (set, want) in [
            ("0-0", 0..1),
            ("0-", 0..10),
            ("3-5", 3..6),
            ("9-9", 9..10),
            ("5-", 5..10),
            ("5-99", 5..10),
            ("0-18446744073709551615", 0..10),
            ("2-99999999999999999999999", 2..10),
            ("-1", 9..10),
            ("-10", 0..10),
            ("-11", 0..10),
            ("-99999999999999999999999", 0..10),
            ("0003-0005", 3..6),
            (" 3-5 ", 3..6),
            (",3-5,", 3..6),
        ] {
            assert_eq!(bytes(set, 10), Served::Partial(want), "{set}");
        }
    }

    #[test]
    fn ranges_outside_the_file_are_unsatisfiable() {
        for set in [
            "10-",
            "10-20",
            "500-",
            "-0",
            "99999999999999999999999-",
            "18446744073709551615-18446744073709551615",
            "10-,20-30",
            "-0,10-",
        ] {
            assert_eq!(bytes(set, 10), Served::Unsatisfiable, "{set}");
        }
    }

    #[test]
    fn malformed_headers_are_ignored() {
        for header in [
            "bytes=5-2",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=--1",
            "bytes=1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1 -2",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "bytes=1.0-2",
            "bytes=\u{661}-\u{662}",
            "bytes=500-,x",
            "bytes 0-1",
            "bytes",
            "",
            "bytes =0-1",
            "items=0-1",
            "none",
        ] {
            assert_eq!(resolve(Some(header), None, TAG, 10), Served::Whole, "{header}");
        }
    }

    #[test]
    fn unit_name_ignores_case() {
        assert_eq!(resolve(Some("Bytes=0-1"), None, TAG, 10), Served::Partial(0..2));
    }

    #[test]
    fn several_ranges_get_the_whole_file() {
        assert_eq!(bytes("0-0,5-6", 10), Served::Whole);
        assert_eq!(bytes("0-0, 500-", 10), Served::Whole);
        assert_eq!(bytes("500-, 0-0", 10), Served::Whole);
    }

    #[test]
    fn a_thousand_ranges_get_the_whole_file() {
        assert_eq!(bytes(&vec!["0-0"; 1000].join(","), 10), Served::Whole);
        assert_eq!(bytes(&vec!["500-"; 1000].join(","), 10), Served::Whole);
    }

    #[test]
    fn an_empty_file_has_no_first_byte() {
        assert_eq!(bytes("0-", 0), Served::Unsatisfiable);
        assert_eq!(bytes("0-0", 0), Served::Unsatisfiable);
        assert_eq!(bytes("-0", 0), Served::Unsatisfiable);
        assert_eq!(bytes("-5", 0), Served::Whole);
    }

    #[test]
    fn if_range_needs_our_strong_tag() {
        let with = |validator, etag| resolve(Some("bytes=0-1"), Some(validator), etag, 10);
        assert_eq!(with(TAG, TAG), Served::Partial(0..2));
        assert_eq!(with(" \"abc\" ", TAG), Served::Partial(0..2));
        for stale in [
            "\"other\"",
            "W/\"abc\"",
            "abc",
            "*",
            "",
            "\"abc\", \"abc\"",
            "Sat, 29 Oct 1994 19:43:31 GMT",
        ] {
            assert_eq!(with(stale, TAG), Served::Whole, "{stale}");
        }
        assert_eq!(with("W/\"abc\"", "W/\"abc\""), Served::Whole);
    }

    #[test]
    fn stale_if_range_hides_an_unsatisfiable_range() {
        assert_eq!(resolve(Some("bytes=99-"), Some("\"old\""), TAG, 10), Served::Whole);
    }

    #[test]
    fn content_range_names_the_last_byte() {
        assert_eq!(bytes("3-5", 10).content_range(10).unwrap(), "bytes 3-5/10");
        assert_eq!(bytes("99-", 10).content_range(10).unwrap(), "bytes */10");
        assert_eq!(Served::Whole.content_range(10), None);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for listed in [
            "*",
            " * ",
            "\"abc\"",
            "W/\"abc\"",
            "\"x\", \"abc\"",
            "\"x,y\" ,,W/\"abc\"",
            "\"\",\"abc\" junk",
        ] {
            assert!(if_none_match(listed, TAG), "{listed}");
        }
        for absent in [
            "",
            "abc",
            "\"abc",
            "\"ab\"",
            "w/\"abc\"",
            "*, x",
            "x, \"abc\"",
            "\"x\" \"abc\"",
            "\"x,\\\"abc\"",
            "é\"abc\"",
        ] {
            assert!(!if_none_match(absent, TAG), "{absent}");
        }
        assert!(if_none_match("\"abc\"", "W/\"abc\""));
    }

    #[test]
    fn if_match_compares_strongly() {
        assert!(if_match("*", TAG));
        assert!(if_match("\"x\", \"abc\"", TAG));
        assert!(!if_match("W/\"abc\"", TAG));
        assert!(!if_match("W/\"abc\"", "W/\"abc\""));
        assert!(!if_match("", TAG));
    }

    proptest! {
        #[test]
        fn any_text_is_decided_without_panic(header in ".{0,60}", size: u64) {
            let _ = resolve(Some(&header), None, TAG, size);
            let _ = if_none_match(&header, TAG);
            let _ = if_match(&header, &header);
        }

        #[test]
        fn served_ranges_lie_inside_the_file(
            set in "[0-9]{0,21}-[0-9]{0,21}",
            size: u64,
        ) {
            if let Served::Partial(range) = bytes(&set, size) {
                prop_assert!(range.start < range.end);
                prop_assert!(range.end <= size);
            }
        }

        #[test]
        fn a_range_inside_the_file_is_served_exactly(
            (first, last, size) in (0u64..1000)
                .prop_flat_map(|f| (Just(f), f..1000))
                .prop_flat_map(|(f, l)| (Just(f), Just(l), l + 1..2000)),
        ) {
            prop_assert_eq!(
                bytes(&format!("{first}-{last}"), size),
                Served::Partial(first..last + 1)
            );
        }
    }
}
