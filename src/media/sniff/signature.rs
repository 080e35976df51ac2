//! Detects types by a few bytes at a fixed offset: still images, audio without a container, PDF, and the rules of
//! `infer` that are reliable.
//!
//! Expects heads that aren't text.

use super::bytes::{bytes_at, find};
use super::text;
use crate::media::frames::{self, Frame};
use crate::media::types::PDF;

/// Detects images that consist of a single stream.
///
/// JPEG (T.81 annex B; any number of fill bytes may precede a marker, section B.1.1.2), PNG (section 5.2), GIF 87a and
/// 89a, BMP.
pub(super) fn image(head: &[u8]) -> Option<&'static str> {
    let (kind, signature) = match head {
        [0xFF, 0xD8, 0xFF, rest @ ..] => {
            let fill = rest.iter().position(|byte| *byte != 0xFF)?;
            if !is_jpeg_segment(rest[fill]) {
                return None;
            }
            ("image/jpeg", 4 + fill)
        }
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => ("image/png", 8),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ("image/gif", 6),
        [b'B', b'M', ..] if is_bmp(head) => ("image/bmp", 2),
        _ => return None,
    };
    // A page disguised by the signature of an image: after a real signature, no text follows.
    let page = text::decode(&head[signature..]).and_then(|rest| rest.markup());
    page.or(Some(kind))
}

/// Markers of segments that may come first, which excludes stand-alone markers and fill bytes.
fn is_jpeg_segment(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF | 0xDA..=0xFE)
}

/// Whether the reserved bytes are zero and the header has a size that some version of BMP uses.
fn is_bmp(head: &[u8]) -> bool {
    bytes_at::<4>(head, 6) == Some([0; 4])
        && bytes_at(head, 14).is_some_and(|size| {
            matches!(u32::from_le_bytes(size), 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)
        })
}

/// Detects audio without a container: FLAC, MP3 and ADTS AAC, the last two also after an `ID3v2` tag.
pub(super) fn audio(head: &[u8]) -> Option<&'static str> {
    match frames::id3_length(head) {
        // The tag (mostly a cover) is longer than the head: it is usually MP3.
        Some(length) => head.get(length..).and_then(stream).or(Some("audio/mpeg")),
        None => stream(head),
    }
}

/// Signatures of AMR files: narrowband or wideband, one channel or several (RFC 4867 section 5).
const AMR: [(&[u8], &str); 4] = [
    (b"#!AMR\n", "audio/amr"),
    (b"#!AMR_MC1.0\n", "audio/amr"),
    (b"#!AMR-WB\n", "audio/amr-wb"),
    (b"#!AMR-WB_MC1.0\n", "audio/amr-wb"),
];

fn stream(head: &[u8]) -> Option<&'static str> {
    if head.starts_with(b"fLaC") {
        return Some("audio/flac");
    }
    // Apple's Core Audio Format, version 1.
    if head.starts_with(b"caff\0\x01") {
        return Some("audio/x-caf");
    }
    if let Some((_, kind)) = AMR.iter().find(|(start, _)| head.starts_with(start)) {
        return Some(kind);
    }
    if is_frame_chain(head, frames::mpeg) {
        return Some("audio/mpeg");
    }
    is_frame_chain(head, frames::adts).then_some("audio/aac")
}

/// Whether a second frame follows where the first one ends, or the head ends there. The sync bits alone are too weak.
fn is_frame_chain(head: &[u8], parse: fn(&[u8]) -> Option<Frame>) -> bool {
    let Some(first) = parse(head) else {
        return false;
    };
    match head.get(first.length..) {
        Some(rest) if rest.len() >= Frame::HEADER => {
            parse(rest).is_some_and(|next| next.continues(&first))
        }
        _ => true,
    }
}

/// Detects audio without a container that starts in the middle of a frame, such as recorded radio streams and files cut
/// out of others.
///
/// The first complete frame must begin within the length of the longest frame, and further frames must follow it
/// without gaps.
pub(super) fn audio_from_within(head: &[u8]) -> Option<&'static str> {
    const LONGEST: usize = 2881; // MPEG audio layer II at 384 kbit/s and 16 kHz, padded
    const FRAMES: usize = 3;
    let is_sound = |at: usize, parse: fn(&[u8]) -> Option<Frame>| {
        let mut rest = &head[at..];
        let Some(first) = parse(rest) else { return false };
        let mut frames = 0;
        while rest.len() >= Frame::HEADER {
            let Some(frame) = parse(rest).filter(|frame| frame.continues(&first)) else {
                return false;
            };
            frames += 1;
            rest = rest.get(frame.length..).unwrap_or_default();
        }
        frames > FRAMES
    };
    let starts = memchr::memchr_iter(0xFF, &head[..head.len().min(LONGEST)]);
    starts.into_iter().find_map(|at| {
        if is_sound(at, frames::mpeg) {
            return Some("audio/mpeg");
        }
        is_sound(at, frames::adts).then_some("audio/aac")
    })
}

/// Detects a PDF, also after junk: readers search for its header in the first 1024 bytes (Adobe's PDF 1.7 reference,
/// appendix H.3).
pub(super) fn pdf(head: &[u8]) -> Option<&'static str> {
    find(&head[..head.len().min(1024)], b"%PDF-").map(|_| PDF)
}

/// The types that `infer` may detect, by its extension (its types aren't unique), with the registered name if there is
/// one.
pub(super) const RARE: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("bz2", "application/x-bzip2"),
    ("cab", "application/vnd.ms-cab-compressed"),
    ("class", "application/java-vm"),
    ("dcm", "application/dicom"),
    ("deb", "application/vnd.debian.binary-package"),
    ("dex", "application/vnd.android.dex"),
    ("djvu", "image/vnd.djvu"),
    ("dwg", "image/vnd.dwg"),
    ("elf", "application/x-executable"),
    ("exe", "application/vnd.microsoft.portable-executable"),
    ("flv", "video/x-flv"),
    ("gz", "application/gzip"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jp2", "image/jp2"),
    ("jxl", "image/jxl"),
    ("lz4", "application/x-lz4"),
    ("mach", "application/x-mach-binary"),
    ("midi", "audio/midi"),
    ("mobi", "application/x-mobipocket-ebook"),
    ("mpg", "video/mpeg"),
    ("otf", "font/otf"),
    ("psd", "image/vnd.adobe.photoshop"),
    ("rar", "application/vnd.rar"),
    ("rpm", "application/x-rpm"),
    ("rtf", "application/rtf"),
    ("sqlite", "application/vnd.sqlite3"),
    ("tar", "application/x-tar"),
    ("ttf", "font/ttf"),
    ("wasm", "application/wasm"),
    ("wmv", "video/x-ms-asf"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xz", "application/x-xz"),
    ("zst", "application/zstd"),
];

/// Asks `infer`, and returns types for which its rule is reliable.
pub(super) fn rare(head: &[u8]) -> Option<&'static str> {
    // A script followed by a program, such as an installer. `infer` accepts the first two bytes as proof.
    if head.starts_with(b"#!/") || head.starts_with(b"#! /") {
        return Some("text/x-shellscript");
    }
    let found = infer::get(head)?.extension();
    RARE.iter().find(|(extension, _)| *extension == found).map(|(_, kind)| *kind)
}
