//! Decodes PNG and GIF files.
//!
//! Limits what each decoder may allocate and which metadata it reads, and keeps the rows that were decoded before an
//! error. Doesn't know what happens to the pixels. The decoders are used without the wrappers of `image`, which keep
//! every text in a PNG, turn a 16-bit PNG into 16-bit pixels, and return nothing for a truncated file.

use std::io::{self, BufRead, Seek};
use std::num::NonZeroU64;

use image::DynamicImage;
use image::metadata::Orientation;

use super::canvas;
use super::colours::Colours;
use super::decoded::{Decoded, orientation};
use super::limits::{ThumbnailError, check_size, undecodable};

/// Number of metadata bytes that a decoder may keep: more than profiles and EXIF need.
const MAX_METADATA: usize = 4 << 20;

/// Decodes a PNG (third edition). Skips texts, and reduces 16 bits to 8 row by row. Of an animation, decodes the first
/// frame, which may differ from the default image (section 11.3.6).
pub(super) fn png<R: BufRead + Seek>(source: R) -> Result<Decoded, ThumbnailError> {
    let mut decoder = png::Decoder::new_with_limits(source, png::Limits { bytes: MAX_METADATA });
    decoder.set_ignore_text_chunk(true);
    decoder.ignore_checksums(true); // show damaged files, as browsers do
    let canvas = decoder.read_header_info().map_err(png_error)?.size();
    check_size(canvas, 0, 0)?;
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(png_error)?;
    let is_hidden =
        reader.info().animation_control.is_some() && reader.info().frame_control.is_none();
    if is_hidden {
        reader.next_frame_info().map_err(png_error)?;
    }
    let samples = reader.output_color_type().0.samples();
    let (size, place) = reader.info().frame_control.map_or((canvas, (0, 0)), |frame| {
        ((frame.width, frame.height), (frame.x_offset, frame.y_offset))
    });
    let beside = canvas::memory(canvas, size) + MAX_METADATA as u64;
    check_size(size, samples as u64 * 8, beside)?;
    let frame = png_rows(&mut reader, size, samples)?;
    let info = reader.info();
    Ok(Decoded {
        pixels: canvas::place(frame, place, canvas)?,
        orientation: orientation(info.exif_metadata.as_deref()),
        colours: Colours::of_png(info),
    })
}

/// Decodes the rows of a frame up to where the file is truncated or damaged. In an interlaced image, rows that were
/// decoded also fill the missing ones.
fn png_rows<R: BufRead + Seek>(
    reader: &mut png::Reader<R>,
    size: (u32, u32),
    samples: usize,
) -> Result<DynamicImage, ThumbnailError> {
    let mut pixels = Vec::new();
    let stride = size.0 as usize * samples;
    let mut there = 0;
    loop {
        match reader.next_interlaced_row() {
            Ok(Some(row)) => {
                if there == 0 {
                    pixels = canvas::allocate(size, samples);
                }
                if let png::InterlaceInfo::Adam7(pass) = row.interlace() {
                    let bits = u8::try_from(8 * samples).unwrap_or(u8::MAX);
                    png::splat_interlaced_row(&mut pixels, stride, row.data(), pass, bits);
                    there += 8; // the first pass contains all columns of these rows
                } else if let Some(to) = pixels.chunks_exact_mut(stride).nth(there as usize) {
                    to.copy_from_slice(row.data());
                    there += 1;
                }
            }
            Err(error) if there == 0 || is_of_disk(&error) => return Err(png_error(error)),
            Ok(None) | Err(_) => break,
        }
    }
    canvas::gray_from(&mut pixels, there.min(size.1), size.0, samples);
    canvas::image(size, samples, pixels)
}

fn is_of_disk(error: &png::DecodingError) -> bool {
    matches!(error, png::DecodingError::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof)
}

/// Decodes the first frame of a GIF (version 89a) on its canvas, which is transparent elsewhere. Like browsers,
/// enlarges the canvas if the frame extends beyond it.
pub(super) fn gif<R: BufRead + Seek>(source: R) -> Result<Decoded, ThumbnailError> {
    let mut options = gif::DecodeOptions::new(); // returns palette indexes instead of colours
    let limit = NonZeroU64::MIN.saturating_add(MAX_METADATA as u64);
    options.set_memory_limit(gif::MemoryLimit::Bytes(limit));
    let mut decoder = options.read_info(source).map_err(gif_error)?;
    let frame = decoder.next_frame_info().map_err(gif_error)?;
    let frame = frame.cloned().ok_or_else(|| undecodable("no frame"))?;
    let reaches = |start: u16, length: u16, screen: u16| {
        u32::from(screen).max(u32::from(start) + u32::from(length))
    };
    let canvas = (
        reaches(frame.left, frame.width, decoder.width()),
        reaches(frame.top, frame.height, decoder.height()),
    );
    let size = (u32::from(frame.width), u32::from(frame.height));
    check_size(canvas, 0, 0)?;
    check_size(size, 4 * 8, canvas::memory(canvas, size) + 2 * MAX_METADATA as u64)?;
    let palette = decoder.palette().map_err(gif_error)?.to_vec();
    let pixels = gif_rows(&mut decoder, &frame, &palette)?;
    Ok(Decoded {
        pixels: canvas::place(pixels, (frame.left.into(), frame.top.into()), canvas)?,
        orientation: Orientation::NoTransforms,
        colours: decoder.icc_profile().map_or(Colours::Srgb, |icc| Colours::Profile(icc.to_vec())),
    })
}

/// Decodes the rows of a frame up to where the file is truncated or damaged. In an interlaced image, rows that were
/// decoded also fill the missing ones.
fn gif_rows<R: io::Read>(
    decoder: &mut gif::Decoder<R>,
    frame: &gif::Frame<'_>,
    palette: &[u8],
) -> Result<DynamicImage, ThumbnailError> {
    let size = (u32::from(frame.width), u32::from(frame.height));
    let mut pixels = Vec::new();
    let stride = usize::from(frame.width) * 4;
    let (palette, _) = palette.as_chunks::<3>();
    let mut numbers = vec![0; frame.width.into()];
    let mut there = 0;
    for (row, stands_for) in gif_order(frame) {
        match decoder.fill_buffer(&mut numbers) {
            Ok(true) => {}
            Err(gif::DecodingError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(error.into());
            }
            Ok(false) | Err(_) if there == 0 => return Err(undecodable("no row of pixels")),
            Ok(false) | Err(_) => break,
        }
        if there == 0 {
            pixels = canvas::allocate(size, 4);
        }
        let start = row * stride;
        let (colours, _) = pixels[start..start + stride].as_chunks_mut::<4>();
        for (pixel, number) in colours.iter_mut().zip(&numbers) {
            *pixel = match palette.get(usize::from(*number)) {
                Some([r, g, b]) if frame.transparent != Some(*number) => [*r, *g, *b, u8::MAX],
                _ => [0; 4],
            };
        }
        let end = (row + stands_for).min(frame.height.into());
        for other in row + 1..end {
            pixels.copy_within(start..start + stride, other * stride);
        }
        there = there.max(end);
    }
    canvas::gray_from(&mut pixels, u32::try_from(there).unwrap_or(size.1), size.0, 4);
    canvas::image(size, 4, pixels)
}

/// The order in which rows are stored (`GIF89a` appendix E), and how many rows each one fills until others arrive.
fn gif_order(frame: &gif::Frame<'_>) -> impl Iterator<Item = (usize, usize)> + use<> {
    let passes: &[(usize, usize, usize)] =
        if frame.interlaced { &[(0, 8, 8), (4, 8, 4), (2, 4, 2), (1, 2, 1)] } else { &[(0, 1, 1)] };
    let height = usize::from(frame.height);
    passes.iter().flat_map(move |(first, step, stands_for)| {
        (*first..height).step_by(*step).map(|row| (row, *stands_for))
    })
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
