//! Ids of requests, and W3C Trace Context.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName};

/// The header with a request's id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken over from a proxy, in bytes.
const MAX_BYTES: usize = 128;

/// The id that a proxy has given to the request: one header of up to 128 letters, digits and `-._:/+=@`, so that it can
/// stand anywhere. Any other counts as none.
pub(super) fn sent(headers: &HeaderMap) -> Option<&str> {
    let text = only(headers, &X_REQUEST_ID)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/+=@".contains(&byte);
    let is_id = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(is_plain);
    is_id.then_some(text)
}

/// Makes ids: 16 hexadecimal digits, different ones in every process. A keyed hash of a counter, because asking the
/// system for random bytes would take a call per request, and a plain counter would tell clients how many requests
/// there are.
#[derive(Default)]
pub(super) struct Ids {
    key: RandomState,
    next: AtomicU64,
}

impl Ids {
    pub(super) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}", self.key.hash_one(number))
    }
}

/// The `traceparent` of a request if it is valid (W3C Trace Context, section 3.2): version, trace id, parent id and
/// flags in lower-case hexadecimal; ids of zeros and version ff are invalid. Later versions may add more at the end,
/// which is left out.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    const LENGTH: usize = 55;
    const DASHES: [usize; 3] = [2, 35, 52];
    let text = only(headers, &HeaderName::from_static("traceparent"))?;
    let (known, more) = text.split_at_checked(LENGTH)?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_right = |(at, byte): (usize, u8)| {
        if DASHES.contains(&at) { byte == b'-' } else { is_hex(byte) }
    };
    let is_zero = |range: std::ops::Range<usize>| known[range].bytes().all(|byte| byte == b'0');
    let valid = known.bytes().enumerate().all(is_right)
        && !known.starts_with("ff")
        && !is_zero(3..35)
        && !is_zero(36..52)
        && (more.is_empty() || (!known.starts_with("00") && more.starts_with('-')));
    valid.then_some(known)
}

/// The text of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn an_id_that_could_stand_anywhere_is_taken_over() {
        let long = "x".repeat(128);
        for id in ["7", "Root=1-67891233-abcdef", "0b/c+d:e@f_g~"] {
            let expected = (!id.contains('~')).then_some(id);
            assert_eq!(sent(&headers("x-request-id", &[id])), expected, "{id}");
        }
        assert!(sent(&headers("x-request-id", &[&long])).is_some());
    }

    #[test]
    fn an_id_that_could_mean_something_else_or_is_not_the_only_one_is_not_taken_over() {
        let long = "x".repeat(129);
        for ids in
            [&[""][..], &["a b"], &["a\"b"], &["a,b"], &["a=<b>"], &[&long], &["a", "a"], &[]]
        {
            assert_eq!(sent(&headers("x-request-id", ids)), None, "{ids:?}");
        }
    }

    #[test]
    fn made_ids_are_different_and_do_not_count() {
        let ids = Ids::default();
        let made: Vec<String> = (0..1000).map(|_| ids.next()).collect();
        assert!(made.iter().all(|id| id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit())));
        let mut sorted = made.clone();
        sorted.sort();
        assert_ne!(sorted, made);
        sorted.dedup();
        assert_eq!(sorted.len(), 1000);
        assert_ne!(Ids::default().next(), Ids::default().next());
    }

    #[test]
    fn a_traceparent_is_taken_over_only_if_it_is_valid() {
        const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed = |text: &str| {
            let headers = headers("traceparent", &[text]);
            traceparent(&headers).map(ToOwned::to_owned)
        };
        assert_eq!(parsed(VALID).as_deref(), Some(VALID));
        let later = VALID.replacen("00", "01", 1);
        assert_eq!(parsed(&format!("{later}-more")).as_deref(), Some(later.as_str()));
        for wrong in [
            "",
            "00",
            &VALID.to_uppercase(),
            &VALID.replacen("00", "ff", 1),
            &VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &VALID.replace('-', "_"),
            &format!("{VALID}-more"),
            &format!("{later}more"),
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
        assert_eq!(traceparent(&headers("traceparent", &[VALID, VALID])), None);
    }
}
