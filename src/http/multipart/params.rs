//! Parses the grammar that Content-Type and Content-Disposition share: `value; name=token;
//! name="quoted"` (RFC 9110, section 5.6.6, with the deviations that form data needs). Knows no
//! parameters, and doesn't decide which are required.

use memchr::{memchr, memchr2};

/// The parameters violate the grammar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The parameters after a header's main value, in order.
pub(super) struct Params<'a> {
    rest: &'a [u8],
}

/// Splits a header value into its trimmed main value and its parameters.
pub(super) fn split(value: &[u8]) -> (&[u8], Params<'_>) {
    let end = memchr(b';', value).unwrap_or(value.len());
    let (main, rest) = value.split_at(end);
    (main.trim_ascii(), Params { rest })
}

impl<'a> Iterator for Params<'a> {
    type Item = Result<(&'a [u8], Vec<u8>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // Empty parameters (`;;`, or `;` at the end) are common and harmless.
        while let [b';' | b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let (item, rest) = match parameter(self.rest) {
            Ok((name, value, rest)) => (Ok((name, value)), rest),
            Err(malformed) => (Err(malformed), &[][..]),
        };
        self.rest = rest;
        Some(item)
    }
}

/// Whether `name` is a token (RFC 9110, section 5.6.2), that is, a valid header or parameter name.
pub(super) fn is_token(name: &[u8]) -> bool {
    let is_allowed = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
    };
    !name.is_empty() && name.iter().all(is_allowed)
}

type Parameter<'a> = (&'a [u8], Vec<u8>, &'a [u8]);

fn parameter(text: &[u8]) -> Result<Parameter<'_>, Malformed> {
    let equals = memchr(b'=', text).ok_or(Malformed)?;
    let (name, after) = text.split_at(equals);
    let name = name.trim_ascii();
    if !is_token(name) {
        return Err(Malformed);
    }
    let after = after.strip_prefix(b"=").ok_or(Malformed)?.trim_ascii_start();
    let (value, rest) = match after.strip_prefix(b"\"") {
        Some(text) => quoted(text)?,
        None => unquoted(after)?,
    };
    match rest.trim_ascii_start() {
        rest @ ([] | [b';', ..]) => Ok((name, value, rest)),
        _ => Err(Malformed),
    }
}

/// Parses an unquoted value. Allows more than a token, because boundaries come unquoted with `=`,
/// `/` or `:`, and names with bytes beyond ASCII; but no quotes or spaces, because readers would
/// disagree on the end of the value.
fn unquoted(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Malformed> {
    let end =
        text.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t')).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    if value.is_empty() || value.contains(&b'"') {
        return Err(Malformed);
    }
    Ok((value.to_vec(), rest))
}

/// Parses a quoted value. Only `\"` is an escape. Any other backslash stays, because old browsers
/// send whole Windows paths unescaped. `\\` also stays, but is read as a pair, so that clients that
/// do escape can end a value with a backslash.
fn quoted(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Malformed> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let at = memchr2(b'"', b'\\', rest).ok_or(Malformed)?;
        let (plain, special) = rest.split_at(at);
        value.extend_from_slice(plain);
        rest = match special {
            [b'"', after @ ..] => return Ok((value, after)),
            [b'\\', b'"', after @ ..] => {
                value.push(b'"');
                after
            }
            [b'\\', b'\\', after @ ..] => {
                value.extend_from_slice(br"\\");
                after
            }
            [other, after @ ..] => {
                value.push(*other);
                after
            }
            [] => return Err(Malformed),
        };
    }
}
