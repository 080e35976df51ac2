//! Detects a file's media type from its first bytes.
//!
//! The bytes decide. The name only chooses among types that the bytes leave open, such as which
//! office document a zip is or which kind of text a text is. A name never makes a file more than
//! its bytes show, and never moves it onto the inline list. Doesn't read durations, tracks or
//! dimensions, and doesn't check whether the rest of the file matches its head.
//!
//! Every type on the inline list comes from a rule in this folder. The `infer` crate only adds rare
//! binary types, and only those on our list of rules that are strong enough: its other rules accept
//! two or three printable bytes as proof, find `%PDF` anywhere in prose, or return a type
//! (`x-x509-ca-cert`) for which browsers offer an installation.

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

/// Detects the media type of a file from its head and, where that leaves a choice, from its name.
#[must_use]
pub fn sniff(head: &[u8], name: Option<&Filename>) -> MediaType {
    let head = &head[..head.len().min(SNIFF_LEN)];
    let extension = name.and_then(Filename::extension).map(str::to_ascii_lowercase);
    let extension = extension.as_deref().unwrap_or_default();

    // Text first: every binary format we know has bytes that text doesn't have, but some signatures
    // (`BM`, `GIF`, `ID3`) consist of letters.
    let known = if let Some(text) = text::decode(head) {
        text::kind(&text, extension)
    } else {
        // Legacy encodings contain bytes that binary formats use too, so the latter go first.
        binary(head, extension).or_else(|| text::kind(&text::decode_legacy(head)?, extension))
    };
    known.map_or(MediaType::OCTET_STREAM, MediaType::known)
}

fn binary(head: &[u8], extension: &str) -> Option<&'static str> {
    // Pages in legacy encodings or with stray bytes; no binary format starts like markup.
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
