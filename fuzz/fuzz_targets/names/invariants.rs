//! Owns what must hold for any name that a client sends, and a reader of `Content-Disposition` that shares no code
//! with the writer, for the fuzz target and for tests.

use haversack::filename::{Filename, MAX_BYTES};
use haversack::http::disposition::{Disposition, content_disposition};

/// An input is a name, in any encoding.
pub(crate) fn check(input: &[u8]) {
    let raw = String::from_utf8_lossy(input);
    let Some(name) = Filename::parse(&raw) else { return };
    assert_clean(name.as_str());
    assert_eq!(Filename::parse(name.as_str()).as_ref(), Some(&name), "cleaning twice");
    let extended = name.clone().with_extension(Some("jpg"));
    assert_clean(extended.as_str());
    assert!(extended == name || name.extension().is_none());
    for (disposition, kind) in
        [(Disposition::Inline, "inline"), (Disposition::Attachment, "attachment")]
    {
        let header = read_disposition(&content_disposition(disposition, &name));
        assert_eq!(header.kind, kind);
        assert_eq!(header.name(), name.as_str());
        assert!(header.plain.is_ascii() && !header.plain.is_empty());
    }
}

/// Fails unless a name can be shown anywhere, is no path, and hides nothing.
pub(crate) fn assert_clean(name: &str) {
    assert!((1..=MAX_BYTES).contains(&name.len()), "{name:?}");
    assert!(name.trim() == name && !name.chars().all(|c| c == '.'), "{name:?}");
    let harmful = |c: char| {
        c.is_control()
            || r"/\".contains(c)
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{61C}')
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{200B}')
    };
    assert!(!name.contains(harmful), "{name:?}");
}

/// A `Content-Disposition` as RFC 6266 section 4.1 spells it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadDisposition {
    pub(crate) kind: String,
    /// `filename`.
    pub(crate) plain: String,
    /// `filename*`, decoded.
    pub(crate) exact: Option<String>,
}

impl ReadDisposition {
    /// The name a client takes (section 4.3).
    pub(crate) fn name(&self) -> &str {
        self.exact.as_deref().unwrap_or(&self.plain)
    }
}

/// Reads the header strictly: whatever the grammar doesn't allow fails.
pub(crate) fn read_disposition(header: &str) -> ReadDisposition {
    assert!(header.bytes().all(|b| (b' '..=b'~').contains(&b)), "{header:?}");
    let (kind, mut rest) = token(header);
    let (mut plain, mut exact) = (None, None);
    while !rest.is_empty() {
        let (name, after) = token(rest.strip_prefix(';').expect("a semicolon").trim_start());
        let value = after.strip_prefix('=').expect("a value");
        rest = match name {
            "filename" => {
                let (text, after) = quoted(value);
                assert!(plain.replace(text).is_none(), "twice: {header}");
                after
            }
            "filename*" => {
                let (text, after) = ext_value(value);
                assert!(exact.replace(text).is_none(), "twice: {header}");
                after
            }
            other => panic!("{other:?} in {header}"),
        };
    }
    ReadDisposition { kind: kind.to_owned(), plain: plain.expect("a filename"), exact }
}

/// `token` of RFC 9110 section 5.6.2.
fn token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    assert!(end > 0, "a token: {text:?}");
    text.split_at(end)
}

/// `quoted-string` of RFC 9110 section 5.6.4; escapes are not all readers' and must not occur.
fn quoted(text: &str) -> (String, &str) {
    let (inner, after) =
        text.strip_prefix('"').and_then(|text| text.split_once('"')).expect("quotes");
    assert!(!inner.contains('\\'), "{text:?}");
    (inner.to_owned(), after)
}

/// `ext-value` of RFC 8187 section 3.2.1.
fn ext_value(text: &str) -> (String, &str) {
    let end = text.find(';').unwrap_or(text.len());
    let (value, after) = text.split_at(end);
    let mut coded = value.strip_prefix("UTF-8''").expect("charset, no language").bytes();
    let mut bytes = Vec::new();
    while let Some(b) = coded.next() {
        bytes.push(match b {
            b'%' => {
                let mut digit = || (coded.next().expect("hex") as char).to_digit(16).expect("hex");
                u8::try_from(digit() * 16 + digit()).expect("a byte")
            }
            b if b.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&b) => b,
            b => panic!("{b} is no attr-char: {text:?}"),
        });
    }
    (String::from_utf8(bytes).expect("UTF-8"), after)
}
