//! The pixels of JPEG files (ITU T.81).
//!
//! Owns the walk over a file's segments and what of them the decoder gets: what decoding takes, and nothing
//! else. Metadata is kept from it for a reason: it holds all of it, and its work to put together XMP in pieces
//! grows with the square of their number, to minutes for a file of 10 MB. Refuses to know what becomes of
//! the pixels.

use std::io::{BufRead, Read, Seek};

use image::{DynamicImage, GrayImage, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{Decoded, MAX_SOURCE_SIDE, ThumbnailError, check_size, orientation, undecodable};

/// The most bytes of coded pixels that are read: 64 megapixels of the best quality have less.
const MAX_CODED: u64 = 64 << 20;

/// The most bytes of tables before the pixels: there are eight, of 280 bytes at most.
const MAX_TABLES: usize = 64 << 10;

/// The most segments before the pixels. Long profiles and XMP have dozens.
const MAX_SEGMENTS: u32 = 4096;

/// The most scans. A progressive file has about ten, and each is a walk over the whole image.
const MAX_SCANS: usize = 32;

/// The most markers behind the first scan's: a few tables for each scan.
const MAX_MARKERS: usize = 256;

/// The most pieces of a profile, each of 64 KiB at most.
const MAX_PROFILE_PIECES: usize = 64;

const SOF0: u8 = 0xC0;
const SOF2: u8 = 0xC2;
const DHT: u8 = 0xC4;
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;
const APP1: u8 = 0xE1;
const APP2: u8 = 0xE2;
const APP14: u8 = 0xEE;

/// What goes before the profile in an APP2 segment (ICC.1 annex B.4); then its number, then how many.
const ICC: &[u8] = b"ICC_PROFILE\0";

pub(super) fn decode<R: BufRead + Seek>(mut source: R) -> Result<Decoded, ThumbnailError> {
    let mut head = Head::read(&mut source)?;
    let eighths = head.frame.eighths(head.first_scan);
    check_size(head.frame.size, eighths, 0)?;
    let tables = head.bare.len();
    source.by_ref().take(MAX_CODED).read_to_end(&mut head.bare)?;
    cut_after_image(&mut head.bare, tables)?;
    if (head.bare.len() - tables) as u64 == MAX_CODED {
        return Err(ThumbnailError::TooLarge("its coded pixels".to_owned()));
    }
    head.bare.shrink_to_fit();
    check_size(head.frame.size, eighths, head.bare.len() as u64)?;
    Ok(Decoded {
        pixels: pixels(&head.bare, &head.frame)?,
        orientation: orientation(head.exif.as_deref()),
        profile: whole_profile(head.profile),
    })
}

/// What is found before the pixels.
struct Head {
    /// The file without its metadata.
    bare: Vec<u8>,
    frame: Frame,
    /// The number of components in the first scan.
    first_scan: usize,
    exif: Option<Vec<u8>>,
    profile: Vec<Vec<u8>>,
}

impl Head {
    /// Reads up to the first scan. Nothing may stand between segments.
    fn read(source: &mut (impl BufRead + Seek)) -> Result<Self, ThumbnailError> {
        if read_array(source)? != [0xFF, SOI] {
            return Err(undecodable("not a JPEG file"));
        }
        let mut bare = vec![0xFF, SOI];
        let (mut frame, mut exif, mut profile) = (None, None, Vec::new());
        for _ in 0..MAX_SEGMENTS {
            let Some((marker, body)) = read_segment(source)? else { continue };
            match marker {
                SOS => {
                    keep(&mut bare, marker, &body)?;
                    let frame = frame.ok_or_else(|| undecodable("no frame"))?;
                    let first_scan = body.first().copied().unwrap_or_default().into();
                    return Ok(Self { bare, frame, first_scan, exif, profile });
                }
                APP1 if exif.is_none() && body.starts_with(b"Exif\0\0") => exif = Some(body),
                APP2 if profile.len() < MAX_PROFILE_PIECES && body.starts_with(ICC) => {
                    profile.push(body);
                }
                APP1 | APP2 => {}
                _ => {
                    keep(&mut bare, marker, &body)?;
                    if matches!(marker, SOF0..=SOF2) {
                        frame = Some(Frame::parse(marker, &body)?);
                    }
                }
            }
        }
        Err(ThumbnailError::TooLarge("its metadata".to_owned()))
    }
}

/// The header of the frame (T.81 section B.2.2).
struct Frame {
    progressive: bool,
    size: (u32, u32),
    /// How many samples each component has in a block of `whole`.
    samples: Vec<u64>,
    whole: u64,
}

impl Frame {
    fn parse(marker: u8, body: &[u8]) -> Result<Self, ThumbnailError> {
        let [_, h1, h0, w1, w0, count, components @ ..] = body else {
            return Err(undecodable("a frame without size"));
        };
        let (components, rest) = components.as_chunks::<3>();
        if components.len() != usize::from(*count) || !rest.is_empty() || ![1, 3, 4].contains(count)
        {
            return Err(undecodable("a frame of unusual components"));
        }
        let factors = || components.iter().map(|[_, factors, _]| (factors >> 4, factors & 15));
        if factors().any(|(across, down)| across == 0 || down == 0) {
            return Err(undecodable("a component without samples"));
        }
        let across = factors().map(|(across, _)| across).max().unwrap_or(1);
        let down = factors().map(|(_, down)| down).max().unwrap_or(1);
        Ok(Self {
            progressive: marker == SOF2,
            size: (u16::from_be_bytes([*w1, *w0]).into(), u16::from_be_bytes([*h1, *h0]).into()),
            samples: factors().map(|(across, down)| u64::from(across) * u64::from(down)).collect(),
            whole: u64::from(across) * u64::from(down),
        })
    }

    fn is_gray(&self) -> bool {
        self.samples.len() == 1
    }

    /// What the decoder holds for one pixel, in eighths of a byte: the result, and where the components
    /// come in several scans, 16 bits for every sample until the last.
    fn eighths(&self, first_scan: usize) -> u64 {
        let result = if self.is_gray() { 8 } else { 24 };
        if !self.progressive && first_scan == self.samples.len() {
            return result;
        }
        result + (self.samples.iter().sum::<u64>() * 16).div_ceil(self.whole)
    }
}

fn pixels(bare: &[u8], frame: &Frame) -> Result<DynamicImage, ThumbnailError> {
    let space = if frame.is_gray() { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default()
        .set_strict_mode(false) // a file that was cut off is drawn as far as it goes
        .set_max_width(MAX_SOURCE_SIDE as usize)
        .set_max_height(MAX_SOURCE_SIDE as usize)
        .jpeg_set_max_scans(MAX_SCANS)
        .jpeg_set_out_colorspace(space);
    let bytes =
        JpegDecoder::new_with_options(ZCursor::new(bare), options).decode().map_err(undecodable)?;
    let (width, height) = frame.size;
    let pixels = if frame.is_gray() {
        GrayImage::from_raw(width, height, bytes).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, bytes).map(DynamicImage::from)
    };
    pixels.ok_or_else(|| undecodable("too few pixels"))
}

/// Cuts off what follows the image, such as previews, and refuses more scans and tables than any camera or
/// encoder writes. Among coded pixels, 0xFF is a marker unless 0 follows it (T.81 section B.1.1.5).
fn cut_after_image(file: &mut Vec<u8>, head: usize) -> Result<(), ThumbnailError> {
    let (mut scans, mut markers, mut end) = (1, 0, file.len());
    for at in memchr::memchr_iter(0xFF, &file[head..]).map(|at| head + at + 1) {
        match file.get(at) {
            Some(&EOI) => {
                end = at + 1;
                break;
            }
            Some(&SOS) => scans += 1,
            Some(0 | 0xD0..=0xD7 | 0xFF) | None => continue, // none, RST, fill
            Some(_) => {}
        }
        markers += 1;
    }
    if scans > MAX_SCANS || markers > MAX_MARKERS {
        return Err(ThumbnailError::TooLarge(format!("{scans} scans, {markers} markers")));
    }
    file.truncate(end);
    Ok(())
}

/// Puts the pieces of a profile together; nothing if one is missing.
fn whole_profile(mut pieces: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    pieces.retain(|piece| piece.len() > ICC.len() + 2);
    pieces.sort_by_key(|piece| piece[ICC.len()]);
    let complete = (1..).zip(&pieces).all(|(number, piece): (usize, _)| {
        [usize::from(piece[ICC.len()]), usize::from(piece[ICC.len() + 1])] == [number, pieces.len()]
    });
    (complete && !pieces.is_empty())
        .then(|| pieces.iter().flat_map(|piece| &piece[ICC.len() + 2..]).copied().collect())
}

/// The next segment: its marker, and what follows its length. `None` if it is of no use.
fn read_segment(
    source: &mut (impl BufRead + Seek),
) -> Result<Option<(u8, Vec<u8>)>, ThumbnailError> {
    let marker = read_marker(source)?;
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

fn keep(bare: &mut Vec<u8>, marker: u8, body: &[u8]) -> Result<(), ThumbnailError> {
    bare.extend([0xFF, marker]);
    bare.extend(u16::try_from(body.len() + 2).unwrap_or_default().to_be_bytes());
    bare.extend(body);
    if bare.len() > MAX_TABLES {
        return Err(ThumbnailError::TooLarge("its tables".to_owned()));
    }
    Ok(())
}

/// What is read: what decoding takes, EXIF for the orientation, the profile of colours, and Adobe's word on
/// the colour space.
fn is_of_use(marker: u8) -> bool {
    matches!(marker, SOF0..=SOF2 | DHT | SOS | DQT | DRI | APP1 | APP2 | APP14)
}

/// The next marker, after as many 0xFF as there are.
fn read_marker(source: &mut impl BufRead) -> Result<u8, ThumbnailError> {
    if read_array(source)? != [0xFF] {
        return Err(undecodable("bytes between segments"));
    }
    loop {
        match read_array(source)? {
            [0xFF] => {}
            [marker] => return Ok(marker),
        }
    }
}

fn read_array<const N: usize>(source: &mut impl BufRead) -> Result<[u8; N], ThumbnailError> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}
