//! Values that clients send in the same form in every dialect.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

use super::request::text;

/// Parses an unsigned decimal number up to 2^63-1, digits only (protocol, section 2).
pub fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| i64::try_from(*number).is_ok())
}

/// Parses an MD5: 32 hexadecimal digits.
pub fn md5(text: &str) -> Option<[u8; 16]> {
    let is_hex = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    number.map(u128::to_be_bytes)
}

/// The size of a request's body in bytes; `None` if its head doesn't state it (RFC 9112, section 6.3).
pub fn body_length(headers: &HeaderMap) -> Option<u64> {
    match text(headers, CONTENT_LENGTH) {
        Some(length) => length.parse().ok(),
        None if headers.contains_key(TRANSFER_ENCODING) => None,
        None => Some(0),
    }
}
