//! The `Content-Disposition` header of a served file.
//!
//! Encodes the name (RFC 6266, RFC 8187). Doesn't decide which types are shown inline, and doesn't
//! clean names.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::filename::Filename;

/// Whether a browser shows the file or saves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Shown in the browser.
    Inline,
    /// Saved under its name.
    Attachment,
}

/// Everything but `attr-char` of RFC 8187, section 3.2.1.
const EXT_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Returns the header's value, in printable ASCII: `attachment; filename="r_sum_.pdf";
/// filename*=UTF-8''r%C3%A9sum%C3%A9.pdf`.
///
/// Leaves out `filename*` if the plain form contains the whole name. Otherwise `filename*` comes
/// second, as in RFC 6266, section 5, because old readers take the first one they know.
#[must_use]
pub fn content_disposition(disposition: Disposition, name: &Filename) -> String {
    let kind = match disposition {
        Disposition::Inline => "inline",
        Disposition::Attachment => "attachment",
    };
    let plain = fallback(name);
    if plain == name.as_str() {
        return format!("{kind}; filename=\"{plain}\"");
    }
    let exact = utf8_percent_encode(name.as_str(), EXT_VALUE);
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{exact}")
}

/// The name for readers that don't support `filename*`: ASCII without anything that needs an
/// escape, because readers disagree on escapes (RFC 6266, appendix D). If no letter or digit is
/// left of the stem, it is replaced by `file` instead of becoming `___`.
fn fallback(name: &Filename) -> String {
    let whole = name.as_str();
    if plain(whole) == whole {
        return whole.to_owned();
    }
    let stem = plain(name.stem());
    let stem =
        if stem.contains(|c: char| c.is_ascii_alphanumeric()) { stem } else { "file".to_owned() };
    match name.extension() {
        Some(extension) => format!("{stem}.{}", plain(extension)),
        None => stem,
    }
}

/// Replaces by `_` what a quoted-string can't carry reliably: quotes, backslashes, anything but
/// printable ASCII, and a `%` that starts an escape, which some browsers decode.
fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    text.char_indices()
        .map(|(at, c)| match c {
            '"' | '\\' => '_',
            '%' if is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2)) => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect()
}

fn is_hex(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::{Disposition, content_disposition};
    use crate::filename::Filename;
    use proptest::prelude::*;

    fn attachment(name: &str) -> String {
        content_disposition(Disposition::Attachment, &Filename::parse(name).unwrap())
    }

    #[test]
    fn plain_names_need_one_parameter() {
        assert_eq!(attachment("a b's; (1).jpg"), "attachment; filename=\"a b's; (1).jpg\"");
        let name = Filename::parse("a.jpg").unwrap();
        assert_eq!(content_disposition(Disposition::Inline, &name), "inline; filename=\"a.jpg\"");
    }

    #[test]
    fn other_scripts_get_both_parameters() {
        assert_eq!(
            attachment("r\u{e9}sum\u{e9}.pdf"),
            "attachment; filename=\"r_sum_.pdf\"; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf"
        );
        assert_eq!(
            attachment("文件.pdf"),
            "attachment; filename=\"file.pdf\"; filename*=UTF-8''%E6%96%87%E4%BB%B6.pdf"
        );
        assert_eq!(attachment("€"), "attachment; filename=\"file\"; filename*=UTF-8''%E2%82%AC");
    }

    #[test]
    fn percent_escapes_are_unambiguous() {
        assert_eq!(
            attachment("a%22b.txt"),
            "attachment; filename=\"a_22b.txt\"; filename*=UTF-8''a%2522b.txt"
        );
        assert_eq!(attachment("100%.txt"), "attachment; filename=\"100%.txt\"");
    }

    /// Parses the header as RFC 6266 tells clients to, without sharing code with the writer:
    /// parameters in order, quoted-string or token, `filename*` takes precedence.
    fn decode(header: &str) -> (String, String) {
        let (kind, mut rest) = header.split_once(';').unwrap();
        let mut plain = None;
        let mut extended = None;
        loop {
            let (key, value) = rest.trim_start().split_once('=').unwrap();
            if let Some(quoted) = value.strip_prefix('"') {
                let mut text = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next().unwrap() {
                        (at, '"') => break at,
                        (_, '\\') => text.push(chars.next().unwrap().1),
                        (_, c) => text.push(c),
                    }
                };
                assert_eq!(key, "filename");
                assert!(plain.replace(text).is_none());
                rest = &quoted[end + 1..];
            } else {
                let end = value.find(';').unwrap_or(value.len());
                assert_eq!(key, "filename*");
                let (charset, tail) = value[..end].split_once('\'').unwrap();
                let (language, coded) = tail.split_once('\'').unwrap();
                assert_eq!((charset, language), ("UTF-8", ""));
                assert!(extended.replace(unescape(coded)).is_none());
                rest = &value[end..];
            }
            match rest.strip_prefix(';') {
                Some(more) => rest = more,
                None => break,
            }
        }
        assert_eq!(rest, "");
        (kind.to_owned(), extended.or(plain).unwrap())
    }

    fn unescape(coded: &str) -> String {
        let mut bytes = Vec::new();
        let mut input = coded.bytes();
        while let Some(b) = input.next() {
            bytes.push(match b {
                b'%' => {
                    let hex = [input.next().unwrap(), input.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                b if b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&b) => b,
                b => panic!("{b} is no attr-char"),
            });
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn names_survive_encoding_and_decoding(
            raw in prop_oneof![".{1,40}", "[ -~]{1,40}", "(%[0-9a-f]{2}|é|a|\"|;|\\.){1,20}"],
            inline: bool,
        ) {
            let Some(name) = Filename::parse(&raw) else { return Ok(()) };
            let disposition = if inline { Disposition::Inline } else { Disposition::Attachment };
            let header = content_disposition(disposition, &name);
            prop_assert!(header.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(header.matches('"').count(), 2);
            prop_assert!(!header.contains('\\'));
            let (kind, decoded) = decode(&header);
            prop_assert_eq!(kind, if inline { "inline" } else { "attachment" });
            prop_assert_eq!(decoded, name.as_str());
        }
    }
}
