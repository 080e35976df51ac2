//! Malicious files: each gives an error or a picture, quickly and within the memory limit.

use super::files::*;
use super::*;

fn is_too_large(file: &[u8], subtype: &str) -> bool {
    matches!(drawn(file, subtype), Err(ThumbnailError::TooLarge(_)))
}

fn is_undecodable(file: &[u8], subtype: &str) -> bool {
    matches!(drawn(file, subtype), Err(ThumbnailError::Undecodable(_)))
}

/// A JPEG file that claims another size.
fn jpeg_of_size(width: u16, height: u16) -> Vec<u8> {
    let mut file = jpeg_with(&fields(16, 16).into(), &[]);
    let frame = memchr::memmem::find(&file, &[0xFF, 0xC0]).unwrap();
    file[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    file[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    file
}

fn vp8l_of_size(width: u32, height: u32) -> Vec<u8> {
    let header = (width - 1) | (height - 1) << 14;
    riff(&[(*b"VP8L", &[&[0x2F], header.to_le_bytes().as_slice(), &[0; 9]].concat())])
}

#[test]
fn huge_sizes_are_refused_by_the_header() {
    assert!(is_too_large(&jpeg_of_size(65_535, 65_535), "jpeg"));
    assert!(is_too_large(&raw_png(65_535, 65_535, [8, 6, 0, 0, 0], &[]), "png"));
    assert!(is_too_large(&raw_png(0x7FFF_FFFF, 0x7FFF_FFFF, [16, 6, 0, 0, 1], &[]), "png"));
    let frame = b",\0\0\0\0\x01\0\x01\0\0\x02\x02\x4C\x01\0;";
    let gif = [b"GIF89a\xFF\xFF\xFF\xFF\x80\0\0".as_slice(), &[0; 6], frame].concat();
    assert!(is_too_large(&gif, "gif"));
    assert!(is_too_large(&vp8l_of_size(16_383, 16_383), "webp"));
    let vp8 = b"\x10\0\0\x9D\x01\x2A\xFF\x3F\xFF\x3F\0\0";
    assert!(is_too_large(&riff(&[(*b"VP8 ", vp8)]), "webp"));
    let canvas = vp8x(0, (65_535, 65_535));
    assert!(is_too_large(&riff(&[(*b"VP8X", &canvas), (*b"VP8 ", vp8)]), "webp"));
}

#[test]
fn a_side_too_long_is_refused_whatever_the_other() {
    assert!(is_too_large(&jpeg_of_size(32_769, 1), "jpeg"));
    assert!(is_too_large(&raw_png(1, 32_769, [8, 0, 0, 0, 0], &[]), "png"));
}

#[test]
fn images_without_pixels_are_refused() {
    assert!(is_undecodable(&jpeg_of_size(0, 16), "jpeg"));
    assert!(is_undecodable(&raw_png(0, 16, [8, 0, 0, 0, 0], &[]), "png"));
    assert!(is_undecodable(b"GIF89a\0\0\x01\0\x80\0\0\0\0\0\0\0\0;", "gif"));
}

#[test]
fn the_bytes_of_a_pixel_count() {
    let most = 8192;
    assert!(check_size((most, most), 4 * 8, 0).is_ok());
    assert!(check_size((most, most + 1), 0, 0).is_err());
    assert!(check_size((most, most), 4 * 8, 65 << 20).is_err());
    assert!(check_size((most, most), 8 * 8, 0).is_err());
    assert!(check_size((1, 1), 8, u64::MAX).is_err());
}

#[test]
fn a_frame_larger_than_its_canvas_counts() {
    let mut file = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0".to_vec();
    file.extend(b",\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\x02\x4C\x01\0;");
    assert!(!matches!(drawn(&file, "gif"), Ok(_) | Err(ThumbnailError::Io(_))));
}

#[test]
fn only_the_first_of_many_frames_is_read() {
    let file = gif((16, 16), (0, 0, 16, 16), 100_000);
    let mut source = Cursor::new(file);
    let picture = thumbnail(&mut source, &MediaType::parse("image/gif").unwrap()).unwrap();
    assert_eq!((picture.width, picture.height), (16, 16));
    assert!(source.position() < 64 << 10, "{}", source.position());
}

#[test]
fn a_flood_of_chunks_in_a_webp_file_is_walked_through() {
    let (header, image) = (vp8x(0b0001_0000, (16, 16)), vp8l(&fields(16, 16).into()));
    let mut file = riff(&[(*b"VP8X", &header), (*b"VP8L", &image)]);
    file.extend(b"junk\0\0\0\0".repeat(1_000_000));
    let size = u32::try_from(file.len() - 8).unwrap();
    file[4..8].copy_from_slice(&size.to_le_bytes());
    assert_eq!(drawn(&file, "webp").unwrap().width, 16);
}

#[test]
fn profiles_that_inflate_to_much_are_dropped() {
    let bomb = [b"bomb\0\0".as_slice(), &deflated_zeros(1_000_000)].concat(); // to 258 MB
    let file = png_with_chunk(&field_png(16, 16), *b"iCCP", &bomb);
    let bytes = drawn(&file, "png").unwrap().bytes;
    assert!(!contains(&bytes, b"ICC_PROFILE"));
}

#[test]
fn texts_are_not_inflated() {
    let bomb = [b"Comment\0\0".as_slice(), &deflated_zeros(1_000_000)].concat();
    let file = png_with_chunk(&field_png(16, 16), *b"zTXt", &bomb);
    assert_eq!(drawn(&file, "png").unwrap().width, 16);
}

#[test]
fn a_flood_of_texts_is_skipped() {
    let plain = field_png(16, 16);
    let (head, rest) = plain.split_at(33);
    let file = [head, &png_chunk(*b"tEXt", b"a\0b").repeat(200_000), rest].concat();
    assert_eq!(drawn(&file, "png").unwrap().width, 16);
}

#[test]
fn pixels_that_inflate_to_more_than_the_image_are_ignored() {
    let file = raw_png(16, 16, [8, 2, 0, 0, 0], &deflated_zeros(1_000_000));
    assert_eq!(drawn(&file, "png").unwrap().width, 16);
}

#[test]
fn pixels_that_inflate_to_less_than_a_row_are_an_error() {
    for interlaced in [0, 1] {
        let file = raw_png(4096, 4096, [8, 2, 0, 0, interlaced], &deflated_zeros(5));
        assert!(is_undecodable(&file, "png"));
    }
}

#[test]
fn too_long_metadata_is_refused() {
    let file = png_with_chunk(&field_png(16, 16), *b"eXIf", &vec![0; 5 << 20]);
    assert!(is_too_large(&file, "png"));
}

#[test]
fn xmp_in_thousands_of_pieces_is_skipped() {
    let piece = |at: u32| {
        let place = [1 << 30, at].map(u32::to_be_bytes).concat();
        (
            0xE1,
            [b"http://ns.adobe.com/xmp/extension/\0".as_slice(), &[b'A'; 32], &place, b"x"]
                .concat(),
        )
    };
    let some: Vec<_> = (0..4000).map(piece).collect();
    assert_eq!(drawn(&jpeg_with(&fields(16, 16).into(), &some), "jpeg").unwrap().width, 16);
    let many: Vec<_> = (0..100_000).map(piece).collect();
    assert!(is_too_large(&jpeg_with(&fields(16, 16).into(), &many), "jpeg"));
}

#[test]
fn a_flood_of_tables_is_refused() {
    let table = (0xDB, [[0].as_slice(), &[1; 64]].concat());
    assert!(is_too_large(&jpeg_with(&fields(16, 16).into(), &vec![table; 2000]), "jpeg"));
}

#[test]
fn a_flood_of_scans_is_refused() {
    let file = include_bytes!("../../../../tests/media/images/progressive.jpg");
    let scan = memchr::memmem::rfind(file, &[0xFF, 0xDA]).unwrap();
    let (image, end) = file.split_at(file.len() - 2);
    assert!(is_too_large(&[image, &file[scan..file.len() - 2].repeat(100), end].concat(), "jpeg"));
}

#[test]
fn bytes_after_a_jpeg_image_are_ignored() {
    let mut file = jpeg_with(&fields(16, 16).into(), &[]);
    file.extend([0xFF, 0xDA].repeat(1000));
    assert_eq!(drawn(&file, "jpeg").unwrap().width, 16);
}

/// Writes bits, starting with the lowest one of each byte.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        self.0.extend((0..count).map(|at| value >> at & 1 == 1));
    }

    /// A `VP8L` code with one symbol of up to 8 bits; using it takes no bits.
    fn put_symbol(&mut self, symbol: u32) {
        self.put(0b101, 3);
        self.put(symbol, 8);
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| (0..).zip(bits).map(|(at, bit)| u8::from(*bit) << at).sum();
        self.0.chunks(8).map(byte).collect()
    }
}

#[test]
fn the_memory_for_codes_of_lossless_webp_is_limited() {
    let mut file = Bits::default();
    file.put(0x2F, 8);
    file.put(15 | 15 << 14, 32); // 16 x 16 pixels
    file.put(0b0, 1); // no transform
    file.put(0b10, 2); // no cache; groups of codes, and where each one applies
    file.put(7, 3); // all in one block
    file.put(0, 1); // its image has no cache
    for symbol in [255, 255, 0, 0, 0] {
        file.put_symbol(symbol); // the group has number 65,535
    }
    for _ in 0..65_536 {
        file.put_symbol(0);
        for _ in 0..3 {
            // 256 symbols of eight bits: all lengths are the same.
            file.put(0b0, 1);
            file.put(15 - 4, 4);
            for symbol in 0..15 {
                file.put(u32::from(symbol == 11), 3);
            }
            file.put(0, 1);
        }
        file.put_symbol(0);
    }
    let file = file.bytes();
    let decoded = |budget: u64| {
        vp8l::Lossless::open(file.as_slice()).unwrap().decode(budget, |_| {}).map(drop)
    };
    assert!(matches!(decoded(100 << 20), Err(ThumbnailError::TooLarge(_))));
    assert!(decoded(300 << 20).is_ok());
}

#[test]
fn an_image_after_the_first_is_ignored() {
    let image = vp8l(&fields(16, 16).into());
    let lossy = include_bytes!("../../../../tests/media/images/lossy.webp");
    let header = vp8x(0, (48, 32));
    let frame = [&[0; 16], b"VP8L\0\0\x10\0".as_slice(), &image].concat();
    let chunks = [(*b"VP8X", header.as_slice()), (*b"VP8 ", &lossy[20..]), (*b"ANMF", &frame)];
    let file = [riff(&chunks), riff_chunk(*b"junk", &vec![0; 1 << 20])].concat();
    let picture = drawn(&file, "webp").unwrap();
    assert_eq!((picture.width, picture.height), (48, 32));
}

#[test]
fn a_canvas_of_the_wrong_size_is_an_error() {
    let image = vp8l(&fields(16, 16).into());
    let header = vp8x(0b0001_0000, (4000, 4000));
    assert!(is_undecodable(&riff(&[(*b"VP8X", &header), (*b"VP8L", &image)]), "webp"));
    let frame = fields(64, 64).into();
    assert!(is_undecodable(&webp_animation((16, 16), &[frame]), "webp"));
}

#[test]
fn a_chunk_that_claims_gigabytes_is_allocated_none() {
    let mut file = webp_chunks(&fields(16, 16).into(), &[(*b"EXIF", exif(1))]);
    let exif = memchr::memmem::find(&file, b"EXIF").unwrap();
    file[exif + 4..exif + 8].copy_from_slice(&[0xFE, 0xFF, 0xFF, 0xFF]);
    assert!(!matches!(drawn(&file, "webp"), Err(ThumbnailError::Io(_))));
}

/// One small file of each format, with everything that is read.
fn samples() -> Vec<(Vec<u8>, &'static str)> {
    let pieces = [(0xE1, exif(6)), (0xE2, icc_piece(1, 1, &profile(*b"RGB ", 200)))];
    let metadata = [(*b"ICCP", profile(*b"RGB ", 200)), (*b"EXIF", exif(6))];
    vec![
        (jpeg_with(&fields(40, 24).into(), &pieces), "jpeg"),
        (include_bytes!("../../../../tests/media/images/progressive.jpg").to_vec(), "jpeg"),
        (include_bytes!("../../../../tests/media/images/cmyk.jpg").to_vec(), "jpeg"),
        (png_with_profile(&fields(40, 24), &profile(*b"RGB ", 200)), "png"),
        (palette_png(20), "png"),
        (interlaced_png(&fields(21, 13)), "png"),
        (gif((64, 32), (16, 8, 32, 16), 2), "gif"),
        (webp_chunks(&half_clear(40, 24).into(), &metadata), "webp"),
        (webp_animation((40, 24), &[fields(20, 10).into()]), "webp"),
        (include_bytes!("../../../../tests/media/images/lossy.webp").to_vec(), "webp"),
        (include_bytes!("../../../../tests/media/pictures/alpha-best.webp").to_vec(), "webp"),
        (include_bytes!("../../../../tests/media/pictures/slopes-9.webp").to_vec(), "webp"),
        (include_bytes!("../../../../tests/media/pictures/few-9.webp").to_vec(), "webp"),
        (include_bytes!("../../../../tests/media/pictures/apart-1x1-2x2-2x2.jpg").to_vec(), "jpeg"),
        (
            include_bytes!("../../../../tests/media/pictures/restarts-2x2-1x1-1x1.jpg").to_vec(),
            "jpeg",
        ),
        (include_bytes!("../../../../tests/media/cases/apng_hidden_default.png").to_vec(), "png"),
    ]
}

#[test]
fn truncated_files_give_a_picture_or_an_error() {
    for (file, subtype) in samples() {
        assert!(drawn(&file, subtype).is_ok(), "{subtype}");
        for end in 0..file.len() {
            let answer = drawn(&file[..end], subtype);
            assert!(!matches!(answer, Err(ThumbnailError::Io(_) | ThumbnailError::Unsupported(_))));
        }
    }
}

#[test]
fn damaged_files_give_a_picture_or_an_error() {
    let mut noise = noise();
    for (file, subtype) in samples() {
        for _ in 0..300 {
            let mut changed = file.clone();
            for _ in 0..=noise() % 4 {
                let at = usize::from(noise()) << 8 | usize::from(noise());
                let at = at % changed.len();
                changed[at] = noise();
            }
            let answer = drawn(&changed, subtype);
            assert!(!matches!(answer, Err(ThumbnailError::Io(_) | ThumbnailError::Unsupported(_))));
        }
    }
}
