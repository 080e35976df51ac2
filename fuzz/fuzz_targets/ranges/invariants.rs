//! Owns what must hold for any `Range`, `If-Range`, `If-Match` and `If-None-Match`, for the fuzz target and for the
//! tests that replay its corpus.

use haversack::http::range::{Served, if_match, if_none_match, resolve};

const ETAG: &str = "\"0c2a6e4e-00ff00ff\"";

/// An input is the file's size (eight bytes), the range, a line feed, and what the condition says; `=` there
/// stands for the right entity-tag.
pub(crate) fn check(input: &[u8]) {
    let Some((size, headers)) = input.split_first_chunk::<8>() else { return };
    let size = u64::from_be_bytes(*size) >> 1; // no file is longer than 2^63 - 1
    let headers = String::from_utf8_lossy(headers);
    let (range, condition) = headers.split_once('\n').unwrap_or((&headers, "="));
    let condition = if condition == "=" { ETAG } else { condition };
    check_range(range, size);
    let conditioned = resolve(Some(range), Some(condition), ETAG, size);
    if condition.trim_matches([' ', '\t']) == ETAG {
        assert_eq!(conditioned, resolve(Some(range), None, ETAG, size));
    } else {
        assert_eq!(conditioned, Served::Whole, "a condition that fails");
    }
    assert_eq!(resolve(None, Some(condition), ETAG, size), Served::Whole);
    let (strong, weak) = (if_match(condition, ETAG), if_none_match(condition, ETAG));
    assert!(weak || !strong, "what matches strongly matches weakly");
    assert!(!weak || condition.contains(ETAG) || condition.contains('*'));
}

fn check_range(range: &str, size: u64) {
    let served = resolve(Some(range), None, ETAG, size);
    let header = served.content_range(size);
    match &served {
        Served::Whole => assert_eq!(header, None),
        Served::Partial(bytes) => {
            assert!(bytes.start < bytes.end && bytes.end <= size, "{bytes:?} of {size}");
            assert_eq!(header, Some(format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1)));
            // Asked for by its numbers, it is the same.
            let again = format!("bytes={}-{}", bytes.start, bytes.end - 1);
            assert_eq!(resolve(Some(&again), None, ETAG, size), served);
        }
        Served::Unsatisfiable => assert_eq!(header, Some(format!("bytes */{size}"))),
    }
    if let Some(expected) = plain(range, size) {
        assert_eq!(served, expected, "{range:?} of {size}");
    }
}

/// What a range of the plainest form is answered with, worked out in wider numbers; none for other forms, and for
/// numbers that no `u64` holds (of two of these, the larger one is not told).
fn plain(range: &str, size: u64) -> Option<Served> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().ok().map(u128::from)).flatten()
    };
    let (first, last, size) = (number(first)?, number(last)?, u128::from(size));
    Some(match () {
        () if last < first => Served::Whole,
        () if first >= size => Served::Unsatisfiable,
        () => {
            let end = (last + 1).min(size);
            Served::Partial(u64::try_from(first).ok()?..u64::try_from(end).ok()?)
        }
    })
}
