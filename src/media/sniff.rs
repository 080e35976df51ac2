//! A file's media type, told from its first bytes.
//!
//! Owns the order in which evidence counts: the bytes decide, the name only
//! chooses among kinds that the bytes leave open (which office document a zip
//! is, which kind of text a text is). A name never makes a file more than its
//! bytes are, and never moves it onto the inline list. Refuses to know
//! durations, tracks and sizes, and whether the rest of the file keeps what
//! its head promises.
//!
//! Every type of the inline list comes from a rule in this folder. The `infer`
//! crate only adds rare binary kinds, through a list of those of its rules that
//! are strong enough: others take two or three printable bytes for proof, look
//! for `%PDF` anywhere in prose, or name a type (`x-x509-ca-cert`) that makes
//! browsers offer to install the file.

mod archive;
mod bytes;
mod container;
mod photo;
mod signature;
mod text;

#[cfg(test)]
mod tests;

use super::MediaType;
use crate::filename::Filename;
pub use bytes::SNIFF_LEN;

/// Tells the media type of a file from its head and, where that leaves a
/// choice, its name.
#[must_use]
pub fn sniff(head: &[u8], name: Option<&Filename>) -> MediaType {
    let head = &head[..head.len().min(SNIFF_LEN)];
    let extension = name.and_then(Filename::extension).map(str::to_ascii_lowercase);
    let extension = extension.as_deref().unwrap_or_default();

    // Text first: every binary format of ours has bytes no text has, and some
    // of their signatures (`BM`, `GIF`, `ID3`) are letters.
    let known = if let Some(text) = text::decode(head) {
        text::kind(&text, extension)
    } else {
        // Old encodings have bytes that binary formats have too, so these go first.
        binary(head, extension).or_else(|| text::kind(&text::decode_legacy(head)?, extension))
    };
    known.map_or(MediaType::OCTET_STREAM, MediaType::known)
}

fn binary(head: &[u8], extension: &str) -> Option<&'static str> {
    // Pages in old encodings, or with stray bytes: no binary format starts so.
    text::markup(&String::from_utf8_lossy(head))
        .or_else(|| signature::image(head))
        .or_else(|| photo::photo(head, extension))
        .or_else(|| container::riff(head))
        .or_else(|| container::iff(head))
        .or_else(|| container::iso_bmff(head))
        .or_else(|| container::ebml(head))
        .or_else(|| container::ogg(head))
        .or_else(|| signature::audio(head))
        .or_else(|| archive::zip(head, extension))
        .or_else(|| archive::ole(head, extension))
        .or_else(|| signature::pdf(head))
        .or_else(|| signature::rare(head))
        .or_else(|| container::transport_stream(head))
        .or_else(|| signature::audio_from_within(head))
}
