//! Detects text, and other types that are written as text.
//!
//! Decides what counts as text, and whether a text is a page, a drawing or a script. In doubt it chooses markup: a text
//! mistaken for markup is only saved instead of shown.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

use super::bytes::{SNIFF_LEN, find};
use crate::media::types::{OTHER_CHARSETS, PDF, SVG, UTF_16_BE, UTF_16_LE};

pub(super) const HTML: &str = "text/html";
pub(super) const XHTML: &str = "application/xhtml+xml";
pub(super) const XML: &str = "application/xml";

/// Elements that make a text HTML. Longer than the list that browsers use (WHATWG MIME Sniffing section 7.1), because a
/// false match costs little.
const HTML_ELEMENTS: &str = "\
    a abbr address applet area article aside audio b base basefont bdo bgsound big blink \
    blockquote body br button canvas center cite code dd details dialog div dl dt em embed \
    fieldset figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html i \
    iframe img input isindex label li link main map marquee menu meta nav noscript object ol \
    option p param picture plaintext pre s script section select slot small source span strike \
    strong style sub summary sup table tbody td template textarea tfoot th thead title tr tt u \
    ul video xmp";

/// Kinds of text that only the name distinguishes. None is shown inline, so a name can take a text off the inline list
/// but never put it there.
pub(super) const BY_EXTENSION: &[(&str, &str)] = &[
    ("bat", "application/x-bat"),
    ("cmd", "application/x-bat"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("eml", "message/rfc822"),
    ("hta", "application/hta"),
    ("htm", HTML),
    ("html", HTML),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("mht", "message/rfc822"),
    ("mhtml", "message/rfc822"),
    ("mjs", "text/javascript"),
    ("shtml", HTML),
    ("svg", SVG),
    ("tsv", "text/tab-separated-values"),
    ("xht", XHTML),
    ("xhtml", XHTML),
    ("xml", XML),
    ("xsl", XML),
    ("xslt", XML),
];

/// Kinds of text that the first line identifies.
const BY_START: &[(&str, &str)] = &[
    ("{\\rtf", "application/rtf"),
    ("%!PS", "application/postscript"),
    ("#!/", "text/x-shellscript"),
    ("#! /", "text/x-shellscript"),
    ("BEGIN:VCARD", "text/vcard"),
    ("BEGIN:VCALENDAR", "text/calendar"),
    ("WEBVTT", "text/vtt"),
];

/// A head that is text, and its type by the bytes alone.
pub(super) struct Text<'a> {
    text: Cow<'a, str>,
    plain: &'static str,
}

/// Decodes a head as text: valid UTF-8, or UTF-16 after a byte order mark. The last character may be cut off. Control
/// characters that WHATWG MIME Sniffing (section 3) counts as binary aren't allowed.
pub(super) fn decode(head: &[u8]) -> Option<Text<'_>> {
    let text = match head {
        [] => return None,
        [0xFF, 0xFE, rest @ ..] => {
            Text { text: Cow::Owned(utf16(rest, u16::from_le_bytes)?), plain: UTF_16_LE }
        }
        [0xFE, 0xFF, rest @ ..] => {
            Text { text: Cow::Owned(utf16(rest, u16::from_be_bytes)?), plain: UTF_16_BE }
        }
        _ => Text { text: Cow::Borrowed(utf8(head)?), plain: "text/plain" },
    };
    (!text.text.contains(is_binary)).then_some(text)
}

/// Decodes a head as text in a legacy encoding, or in UTF-16 without a byte order mark.
///
/// The encoding is the one that browsers would guess. Bytes it doesn't define and control characters make the head
/// binary.
pub(super) fn decode_legacy(head: &[u8]) -> Option<Text<'_>> {
    if head.is_empty() || head.contains(&0) {
        return unmarked_utf16(head);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let is_whole = head.len() < SNIFF_LEN;
    detector.feed(head, is_whole);
    let encoding = detector.guess(None, Utf8Detection::Deny);
    let charset = encoding.name().to_ascii_lowercase();
    let plain = OTHER_CHARSETS.iter().find(|stored| stored.ends_with(&format!("={charset}")))?;
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length(head.len())?);
    let (_, _, has_errors) = decoder.decode_to_string(head, &mut text, is_whole);
    let is_text =
        !has_errors && !text.contains(|c| is_binary(c) || ('\u{7F}'..'\u{A0}').contains(&c));
    is_text.then_some(Text { text: Cow::Owned(text), plain })
}

/// Detects UTF-16 by the zeros beside Latin letters: only in one half of the units, and in at least three of four
/// units.
fn unmarked_utf16(head: &[u8]) -> Option<Text<'_>> {
    let (pairs @ [_, ..], []) = head.as_chunks::<2>() else {
        return None;
    };
    let zeros = |side: usize| pairs.iter().filter(|pair| pair[side] == 0).count();
    let (text, plain) = match (zeros(0), zeros(1)) {
        (0, low) if low * 4 >= pairs.len() * 3 => (utf16(head, u16::from_le_bytes)?, UTF_16_LE),
        (high, 0) if high * 4 >= pairs.len() * 3 => (utf16(head, u16::from_be_bytes)?, UTF_16_BE),
        _ => return None,
    };
    (!text.contains(is_binary)).then_some(Text { text: Cow::Owned(text), plain })
}

fn utf8(head: &[u8]) -> Option<&str> {
    match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        Err(e) if e.error_len().is_none() && e.valid_up_to() > 0 => {
            std::str::from_utf8(&head[..e.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    if units.last().is_some_and(|u| (0xD800..0xDC00).contains(u)) {
        units.pop();
    }
    String::from_utf16(&units).ok()
}

fn is_binary(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{E}'..='\u{1A}' | '\u{1C}'..='\u{1F}')
}

impl Text<'_> {
    /// The kind of markup that the text starts with, if any.
    pub(super) fn markup(&self) -> Option<&'static str> {
        markup(&self.text)
    }
}

/// Returns the kind of text. Never `None`; the `Option` suits the caller.
pub(super) fn kind(text: &Text<'_>, extension: &str) -> Option<&'static str> {
    let body = unmarked(&text.text);
    if let Some(markup) = markup(body) {
        return Some(markup);
    }
    if text.plain == "text/plain" {
        // Markup after the first letters of an image signature is a disguised page.
        let disguised =
            ["GIF87a", "GIF89a"].iter().find_map(|front| body.strip_prefix(front)).and_then(markup);
        if disguised.is_some() {
            return disguised;
        }
        if is_pdf(body) {
            return Some(PDF);
        }
        if let Some((_, kind)) = BY_START.iter().find(|(s, _)| body.starts_with(s)) {
            return Some(kind);
        }
    }
    BY_EXTENSION
        .iter()
        .find(|(known, _)| *known == extension)
        .map(|(_, kind)| *kind)
        .or(Some(text.plain))
}

/// Whether the text is a PDF. Readers search for its header in the first 1024 bytes (Adobe's PDF 1.7 reference,
/// appendix H.3). Here it counts only at the start of a line; otherwise every text about PDF would be one.
fn is_pdf(text: &str) -> bool {
    let bytes = &text.as_bytes()[..text.len().min(1024)];
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], b"%PDF-").map(|at| from + at) {
        if at == 0 || matches!(bytes[at - 1], b'\n' | b'\r') {
            return true;
        }
        from = at + 1;
    }
    false
}

fn unmarked(text: &str) -> &str {
    text.trim_start_matches(|c: char| c == '\u{FEFF}' || c.is_whitespace())
}

/// Returns the kind of markup that a text starts with, after byte order marks, white space, comments, processing
/// instructions and document types.
pub(super) fn markup(text: &str) -> Option<&'static str> {
    let mut rest = unmarked(text);
    // The kind of the text if nothing more specific follows.
    let mut so_far = None;
    loop {
        if let Some(comment) = rest.strip_prefix("<!--") {
            // Browsers take a leading comment as a sign of HTML.
            so_far = so_far.or(Some(HTML));
            let Some(end) = comment.find("-->") else {
                return so_far;
            };
            rest = unmarked(&comment[end + 3..]);
        } else if let Some(instruction) = rest.strip_prefix("<?") {
            if starts_with_word(instruction, "php") || instruction.starts_with('=') {
                return Some("text/x-php");
            }
            so_far = Some(XML);
            let Some(end) = instruction.find("?>") else {
                return so_far;
            };
            rest = unmarked(&instruction[end + 2..]);
        } else if let Some(declaration) = rest.strip_prefix("<!") {
            return declared(declaration, so_far).or(so_far);
        } else if let Some(tag) = rest.strip_prefix('<') {
            return element(tag, so_far).or(so_far);
        } else {
            return so_far;
        }
    }
}

/// `<!DOCTYPE html>` and similar declarations name the kind; other declarations are XML.
fn declared(declaration: &str, so_far: Option<&'static str>) -> Option<&'static str> {
    if !declaration.starts_with(|c: char| c.is_ascii_alphabetic() || c == '[') {
        return None;
    }
    if !starts_with_word(declaration, "doctype") {
        return Some(XML);
    }
    let (root, _) = split_name(declaration["doctype".len()..].trim_start());
    Some(match local(root).as_str() {
        "html" if so_far == Some(XML) => XHTML,
        "" | "html" => HTML,
        "svg" => SVG,
        _ => XML,
    })
}

/// A text that starts with a tag is markup, whatever the tag.
fn element(tag: &str, so_far: Option<&'static str>) -> Option<&'static str> {
    let closing = tag.starts_with('/');
    let tag = tag.strip_prefix('/').unwrap_or(tag);
    let (name, after) = split_name(tag);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()) {
        return None;
    }
    let name = local(name);
    if name == "svg" {
        return Some(SVG);
    }
    let in_xml = so_far == Some(XML);
    if in_xml {
        return Some(if name == "html" { XHTML } else { XML });
    }
    // `<me@example.org>` begins a letter, not a page.
    let ends_as_tag =
        after.is_empty() || after.starts_with(['>', '/', ' ', '\t', '\n', '\r', '\u{C}']);
    if !ends_as_tag {
        return None;
    }
    let is_html = closing || HTML_ELEMENTS.split(' ').any(|known| known == name);
    Some(if is_html { HTML } else { XML })
}

fn split_name(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !"_:.-".contains(c))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A name without its namespace prefix, in lower case.
fn local(name: &str) -> String {
    name.rsplit(':').next().unwrap_or(name).to_ascii_lowercase()
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.as_bytes()
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
}
