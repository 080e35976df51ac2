//! Detects containers by their first boxes, pages or elements: RIFF and IFF, ISO base media and
//! `QuickTime`, EBML (Matroska, `WebM`), Ogg and MPEG transport streams.
//!
//! Reads no further than necessary for the type; durations and tracks aren't read here.

use super::bytes::{bytes_at, find};

/// Detects RIFF (Microsoft's Multimedia Programming Interface 1.0): WAV, `WebP` and AVI; and WAV
/// with 64-bit sizes (EBU Tech 3306, ITU-R BS.2088).
pub(super) fn riff(head: &[u8]) -> Option<&'static str> {
    let kind: [u8; 4] = bytes_at(head, 8)?;
    match &bytes_at::<4>(head, 0)? {
        b"RIFF" => {}
        b"RF64" | b"BW64" => return (&kind == b"WAVE").then_some("audio/wav"),
        _ => return None,
    }
    match &kind {
        b"WAVE" => Some("audio/wav"),
        b"AVI " => Some("video/x-msvideo"),
        // RFC 9649 section 2.4: the first chunk has one of three types.
        b"WEBP" => {
            matches!(&bytes_at(head, 12)?, b"VP8 " | b"VP8L" | b"VP8X").then_some("image/webp")
        }
        _ => None,
    }
}

/// Detects AIFF and AIFF-C, audio in an IFF file (Apple's AIFF 1.3 and AIFF-C).
pub(super) fn iff(head: &[u8]) -> Option<&'static str> {
    let kind: [u8; 4] = bytes_at(head, 8)?;
    (head.starts_with(b"FORM") && matches!(&kind, b"AIFF" | b"AIFC")).then_some("audio/aiff")
}

/// Detects ISO base media files by their brands (ISO 14496-12 section 4.3), and `QuickTime` files
/// from before there were brands.
pub(super) fn iso_bmff(head: &[u8]) -> Option<&'static str> {
    let size = u32::from_be_bytes(bytes_at(head, 0)?);
    let kind: [u8; 4] = bytes_at(head, 4)?;
    if &kind != b"ftyp" {
        return old_quicktime(head, size, kind);
    }
    let major: [u8; 4] = bytes_at(head, 8)?;
    let end = usize::try_from(size).unwrap_or(usize::MAX).min(head.len());
    // A minimized HEIF has its codec where others have a version.
    let first = if &major == b"mif3" { 12 } else { 16 };
    let compatible = head.get(first..end).unwrap_or_default().as_chunks::<4>().0;
    let has = |brand: &[u8; 4]| compatible.contains(brand);

    Some(match &major {
        b"qt  " => "video/quicktime",
        b"avif" | b"avis" => "image/avif",
        b"heic" | b"heix" | b"heim" | b"heis" => "image/heic",
        b"hevc" | b"hevx" | b"hevm" | b"hevs" => "image/heic-sequence",
        b"mif1" | b"mif2" | b"mif3" | b"msf1" | b"miaf" => {
            if has(b"avif") || has(b"avis") {
                "image/avif"
            } else if has(b"heic") || has(b"heix") {
                "image/heic"
            } else {
                "image/heif"
            }
        }
        // H.264 and other MPEG codecs; these are read like any other HEIF.
        b"avci" | b"avcs" | b"vvic" | b"vvis" | b"evbi" | b"evbs" | b"jpeg" | b"jpgs" => {
            "image/heif"
        }
        b"crx " => "image/x-canon-cr3",
        b"M4A " | b"M4B " | b"M4P " | b"F4A " | b"F4B " => "audio/mp4",
        [b'3', b'g', b'2', _] => "video/3gpp2",
        [b'3', b'g', b'p' | b'e' | b'r' | b's' | b'g' | b'h', _] => "video/3gpp",
        _ if is_mp4_brand(major) || compatible.iter().any(|b| is_mp4_brand(*b)) => {
            if only_sound(head) { "audio/mp4" } else { "video/mp4" }
        }
        _ => "application/mp4",
    })
}

/// Brands of files that MP4 players support (mp4ra.org).
fn is_mp4_brand(brand: [u8; 4]) -> bool {
    match &brand {
        [b'i', b's', b'o', b'm' | b'2'..=b'9' | b'a'..=b'c']
        | [b'm', b'p', b'4', b'1' | b'2' | b'v']
        | [b'M', b'4', b'V', _]
        | [b'F', b'4', b'V' | b'P', b' '] => true,
        other => [
            b"avc1", b"dash", b"mp71", b"mmp4", b"MSNV", b"cmfc", b"cmf2", b"cmfs", b"hlsf",
            b"av01", b"M4A ",
        ]
        .contains(&other),
    }
}

/// Whether the whole index is in the head and lists audio but no video. Recorders of voice messages
/// put it first. For other files the guess is video, which plays both.
fn only_sound(head: &[u8]) -> bool {
    let Some(index) = find(head, b"moov").and_then(|at| at.checked_sub(4)) else {
        return false;
    };
    let Some(size) = bytes_at(head, index).map(u32::from_be_bytes) else {
        return false;
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let Some(index) = head.get(index..index.saturating_add(size)) else {
        return false;
    };
    // `hdlr` starts with four bytes of version and flags, four unused bytes, and the handler type.
    let handles = |kind: &[u8; 4]| {
        index.windows(16).any(|w| w.starts_with(b"hdlr") && w[12..].starts_with(kind))
    };
    handles(b"soun") && !handles(b"vide")
}

/// Detects a first box of the `QuickTime` File Format, followed by a second one if that is within
/// the head: four letters alone prove little.
fn old_quicktime(head: &[u8], size: u32, kind: [u8; 4]) -> Option<&'static str> {
    const TOP: [&[u8; 4]; 6] = [b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"];
    // 0 means "to the end" and 1 "64 bits follow". Only `mdat` uses them.
    if !TOP.contains(&&kind) || (size < 8 && &kind != b"mdat") {
        return None;
    }
    let next = usize::try_from(size).ok()?.checked_add(4)?;
    let known = match bytes_at::<4>(head, next) {
        Some(second) if size >= 8 => TOP.contains(&&second),
        _ => match &kind {
            b"moov" => matches!(&bytes_at(head, 12)?, b"mvhd" | b"cmov" | b"rmra"),
            // A camera reserved space for its index; it contains only zeros.
            b"free" | b"skip" => head.len() > 64 && head[8..].iter().all(|byte| *byte == 0),
            other => other == b"mdat",
        },
    };
    known.then_some("video/quicktime")
}

/// Detects Matroska and `WebM` by their `DocType` (RFC 8794 section 11.2.6, RFC 9559).
pub(super) fn ebml(head: &[u8]) -> Option<&'static str> {
    const DOC_TYPE: [u8; 2] = [0x42, 0x82];
    let rest = head.strip_prefix(&[0x1A, 0x45, 0xDF, 0xA3])?;
    let (size, rest) = vint(rest)?;
    let mut header = &rest[..rest.len().min(size)];
    let doc_type = loop {
        let id = id_length(*header.first()?)?;
        let (size, body) = vint(header.get(id..)?)?;
        if header[..id] == DOC_TYPE {
            break body.get(..size)?;
        }
        header = body.get(size..)?;
    };
    let sound = has_codec(head, b'A') && !has_codec(head, b'V');
    match doc_type.trim_ascii_end() {
        [b'w', b'e', b'b', b'm', rest @ ..] if only_nul(rest) => {
            Some(if sound { "audio/webm" } else { "video/webm" })
        }
        [b'm', b'a', b't', b'r', b'o', b's', b'k', b'a', rest @ ..] if only_nul(rest) => {
            Some(if sound { "audio/matroska" } else { "video/matroska" })
        }
        _ => None,
    }
}

/// Strings may be padded with zeros (RFC 8794 section 13).
fn only_nul(rest: &[u8]) -> bool {
    rest.iter().all(|b| *b == 0)
}

fn id_length(first: u8) -> Option<usize> {
    let length = usize::try_from(first.leading_zeros()).ok()? + 1;
    (length <= 4).then_some(length)
}

/// Reads a variable-size integer (RFC 8794 section 4). Returns it with the bytes after it. Sizes
/// that overflow or are unknown count as endless.
fn vint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let first = *bytes.first()?;
    let length = usize::try_from(first.leading_zeros()).ok()? + 1;
    if length > 8 {
        return None;
    }
    let (digits, rest) = bytes.split_at_checked(length)?;
    let value = digits.iter().fold(0_u64, |sum, b| sum << 8 | u64::from(*b));
    let value = value & !(1 << (7 * length));
    Some((usize::try_from(value).unwrap_or(usize::MAX), rest))
}

/// Searches for a `CodecID` element, such as `V_VP9` or `A_OPUS`.
fn has_codec(head: &[u8], track: u8) -> bool {
    head.windows(4).any(|w| w[0] == 0x86 && w[1] & 0x80 != 0 && w[2] == track && w[3] == b'_')
}

/// Detects Ogg by the streams that begin in it (RFC 3533, RFC 5334).
pub(super) fn ogg(head: &[u8]) -> Option<&'static str> {
    const VIDEO: [&[u8]; 3] = [b"\x80theora", b"BBCD\0", b"OVP80"];
    const AUDIO: [&[u8]; 4] = [b"\x01vorbis", b"OpusHead", b"Speex   ", b"\x7FFLAC"];

    if !head.starts_with(b"OggS\0") {
        return None;
    }
    let mut kind = "application/ogg";
    let mut rest = head;
    // All first pages come before any other page.
    while let Some((flags, payload, next)) = ogg_page(rest) {
        if flags & 2 == 0 {
            break;
        }
        if VIDEO.iter().any(|id| payload.starts_with(id)) {
            return Some("video/ogg");
        }
        if AUDIO.iter().any(|id| payload.starts_with(id)) {
            kind = "audio/ogg";
        }
        rest = next;
    }
    Some(kind)
}

/// Returns a page's flags and payload, and the bytes after it. The payload may be cut off.
fn ogg_page(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let header: [u8; 27] = bytes_at(bytes, 0)?;
    if !header.starts_with(b"OggS") {
        return None;
    }
    let rest = &bytes[header.len()..];
    let (lacing, rest) = rest.split_at_checked(usize::from(header[26]))?;
    let length: usize = lacing.iter().map(|b| usize::from(*b)).sum();
    let (payload, next) = rest.split_at(length.min(rest.len()));
    Some((header[5], payload, next))
}

/// Detects an MPEG transport stream: a sync byte every 188 bytes (ISO 13818-1 section 2.4.3), or
/// every 192 after a timestamp, as camcorders write it.
pub(super) fn transport_stream(head: &[u8]) -> Option<&'static str> {
    let syncs =
        |first: usize, step: usize| (0..3).all(|n| head.get(first + n * step) == Some(&0x47));
    (syncs(0, 188) || syncs(4, 192)).then_some("video/mp2t")
}
