//! Interprets the header lines of a part: which ones are read or refused, and how names are
//! decoded. Knows no frames or line ends, and doesn't clean names: a filename may contain paths or
//! control characters.

use memchr::{memchr, memchr2};

use super::ParseError;
use super::params::{self, is_token};

/// The content of a part's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHead {
    /// The field's name, never empty (RFC 7578 section 4.2).
    pub name: String,
    /// The filename as sent: decoded, but not cleaned. `Some("")` if a browser sends a file input
    /// without a file.
    pub filename: Option<String>,
    /// The declared media type (RFC 7578 section 4.4), not validated.
    pub content_type: Option<String>,
}

const DISPOSITION: &str = "Content-Disposition";
const TYPE: &str = "Content-Type";
const ENCODING: &str = "Content-Transfer-Encoding";

/// Collects the header lines of a part, in any order.
#[derive(Debug, Default)]
pub(super) struct HeadBuilder {
    part: usize,
    disposition: Option<Disposition>,
    content_type: Option<String>,
    encoding_seen: bool,
}

#[derive(Debug)]
struct Disposition {
    name: String,
    filename: Option<String>,
}

impl HeadBuilder {
    /// Starts the head of the part with this number, counted from 1, which errors contain.
    pub(super) fn new(part: usize) -> Self {
        Self { part, ..Self::default() }
    }

    /// Adds a header line, without its line end. Headers other than the three of RFC 7578 are
    /// ignored, as its section 4.8 requires.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), ParseError> {
        let part = self.part;
        let malformed = ParseError::MalformedHeader { part };
        let (name, value) = split_line(line).ok_or(malformed)?;
        if name.eq_ignore_ascii_case(DISPOSITION.as_bytes()) {
            let parsed = parse_disposition(value, part)?;
            set_once(&mut self.disposition, parsed, part, DISPOSITION)
        } else if name.eq_ignore_ascii_case(TYPE.as_bytes()) {
            let parsed = text(value.to_vec());
            set_once(&mut self.content_type, parsed, part, TYPE)
        } else if name.eq_ignore_ascii_case(ENCODING.as_bytes()) {
            self.encoding(value)
        } else {
            Ok(())
        }
    }

    /// Returns the head, after the blank line.
    pub(super) fn finish(self) -> Result<PartHead, ParseError> {
        let part = self.part;
        let missing = ParseError::MissingDisposition { part };
        let disposition = self.disposition.ok_or(missing)?;
        Ok(PartHead {
            name: disposition.name,
            filename: disposition.filename,
            content_type: self.content_type.filter(|value| !value.is_empty()),
        })
    }

    /// Checks the transfer encoding, which is deprecated and must not be sent (RFC 7578, section
    /// 4.7). The three values that leave bytes unchanged are accepted; others would require
    /// decoding.
    fn encoding(&mut self, value: &[u8]) -> Result<(), ParseError> {
        let part = self.part;
        if std::mem::replace(&mut self.encoding_seen, true) {
            let header = ENCODING;
            return Err(ParseError::DuplicateHeader { part, header });
        }
        let plain: [&[u8]; 3] = [b"7bit", b"8bit", b"binary"];
        if plain.iter().any(|known| value.eq_ignore_ascii_case(known)) {
            Ok(())
        } else {
            Err(ParseError::UnsupportedTransferEncoding { part })
        }
    }
}

fn set_once<T>(
    slot: &mut Option<T>,
    value: T,
    part: usize,
    header: &'static str,
) -> Result<(), ParseError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParseError::DuplicateHeader { part, header }),
    }
}

/// Splits a line into name and trimmed value. Refuses a folded line, because a name can't begin
/// with white space, and a stray CR or NUL, on which readers disagree.
fn split_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at(memchr(b':', line)?);
    let value = value.strip_prefix(b":")?;
    // Before trimming, which would remove a CR as white space.
    let odd = memchr2(b'\r', 0, value).is_some();
    (is_token(name) && !odd).then_some((name, value.trim_ascii()))
}

fn parse_disposition(value: &[u8], part: usize) -> Result<Disposition, ParseError> {
    let malformed = ParseError::MalformedDisposition { part };
    let (kind, parameters) = params::split(value);
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err(ParseError::NotFormData { part });
    }
    let (mut name, mut plain, mut extended) = (None, None, None);
    for parameter in parameters {
        let (key, value) = parameter.map_err(|_| malformed)?;
        let slot = match key.to_ascii_lowercase().as_slice() {
            b"name" => &mut name,
            b"filename" => &mut plain,
            b"filename*" => &mut extended,
            _ => continue,
        };
        // Readers disagree on which of two values counts.
        if slot.replace(value).is_some() {
            return Err(malformed);
        }
    }
    let name = name.map(form_text).filter(|name| !name.is_empty());
    let extended = extended.and_then(|value| extended_value(&value));
    Ok(Disposition {
        name: name.ok_or(ParseError::MissingName { part })?,
        filename: extended.or_else(|| plain.map(form_text)),
    })
}

/// Decodes what the WHATWG form-data encoder escapes in names (`"`, CR and LF), and nothing else:
/// it sends any other `%` unchanged.
fn form_text(value: Vec<u8>) -> String {
    if memchr(b'%', &value).is_none() {
        return text(value);
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_slice();
    while let [first, after @ ..] = rest {
        let (byte, after) = match rest {
            [b'%', b'2', b'2', after @ ..] => (b'"', after),
            [b'%', b'0', b'D' | b'd', after @ ..] => (b'\r', after),
            [b'%', b'0', b'A' | b'a', after @ ..] => (b'\n', after),
            _ => (*first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    text(decoded)
}

/// Decodes RFC 8187 `UTF-8'language'percent-encoded`. RFC 7578 forbids it in form data, but some
/// libraries send it beside a mangled plain name. Returns `None` if it is invalid, so that the
/// plain name is used.
fn extended_value(value: &[u8]) -> Option<String> {
    let mut fields = value.splitn(3, |byte| *byte == b'\'');
    let charset = fields.next()?;
    let encoded = fields.nth(1)?;
    if !charset.eq_ignore_ascii_case(b"UTF-8") {
        return None;
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(*bytes.next()?)? << 4 | hex_digit(*bytes.next()?)?,
            other => *other,
        });
    }
    String::from_utf8(decoded).ok().filter(|name| !name.is_empty())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16)?.try_into().ok()
}

/// Decodes UTF-8, as browsers send it. Invalid bytes become U+FFFD instead of an error, because
/// users must not lose a file over the encoding of its name.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|invalid| String::from_utf8_lossy(invalid.as_bytes()).into_owned())
}
