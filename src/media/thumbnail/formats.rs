//! The pixels of PNG, GIF and WebP files.
//!
//! Owns what each decoder is allowed to allocate and what it leaves out. Refuses to know what becomes of the
//! pixels. The decoders are used without `image`'s wrappers: those keep every text of a PNG, make 16-bit
//! pixels of a 16-bit PNG, and don't limit what a WebP file's chunks take.

use std::io::{BufRead, Cursor, Read, Seek};
use std::num::NonZeroU64;

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use super::{Decoded, ThumbnailError, check_size, orientation, undecodable};

/// What a decoder may keep of metadata, in bytes: more than profiles and EXIF have.
const MAX_METADATA: usize = 4 << 20;

/// The longest WebP file that is drawn, in bytes. It is read as a whole: its decoder looks at every chunk of
/// an animation first and moves to and fro, which in a file of nothing but chunks would take minutes.
const MAX_WEBP: u64 = 32 << 20;

/// What the decoder of lossless WebP may allocate for one byte of a file: Huffman trees. A tree with 2,048
/// leaves is written in 135 bytes and takes 68 KiB, and a file may hold 65,536 groups of five.
const TREES_PER_BYTE: u64 = 600;

/// PNG (RFC 2083, PNG third edition). Texts are skipped, 16 bits become 8 row by row. Of an animated one the
/// default image is taken.
pub(super) fn png<R: BufRead + Seek>(source: R) -> Result<Decoded, ThumbnailError> {
    let limits = png::Limits { bytes: MAX_METADATA };
    let mut decoder = png::Decoder::new_with_limits(source, limits);
    decoder.set_ignore_text_chunk(true);
    let size = decoder.read_header_info().map_err(png_error)?.size();
    check_size(size, 0, 0)?;
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(png_error)?;
    let (color, _) = reader.output_color_type();
    check_size(size, color.samples() as u64 * 8, MAX_METADATA as u64)?;
    let len = reader.output_buffer_size().ok_or_else(|| undecodable("no pixels"))?;
    let mut bytes = vec![0; len];
    reader.next_frame(&mut bytes).map_err(png_error)?;
    let info = reader.info();
    Ok(Decoded {
        pixels: pixels(size, color.samples(), bytes)?,
        orientation: orientation(info.exif_metadata.as_deref()),
        profile: info.icc_profile.as_deref().map(<[u8]>::to_vec),
    })
}

/// GIF, version 89a. The first frame on its canvas; around it, and where the frame says so, nothing.
pub(super) fn gif<R: BufRead + Seek>(source: R) -> Result<Decoded, ThumbnailError> {
    let mut options = gif::DecodeOptions::new(); // of pixels, it gives the palette's numbers
    let limit = NonZeroU64::MIN.saturating_add(MAX_METADATA as u64);
    options.set_memory_limit(gif::MemoryLimit::Bytes(limit));
    let mut decoder = options.read_info(source).map_err(gif_error)?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    check_size((width, height), 0, 0)?;
    let frame = decoder.next_frame_info().map_err(gif_error)?;
    let frame = frame.cloned().ok_or_else(|| undecodable("no frame"))?;
    check_size((frame.width.into(), frame.height.into()), 0, 0)?;
    let len = usize::from(frame.width) * usize::from(frame.height);
    check_size((width, height), 4 * 8, len as u64 + 2 * MAX_METADATA as u64)?;
    let palette = decoder.palette().map_err(gif_error)?.to_vec();
    let mut indices = vec![0; len];
    decoder.read_into_buffer(&mut indices).map_err(gif_error)?;
    Ok(Decoded {
        pixels: on_canvas((width, height), &frame, &indices, &palette).into(),
        orientation: Orientation::NoTransforms,
        profile: decoder.icc_profile().map(<[u8]>::to_vec),
    })
}

/// Gives the frame's pixels their colours, at their place.
fn on_canvas(
    (width, height): (u32, u32),
    frame: &gif::Frame<'_>,
    indices: &[u8],
    palette: &[u8],
) -> RgbaImage {
    let (palette, _) = palette.as_chunks::<3>();
    let mut canvas = RgbaImage::new(width, height);
    let rows = canvas.chunks_exact_mut(width as usize * 4).skip(frame.top.into());
    for (row, indices) in rows.zip(indices.chunks_exact(frame.width.into())) {
        let (row, _) = row.as_chunks_mut::<4>();
        for (pixel, index) in row.iter_mut().skip(frame.left.into()).zip(indices) {
            match palette.get(usize::from(*index)) {
                Some([r, g, b]) if frame.transparent != Some(*index) => {
                    *pixel = [*r, *g, *b, u8::MAX];
                }
                _ => {}
            }
        }
    }
    canvas
}

/// WebP (RFC 9649). Of an animation, the first frame on its canvas.
pub(super) fn webp<R: BufRead>(mut source: R, file_len: u64) -> Result<Decoded, ThumbnailError> {
    if file_len > MAX_WEBP {
        return Err(ThumbnailError::TooLarge(format!("a WebP file of {file_len} bytes")));
    }
    let mut file = Vec::with_capacity(usize::try_from(file_len).unwrap_or_default());
    source.by_ref().take(file_len).read_to_end(&mut file)?;
    let lossless = lossless_bytes(&file);
    let mut decoder =
        image_webp::WebPDecoder::new(Cursor::new(file.as_slice())).map_err(webp_error)?;
    decoder.set_memory_limit(MAX_METADATA);
    let size = decoder.dimensions();
    // What the decoder holds for one pixel, as of its version 0.2: buffers that live at the same time.
    let eighths = match (decoder.is_animated(), decoder.has_alpha()) {
        (true, _) => 3 * 32,                   // frame, canvas, result
        (_, true) => 32 + 12 + 40,             // result, YUV, alpha in RGBA and alone
        (_, false) if lossless > 0 => 24 + 32, // result, RGBA
        (_, false) => 24 + 12,                 // result, YUV
    };
    // The lossy decoder copies what it reads twice.
    check_size(size, eighths, lossless * TREES_PER_BYTE + 3 * file_len)?;
    let len = decoder.output_buffer_size().ok_or_else(|| undecodable("no pixels"))?;
    let mut bytes = vec![0; len];
    decoder.read_image(&mut bytes).map_err(webp_error)?;
    let samples = if decoder.has_alpha() { 4 } else { 3 };
    // Metadata that is missing, or too long to be one, makes no picture unreadable.
    let exif = decoder.exif_metadata().ok().flatten();
    Ok(Decoded {
        pixels: pixels(size, samples, bytes)?,
        orientation: orientation(exif.as_deref()),
        profile: decoder.icc_profile().ok().flatten(),
    })
}

/// The bytes of the chunks that may be decoded as lossless, of an animation those of the first frame: never
/// less than the decoder reads. It takes a frame's chunks as long as they say, even beyond the frame.
fn lossless_bytes(file: &[u8]) -> u64 {
    let mut bytes = 0;
    let mut chunks = file.get(12..).unwrap_or_default();
    let mut seen_frame = false;
    while let Some((kind, body, rest)) = next_chunk(chunks) {
        bytes += lossless_in(*kind, body);
        if kind == b"ANMF" && !seen_frame {
            seen_frame = true;
            let mut inner = chunks.get(8 + 16..).unwrap_or_default();
            for _ in 0..2 {
                let Some((kind, body, rest)) = next_chunk(inner) else { break };
                bytes += lossless_in(*kind, body);
                inner = rest;
            }
        }
        chunks = rest;
    }
    bytes
}

/// The length of what is coded as lossless: an image, or alpha unless it says that it isn't (RFC 9649
/// section 2.7.1.2).
fn lossless_in(kind: [u8; 4], body: &[u8]) -> u64 {
    match (&kind, body) {
        (b"ALPH", [flags, ..]) if flags % 4 == 0 => 0,
        (b"ALPH" | b"VP8L", body) => body.len() as u64,
        _ => 0,
    }
}

/// A RIFF chunk, cut off where the file ends, and what follows.
fn next_chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (kind, rest) = bytes.split_first_chunk()?;
    let (size, rest) = rest.split_first_chunk()?;
    let size = u32::from_le_bytes(*size) as usize;
    let (body, _) = rest.split_at(size.min(rest.len()));
    let rest = rest.get(size.saturating_add(size % 2)..).unwrap_or_default();
    Some((kind, body, rest))
}

fn pixels(
    (width, height): (u32, u32),
    samples: usize,
    bytes: Vec<u8>,
) -> Result<DynamicImage, ThumbnailError> {
    let pixels = match samples {
        1 => GrayImage::from_raw(width, height, bytes).map(DynamicImage::from),
        2 => GrayAlphaImage::from_raw(width, height, bytes).map(DynamicImage::from),
        3 => RgbImage::from_raw(width, height, bytes).map(DynamicImage::from),
        _ => RgbaImage::from_raw(width, height, bytes).map(DynamicImage::from),
    };
    pixels.ok_or_else(|| undecodable("too few pixels"))
}

fn png_error(error: png::DecodingError) -> ThumbnailError {
    match error {
        png::DecodingError::IoError(error) => error.into(),
        png::DecodingError::LimitsExceeded => ThumbnailError::TooLarge("its metadata".to_owned()),
        error => undecodable(error),
    }
}

fn gif_error(error: gif::DecodingError) -> ThumbnailError {
    match error {
        gif::DecodingError::Io(error) => error.into(),
        error => undecodable(error),
    }
}

fn webp_error(error: image_webp::DecodingError) -> ThumbnailError {
    match error {
        image_webp::DecodingError::IoError(error) => error.into(),
        error => undecodable(error),
    }
}
