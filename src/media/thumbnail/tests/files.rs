//! Test files, and parts to build invalid files from.

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;

use super::*;

pub(super) fn noise() -> impl FnMut() -> u8 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }
}

pub(super) fn png(
    width: u32,
    height: u32,
    color: png::ColorType,
    depth: png::BitDepth,
    pixels: &[u8],
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    file
}

pub(super) fn palette_png(side: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette([RED, GREEN].concat());
    encoder.set_trns(vec![255, 0]);
    let pixels = [0, 1].repeat((side * side / 2) as usize);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    file
}

pub(super) fn png_with_profile(pixels: &RgbImage, profile: &[u8]) -> Vec<u8> {
    let mut info = png::Info::with_size(pixels.width(), pixels.height());
    info.color_type = png::ColorType::Rgb;
    info.bit_depth = png::BitDepth::Eight;
    info.icc_profile = Some(profile.into());
    let mut file = Vec::new();
    let encoder = png::Encoder::with_info(&mut file, info).unwrap();
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    file
}

/// Inserts a chunk after the header.
pub(super) fn png_with_chunk(file: &[u8], kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let (head, rest) = file.split_at(33);
    [head, &png_chunk(kind, body), rest].concat()
}

pub(super) fn png_chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap();
    let checked = [&kind, body].concat();
    [&len.to_be_bytes(), checked.as_slice(), &crc32fast::hash(&checked).to_be_bytes()].concat()
}

/// A PNG file with this header and compressed data.
pub(super) fn raw_png(width: u32, height: u32, kind: [u8; 5], data: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes(), &height.to_be_bytes(), kind.as_slice()].concat();
    let chunks = [(*b"IHDR", header.as_slice()), (*b"IDAT", data), (*b"IEND", b"")];
    let chunks = chunks.map(|(kind, body)| png_chunk(kind, body)).concat();
    [b"\x89PNG\r\n\x1A\n", chunks.as_slice()].concat()
}

/// Adam7 (PNG section 8.2), stored without compression.
pub(super) fn interlaced_png(pixels: &RgbImage) -> Vec<u8> {
    let passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ];
    let mut data = Vec::new();
    for (left, top, right, down) in passes {
        for y in (top..pixels.height()).step_by(down) {
            data.push(0);
            for x in (left..pixels.width()).step_by(right) {
                data.extend(pixels.get_pixel(x, y).0);
            }
        }
    }
    let len = u16::try_from(data.len()).unwrap();
    let stored = [&[0x78, 1, 1], &len.to_le_bytes()[..], &(!len).to_le_bytes(), &data].concat();
    let (a, b) = data.iter().fold((1, 0), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let stored = [stored, (b << 16 | a).to_be_bytes().to_vec()].concat();
    raw_png(pixels.width(), pixels.height(), [8, 2, 0, 0, 1], &stored)
}

/// `258 * repeats + 1` zeros, deflated: the length 258 at distance 1, again and again.
pub(super) fn deflated_zeros(repeats: u32) -> Vec<u8> {
    let mut bits: Vec<bool> = [1, 1, 0].map(|bit| bit == 1).to_vec(); // last block, fixed codes
    let mut push = |code: u32, len: u32| bits.extend((0..len).rev().map(|at| code >> at & 1 == 1));
    push(0b0011_0000, 8); // 0
    for _ in 0..repeats {
        push(0b1100_0101, 8); // 258
        push(0, 5); // 1 back
    }
    push(0, 7); // end
    let bytes =
        bits.chunks(8).map(|bits| (0..).zip(bits).map(|(at, bit)| u8::from(*bit) << at).sum());
    let sum = (258 * repeats + 1) % 65_521;
    [0x78, 1].into_iter().chain(bytes).chain((sum << 16 | 1).to_be_bytes()).collect()
}

pub(super) fn segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    file.extend([0xFF, marker]);
    file.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
    file.extend(body);
}

/// A JPEG file with these segments first.
pub(super) fn jpeg_with(pixels: &DynamicImage, segments: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut plain, 90);
    let color = pixels.color().into();
    encoder.encode(pixels.as_bytes(), pixels.width(), pixels.height(), color).unwrap();
    let mut file = plain[..2].to_vec();
    for (marker, body) in segments {
        segment(&mut file, *marker, body);
    }
    file.extend(&plain[2..]);
    file
}

/// EXIF with only an orientation, and with the prefix it has in JPEG.
pub(super) fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0];
    [b"Exif\0\0MM\0*\0\0\0\x08\0\x01".as_slice(), &entry, &[0; 4]].concat()
}

/// The parts of a profile that are checked.
pub(super) fn profile(space: [u8; 4], len: u32) -> Vec<u8> {
    let mut noise = noise();
    let mut profile: Vec<u8> = (0..len).map(|_| noise()).collect();
    profile[..4].copy_from_slice(&len.to_be_bytes());
    profile[16..20].copy_from_slice(&space);
    profile[36..40].copy_from_slice(b"acsp");
    profile
}

pub(super) fn icc_piece(number: u8, count: u8, piece: &[u8]) -> Vec<u8> {
    [b"ICC_PROFILE\0", [number, count].as_slice(), piece].concat()
}

pub(super) fn riff(chunks: &[([u8; 4], &[u8])]) -> Vec<u8> {
    let body: Vec<u8> = chunks.iter().flat_map(|(kind, body)| riff_chunk(*kind, body)).collect();
    [b"RIFF", u32::try_from(body.len() + 4).unwrap().to_le_bytes().as_slice(), b"WEBP", &body]
        .concat()
}

pub(super) fn riff_chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_le_bytes();
    let padding = [0].as_slice().get(..body.len() % 2).unwrap();
    [&kind, len.as_slice(), body, padding].concat()
}

/// The body of a `VP8L` chunk.
pub(super) fn vp8l(pixels: &DynamicImage) -> Vec<u8> {
    let mut file = Vec::new();
    let rgba = pixels.to_rgba8();
    WebPEncoder::new_lossless(&mut file)
        .write_image(&rgba, rgba.width(), rgba.height(), image::ExtendedColorType::Rgba8)
        .unwrap();
    file.split_off(20)
}

/// The body of a `VP8X` chunk: flags and canvas size.
pub(super) fn vp8x(flags: u8, (width, height): (u32, u32)) -> Vec<u8> {
    let mut body = vec![flags, 0, 0, 0];
    body.extend(&(width - 1).to_le_bytes()[..3]);
    body.extend(&(height - 1).to_le_bytes()[..3]);
    body
}

/// A lossless WebP file with metadata chunks: the profile before the image, others after it.
pub(super) fn webp_chunks(pixels: &DynamicImage, metadata: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let header = vp8x(0b0011_1100, (pixels.width(), pixels.height()));
    let image = vp8l(pixels);
    let is_profile = |(kind, _): &&([u8; 4], Vec<u8>)| kind == b"ICCP";
    let chunk = |(kind, bytes): &([u8; 4], Vec<u8>)| (*kind, bytes.clone());
    let mut chunks = vec![(*b"VP8X", header)];
    chunks.extend(metadata.iter().filter(is_profile).map(chunk));
    chunks.push((*b"VP8L", image));
    chunks.extend(metadata.iter().filter(|entry| !is_profile(entry)).map(chunk));
    chunks.extend([(*b"XMP ", vec![0; 2]), (*b"EXIF", vec![0; 2])]);
    let chunks: Vec<_> = chunks.iter().map(|(kind, body)| (*kind, body.as_slice())).collect();
    riff(&chunks)
}

pub(super) fn webp_animation(canvas: (u32, u32), frames: &[DynamicImage]) -> Vec<u8> {
    let header = vp8x(0b0001_0010, canvas);
    let frames: Vec<Vec<u8>> = frames.iter().map(webp_frame).collect();
    let mut chunks: Vec<([u8; 4], &[u8])> = vec![(*b"VP8X", &header), (*b"ANIM", &[0; 6])];
    chunks.extend(frames.iter().map(|frame| (*b"ANMF", frame.as_slice())));
    riff(&chunks)
}

fn webp_frame(pixels: &DynamicImage) -> Vec<u8> {
    let mut body = vec![0; 6];
    body.extend(&(pixels.width() - 1).to_le_bytes()[..3]);
    body.extend(&(pixels.height() - 1).to_le_bytes()[..3]);
    body.extend([100, 0, 0, 0]);
    body.extend(riff_chunk(*b"VP8L", &vp8l(pixels)));
    body
}

/// Frames that alternate between red and transparent pixels: canvas, position and size of the frames, and their number.
pub(super) fn gif(canvas: (u16, u16), place: (u16, u16, u16, u16), frames: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let palette = [RED, GREEN].concat();
    let mut encoder = gif::Encoder::new(&mut file, canvas.0, canvas.1, &palette).unwrap();
    let (left, top, width, height) = place;
    let pixels = [0, 1].repeat(usize::from(width) * usize::from(height) / 2);
    let mut frame = gif::Frame::from_indexed_pixels(width, height, pixels, Some(1));
    (frame.left, frame.top) = (left, top);
    frame.make_lzw_pre_encoded();
    for _ in 0..frames {
        encoder.write_lzw_pre_encoded_frame(&frame).unwrap();
    }
    drop(encoder);
    file
}
