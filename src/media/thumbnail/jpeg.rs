//! Decodes JPEG files (ITU T.81) at the fraction of their size that a thumbnail needs.
//!
//! Walks over the segments of a file and keeps what decoding needs. Doesn't know what happens to the pixels.
//!
//! The decoder is our own because of what it leaves out. zune-jpeg 0.5 decodes all pixels (three bytes each, 600 MB for
//! 200 megapixels), and returns garbage if subsampled components come in scans of their own, or if chroma has more
//! samples than luma. jpeg-decoder 0.3 can scale, but returns nothing for a file with a fault anywhere, noise if coded
//! bits are missing before the end, and garbage for some of the scans above, and it keeps all coefficients of a
//! progressive file (600 MB for 200 megapixels).

use std::io::{BufRead, Read, Seek, SeekFrom};

use super::colours::Colours;
use super::decoded::{Decoded, orientation};
use super::limits::{ThumbnailError, check_memory, check_pixels, undecodable};
use frame::Frame;
use markers::{
    APP0, APP1, APP2, APP14, DHT, DQT, DRI, EOI, RST0, RST7, SOF0, SOF1, SOF2, SOI, SOS,
};
use scan::Part;
use tables::Tables;

mod band;
mod colour;
mod frame;
mod huffman;
mod markers;
mod plane;
mod scan;
mod standard;
mod tables;

/// Maximum number of pixels: that of the largest sensors in phones and cameras (16,384 squared). Not all of them are
/// decoded.
const MAX_PIXELS: u64 = 256 << 20;

/// Maximum number of bytes of entropy-coded data that are read: 200 megapixels at the best quality have fewer.
const MAX_CODED: usize = 160 << 20;

/// Maximum number of bytes of tables before the pixels: there are eight tables of at most 280 bytes.
const MAX_TABLES: usize = 64 << 10;

/// Maximum number of segments before the pixels. Long profiles and XMP have dozens.
const MAX_SEGMENTS: u32 = 4096;

/// Maximum total number of bytes skipped between segments before the pixels. Browsers skip any number; cameras and
/// editors leave only a few.
const MAX_GAPS: u32 = 64 << 10;

/// Maximum number of scans. A progressive file has about ten, and each one covers the whole image.
const MAX_SCANS: usize = 32;

/// Maximum number of markers after the first scan: a few tables for each scan.
const MAX_MARKERS: usize = 256;

/// Maximum number of pieces of a profile, each of at most 64 KiB.
const MAX_PROFILE_PIECES: usize = 64;

/// Precedes the profile in an APP2 segment (ICC.1 annex B.4); then come the number of the piece and the number of
/// pieces.
const ICC: &[u8] = b"ICC_PROFILE\0";

/// Decodes a file. Missing pixels, and damaged ones up to the next restart marker, are gray.
pub(super) fn decode<R: BufRead + Seek>(mut source: R) -> Result<Decoded, ThumbnailError> {
    let mut head = Head::read(&mut source)?;
    let frame = head.frame.ok_or_else(|| undecodable("no frame"))?;
    check_pixels(frame.size, MAX_PIXELS)?;
    check_memory(frame.size, frame.memory())?;
    let coded = read_coded(&mut source)?;
    check_memory(frame.size, frame.memory() + coded.len() as u64)?;
    let mut parts = Part::all_of(&frame);
    decode_scans(&frame, &mut head.tables, &mut parts, head.scan, &coded)?;
    if parts.iter().all(|part| part.is_empty) {
        return Err(undecodable("no pixels"));
    }
    for part in &mut parts {
        part.finish(&frame);
    }
    Ok(Decoded {
        pixels: colour::pixels(&frame, &head.tables, &parts)?,
        orientation: orientation(head.exif.as_deref()),
        colours: whole_profile(head.profile).map_or(Colours::Srgb, Colours::Profile),
    })
}

/// Number of bytes in memory while decoding a frame with this marker and header.
#[cfg(test)]
pub(super) fn memory(marker: u8, body: &[u8]) -> u64 {
    Frame::parse(marker == SOF2, body).unwrap().memory()
}

/// What comes before the pixels.
#[derive(Default)]
struct Head {
    tables: Tables,
    frame: Option<Frame>,
    /// The header of the first scan.
    scan: Vec<u8>,
    exif: Option<Vec<u8>>,
    profile: Vec<Vec<u8>>,
}

impl Head {
    /// Reads up to the entropy-coded data of the first scan.
    fn read(source: &mut (impl BufRead + Seek)) -> Result<Self, ThumbnailError> {
        if read_array(source)? != [0xFF, SOI] {
            return Err(undecodable("not a JPEG file"));
        }
        let mut head = Self::default();
        let mut gaps_left = MAX_GAPS;
        let mut tables_left = MAX_TABLES;
        for _ in 0..MAX_SEGMENTS {
            let Some((marker, body)) = read_segment(source, &mut gaps_left)? else { continue };
            match marker {
                SOS => {
                    head.scan = body;
                    return Ok(head);
                }
                APP1 if head.exif.is_none() && body.starts_with(b"Exif\0\0") => {
                    head.exif = Some(body);
                }
                APP2 if head.profile.len() < MAX_PROFILE_PIECES && body.starts_with(ICC) => {
                    head.profile.push(body);
                }
                APP1 | APP2 => {}
                SOF0 | SOF1 | SOF2 if head.frame.is_none() => {
                    head.frame = Some(Frame::parse(marker == SOF2, &body)?);
                }
                _ => {
                    let left = tables_left.checked_sub(body.len());
                    tables_left =
                        left.ok_or_else(|| ThumbnailError::TooLarge("its tables".to_owned()))?;
                    head.tables.read(marker, &body);
                }
            }
        }
        Err(ThumbnailError::TooLarge("its metadata".to_owned()))
    }
}

/// Reads what follows the header of the first scan, to the end of the image and possibly a bit more.
fn read_coded(source: &mut (impl BufRead + Seek)) -> Result<Vec<u8>, ThumbnailError> {
    const PIECE: u64 = 1 << 20;
    let start = source.stream_position()?;
    let rest = source.seek(SeekFrom::End(0))?.saturating_sub(start);
    source.seek(SeekFrom::Start(start))?;
    // Reserve everything at once, because a growing vector temporarily takes twice as much. Unused pages take no
    // memory.
    let mut coded =
        Vec::with_capacity(usize::try_from(rest).unwrap_or(MAX_CODED).min(MAX_CODED) + 1);
    loop {
        let searched = coded.len().saturating_sub(1);
        let read = source.by_ref().take(PIECE).read_to_end(&mut coded)?;
        if coded.len() > MAX_CODED {
            return Err(ThumbnailError::TooLarge("its coded pixels".to_owned()));
        }
        if read == 0 || memchr::memmem::find(&coded[searched..], &[0xFF, EOI]).is_some() {
            return Ok(coded);
        }
    }
}

/// Decodes the scan with this header, and the scans and tables after it.
fn decode_scans(
    frame: &Frame,
    tables: &mut Tables,
    parts: &mut [Part],
    mut header: Vec<u8>,
    mut coded: &[u8],
) -> Result<(), ThumbnailError> {
    let (mut scans, mut markers) = (0, 0);
    loop {
        let (data, rest) = coded.split_at(next_marker(coded));
        scan::decode(frame, tables, parts, &header, data);
        coded = rest;
        scans += 1;
        loop {
            coded = &coded[next_marker(coded)..];
            let Some(([_, marker], rest)) = coded.split_first_chunk() else { return Ok(()) };
            if *marker == EOI {
                return Ok(());
            }
            markers += 1;
            if scans > MAX_SCANS || markers > MAX_MARKERS {
                return Err(ThumbnailError::TooLarge(format!("{scans} scans, {markers} markers")));
            }
            let body = rest.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
            let Some(body) = body.and_then(|length| rest.get(2..length)) else { return Ok(()) };
            coded = &rest[body.len() + 2..];
            if *marker == SOS {
                header = body.to_vec();
                break;
            }
            tables.read(*marker, body);
        }
    }
}

/// The offset of the next marker other than a restart marker, or the end of the data. In entropy-coded data, 0xFF
/// begins a marker unless 0 (T.81 section B.1.1.5) or another 0xFF follows.
fn next_marker(coded: &[u8]) -> usize {
    let is_marker = |at: &usize| !matches!(coded.get(at + 1), None | Some(0 | 0xFF | RST0..=RST7));
    memchr::memchr_iter(0xFF, coded).find(is_marker).unwrap_or(coded.len())
}

/// Joins the pieces of a profile. Returns `None` if one is missing.
fn whole_profile(mut pieces: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    pieces.retain(|piece| piece.len() > ICC.len() + 2);
    pieces.sort_by_key(|piece| piece[ICC.len()]);
    let complete = (1..).zip(&pieces).all(|(number, piece): (usize, _)| {
        [usize::from(piece[ICC.len()]), usize::from(piece[ICC.len() + 1])] == [number, pieces.len()]
    });
    (complete && !pieces.is_empty())
        .then(|| pieces.iter().flat_map(|piece| &piece[ICC.len() + 2..]).copied().collect())
}

/// Reads the next segment: its marker, and its content after the length. `None` if it isn't needed.
fn read_segment(
    source: &mut (impl BufRead + Seek),
    gaps_left: &mut u32,
) -> Result<Option<(u8, Vec<u8>)>, ThumbnailError> {
    let marker = read_marker(source, gaps_left)?;
    match marker {
        0x01 | RST0..=SOI => return Ok(None), // these have no content
        EOI => return Err(undecodable("no pixels")),
        _ => {}
    }
    let len = u16::from_be_bytes(read_array(source)?);
    let len = len.checked_sub(2).ok_or_else(|| undecodable("a segment without length"))?;
    if !is_of_use(marker) {
        source.seek_relative(len.into())?;
        return Ok(None);
    }
    let mut body = vec![0; len.into()];
    source.read_exact(&mut body)?;
    Ok(Some((marker, body)))
}

/// Whether a segment is needed: for decoding, for the orientation (EXIF), the colour profile or the colour space.
fn is_of_use(marker: u8) -> bool {
    matches!(marker, SOF0 | SOF1 | SOF2 | DHT | SOS | DQT | DRI | APP0 | APP1 | APP2 | APP14)
}

/// Reads the next marker. Any number of 0xFF and a limited number of other bytes may come before it.
fn read_marker(source: &mut impl BufRead, gaps_left: &mut u32) -> Result<u8, ThumbnailError> {
    loop {
        let [mut byte] = read_array(source)?;
        if byte == 0xFF {
            while byte == 0xFF {
                [byte] = read_array(source)?;
            }
            if byte != 0 {
                return Ok(byte);
            }
        }
        let left = gaps_left.checked_sub(1);
        *gaps_left = left.ok_or_else(|| undecodable("bytes between segments"))?;
    }
}

fn read_array<const N: usize>(source: &mut impl BufRead) -> Result<[u8; N], ThumbnailError> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}
