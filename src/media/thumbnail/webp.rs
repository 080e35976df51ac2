//! Decodes WebP files (RFC 9649).
//!
//! Reads the container: which image is shown, where it lies on the canvas, and its alpha. `vp8l` decodes lossless
//! images, and image-webp lossy ones, of which it gets only the image itself.

use std::io::{self, BufRead, Cursor, Read, Seek, Take};

use image::DynamicImage;
use image::metadata::Orientation;

use super::canvas;
use super::colours::Colours;
use super::decoded::Decoded;
use super::limits::{MAX_PIXELS, ThumbnailError, check_pixels, check_size, undecodable};
use super::vp8l::Lossless;

/// Maximum number of chunks before an image: five types may occur there.
const MAX_CHUNKS: u32 = 64;

/// Maximum length in bytes of a profile that is read.
const MAX_PROFILE: u32 = 1 << 20;

/// Number of bytes of a lossy image that contain its size.
const LOSSY_HEAD: u32 = 10;

/// Maximum number of bytes of a lossy image or its alpha that are read. 64 megapixels at the best quality have fewer.
const MAX_CODED: u32 = 64 << 20;

/// Decodes the first frame on its canvas, or the image. Ignores the EXIF orientation, as browsers do.
pub(super) fn decode<R: BufRead + Seek>(mut source: R) -> Result<Decoded, ThumbnailError> {
    let [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] = read_array(&mut source)?
    else {
        return Err(undecodable("not a WebP file"));
    };
    let mut file = File { source, canvas: None, profile: None };
    let pixels = file.first_image()?;
    Ok(Decoded {
        pixels,
        orientation: Orientation::NoTransforms,
        colours: file.profile.map_or(Colours::Srgb, Colours::Profile),
    })
}

struct File<R> {
    source: R,
    /// The size that the file states.
    canvas: Option<(u32, u32)>,
    profile: Option<Vec<u8>>,
}

impl<R: BufRead + Seek> File<R> {
    fn first_image(&mut self) -> Result<DynamicImage, ThumbnailError> {
        let mut alpha = None;
        for _ in 0..MAX_CHUNKS {
            let (kind, size) = self.chunk()?;
            match &kind {
                b"VP8X" => {
                    let [_, _, _, _, width @ .., a, b, c] = self.body::<10>(size)?;
                    self.canvas = Some((1 + number(width), 1 + number([a, b, c])));
                }
                b"ICCP" if self.profile.is_none() && size <= MAX_PROFILE => {
                    self.profile = Some(self.bytes(size)?);
                }
                b"ALPH" => alpha = Some(self.bytes(size)?),
                b"ANMF" => return self.frame(size),
                b"VP8 " | b"VP8L" => {
                    let pixels = self.image(kind, size, alpha.as_deref())?;
                    let said = self
                        .canvas
                        .is_none_or(|canvas| canvas == (pixels.width(), pixels.height()));
                    return if said {
                        Ok(pixels)
                    } else {
                        Err(undecodable("an image unlike its canvas"))
                    };
                }
                _ => self.skip(size)?,
            }
        }
        Err(ThumbnailError::TooLarge("its metadata".to_owned()))
    }

    /// Decodes a frame of an animation (section 2.7.1.1) on an empty canvas.
    fn frame(&mut self, size: u32) -> Result<DynamicImage, ThumbnailError> {
        let canvas = self.canvas.ok_or_else(|| undecodable("a frame without a canvas"))?;
        let header: [u8; 16] = self.body(size.min(16))?;
        let (header, _) = header.as_chunks::<3>();
        let [left, top, width, height] = [0, 1, 2, 3].map(|n| number(header[n]));
        let place = (2 * left, 2 * top);
        let mut alpha = None;
        for _ in 0..MAX_CHUNKS {
            let (kind, size) = self.chunk()?;
            match &kind {
                b"ALPH" => alpha = Some(self.bytes(size)?),
                b"VP8 " | b"VP8L" => {
                    check_size(canvas, 32, canvas::memory(canvas, (width + 1, height + 1)))?;
                    let pixels = self.image(kind, size, alpha.as_deref())?;
                    if (pixels.width(), pixels.height()) != (width + 1, height + 1) {
                        return Err(undecodable("an image unlike its frame"));
                    }
                    return canvas::place(pixels, place, canvas);
                }
                b"ANMF" => break,
                _ => self.skip(size)?,
            }
        }
        Err(undecodable("a frame without an image"))
    }

    fn image(
        &mut self,
        kind: [u8; 4],
        size: u32,
        alpha: Option<&[u8]>,
    ) -> Result<DynamicImage, ThumbnailError> {
        if &kind == b"VP8L" {
            return lossless(self.source.by_ref().take(size.into()));
        }
        // Don't read an image that is too large.
        let mut coded = Vec::new();
        self.source.by_ref().take(size.min(LOSSY_HEAD).into()).read_to_end(&mut coded)?;
        check_pixels(lossy_size(&coded)?, MAX_PIXELS)?;
        coded.append(&mut self.bytes(size.saturating_sub(LOSSY_HEAD))?);
        lossy(&coded, alpha)
    }

    /// Reads the type and size of the next chunk.
    fn chunk(&mut self) -> Result<([u8; 4], u32), ThumbnailError> {
        let [kind @ .., a, b, c, d] = read_array::<8>(&mut self.source)?;
        Ok((kind, u32::from_le_bytes([a, b, c, d])))
    }

    fn skip(&mut self, size: u32) -> io::Result<()> {
        self.source.seek_relative(i64::from(size) + i64::from(size & 1))
    }

    /// Reads the first bytes of a chunk and skips the rest.
    fn body<const N: usize>(&mut self, size: u32) -> Result<[u8; N], ThumbnailError> {
        let bytes = read_array(&mut self.source)?;
        let rest = i64::from(size) + i64::from(size & 1) - i64::try_from(N).unwrap_or(0);
        self.source.seek_relative(rest.max(0))?;
        Ok(bytes)
    }

    /// Reads a chunk, as far as it is present.
    fn bytes(&mut self, size: u32) -> Result<Vec<u8>, ThumbnailError> {
        if size > MAX_CODED {
            return Err(ThumbnailError::TooLarge(format!("a chunk of {size} bytes")));
        }
        let mut bytes = Vec::new();
        self.source.by_ref().take(size.into()).read_to_end(&mut bytes)?;
        if size & 1 == 1 {
            self.source.seek_relative(1)?;
        }
        Ok(bytes)
    }
}

fn lossless<R: BufRead>(source: Take<R>) -> Result<DynamicImage, ThumbnailError> {
    let image = Lossless::open(source)?;
    let (size, has_alpha) = (image.size(), image.has_alpha());
    let samples = if has_alpha { 4 } else { 3 };
    let budget = check_size(size, samples as u64 * 8, 0)?;
    let mut pixels = Vec::new();
    let mut start = 0;
    let there = image.decode(budget, |row| {
        if start == 0 {
            pixels = canvas::allocate(size, samples);
        }
        let to = pixels[start..].chunks_exact_mut(samples);
        start += row.len() * samples;
        for (to, pixel) in to.zip(row) {
            let [alpha, colour @ ..] = pixel.to_be_bytes();
            to[..3].copy_from_slice(&colour);
            to[3..].fill(alpha);
        }
    })?;
    if there == 0 {
        return Err(undecodable("no row of pixels"));
    }
    canvas::gray_from(&mut pixels, there, size.0, samples);
    canvas::image(size, samples, pixels)
}

/// Decodes a lossy image and its alpha, as far as they are present.
fn lossy(coded: &[u8], alpha: Option<&[u8]>) -> Result<DynamicImage, ThumbnailError> {
    let size = lossy_size(coded)?;
    let samples = if alpha.is_some() { 4 } else { 3 };
    // Besides the result, the decoder keeps the YUV samples and twice the file in memory.
    let beside = 3 * coded.len() as u64 + alpha.map_or(0, <[u8]>::len) as u64;
    let budget = check_size(size, samples as u64 * 8 + 12, beside)?;
    let mut pixels = canvas::allocate(size, samples);
    let count = size.0 as usize * size.1 as usize;
    let there = colours(coded, size, &mut pixels[..3 * count])?;
    if let Some(alpha) = alpha {
        widen(&mut pixels, count);
        fill_alpha(&mut pixels, size, alpha, budget)?;
    }
    canvas::gray_from(&mut pixels, there, size.0, samples);
    canvas::image(size, samples, pixels)
}

/// The size in the head of a lossy image (RFC 6386 section 9.1).
fn lossy_size(coded: &[u8]) -> Result<(u32, u32), ThumbnailError> {
    let [_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..] = *coded else {
        return Err(undecodable("not a lossy image"));
    };
    let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3FFF);
    Ok((side([w0, w1]), side([h0, h1])))
}

/// Decodes the colours of a lossy image, and returns the number of rows.
///
/// The decoder returns either the whole image or nothing. For a truncated image, this finds the maximum number of rows
/// that it returns: an image with a smaller height in its header needs less of the file.
fn colours(
    coded: &[u8],
    (width, height): (u32, u32),
    pixels: &mut [u8],
) -> Result<u32, ThumbnailError> {
    const BLOCK: u32 = 16;
    let Err(error) = colours_of_rows(coded, height, pixels) else { return Ok(height) };
    let (mut good, mut bad) = (0, height.div_ceil(BLOCK));
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        let length = width as usize * (middle * BLOCK) as usize * 3;
        match colours_of_rows(coded, middle * BLOCK, &mut pixels[..length]) {
            Ok(()) => good = middle,
            Err(_) => bad = middle,
        }
    }
    if good == 0 { Err(error) } else { Ok(good * BLOCK) }
}

/// Decodes the first rows of a lossy image by wrapping it in a minimal file. If that fails, `pixels` don't change.
fn colours_of_rows(coded: &[u8], height: u32, pixels: &mut [u8]) -> Result<(), ThumbnailError> {
    const HEIGHT: std::ops::Range<usize> = 8..10;
    let length = u32::try_from(coded.len()).map_err(undecodable)?;
    let mut file = Vec::with_capacity(coded.len() + 20);
    file.extend(b"RIFF");
    file.extend((length + 12).to_le_bytes());
    file.extend(b"WEBPVP8 ");
    file.extend(length.to_le_bytes());
    let start = file.len();
    file.extend(coded);
    file[start..][HEIGHT]
        .copy_from_slice(&u16::try_from(height).map_err(undecodable)?.to_le_bytes());
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).map_err(undecodable)?;
    decoder.read_image(pixels).map_err(undecodable)
}

/// Makes space for alpha in pixels of three samples.
fn widen(pixels: &mut [u8], count: usize) {
    for at in (0..count).rev() {
        let [r, g, b] = [0, 1, 2].map(|sample| pixels[3 * at + sample]);
        pixels[4 * at..4 * at + 4].copy_from_slice(&[r, g, b, u8::MAX]);
    }
}

/// Adds alpha (section 2.7.1.2) to pixels, as far as it is present.
fn fill_alpha(
    pixels: &mut [u8],
    size: (u32, u32),
    alpha: &[u8],
    budget: u64,
) -> Result<(), ThumbnailError> {
    let Some((flags, coded)) = alpha.split_first() else { return Ok(()) };
    let width = size.0 as usize;
    let filter = flags >> 2 & 3;
    let mut before: Vec<u8> = Vec::new();
    let mut rows = pixels.chunks_exact_mut(4 * width);
    let mut put = |row: &mut dyn Iterator<Item = u8>| {
        let row = unfiltered(filter, row, &before);
        for (pixel, alpha) in rows.next().unwrap_or_default().chunks_exact_mut(4).zip(&row) {
            pixel[3] = *alpha;
        }
        before = row;
    };
    match flags & 3 {
        0 => coded.chunks_exact(width).for_each(|row| put(&mut row.iter().copied())),
        1 => {
            let image = Lossless::headless(coded, size);
            image.decode(budget, |row| put(&mut row.iter().map(|pixel| pixel.to_be_bytes()[2])))?;
        }
        _ => {}
    }
    Ok(())
}

/// Adds the prediction of each value: from the left, from above, or the gradient of both.
fn unfiltered(filter: u8, row: &mut dyn Iterator<Item = u8>, before: &[u8]) -> Vec<u8> {
    let mut values: Vec<u8> = Vec::with_capacity(before.len());
    for (x, value) in row.enumerate() {
        let (left, top) = (values.last().copied(), before.get(x).copied());
        let predicted = match (filter, left, top) {
            (0, ..) | (_, None, None) => 0,
            // The first row and column have only one neighbour.
            (_, Some(only), None)
            | (_, None, Some(only))
            | (1, Some(only), _)
            | (2, _, Some(only)) => only,
            (_, Some(left), Some(top)) => {
                let sum = i16::from(left) + i16::from(top) - i16::from(before[x - 1]);
                u8::try_from(sum.clamp(0, 255)).unwrap_or(0)
            }
        };
        values.push(value.wrapping_add(predicted));
    }
    values
}

fn number([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

fn read_array<const N: usize>(source: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes)?;
    Ok(bytes)
}
