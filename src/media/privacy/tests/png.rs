//! PNG chunks and their CRCs.

use super::{patched, plan, tiff, turned, turning_packet};

fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    let crc = crc32fast::hash(&[kind, data].concat()).to_be_bytes();
    [&length, kind, data, &crc].concat()
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let start = [b"\x89PNG\r\n\x1A\n".to_vec(), chunk(b"IHDR", &[1; 13])].concat();
    let end = [chunk(b"IDAT", b"pixels"), chunk(b"IEND", b"")].concat();
    [start, chunks.concat(), end].concat()
}

fn becomes(before: &[Vec<u8>], after: &[Vec<u8>]) {
    assert_eq!(patched(&file(before), "image/png"), file(after));
}

#[test]
fn only_the_orientation_stays_of_exif() {
    becomes(&[chunk(b"eXIf", &tiff(6))], &[chunk(b"eXIf", &turned(6))]);
}

#[test]
fn a_wrong_crc_stays_wrong() {
    let mut before = chunk(b"eXIf", &tiff(6));
    *before.last_mut().unwrap() ^= 1;
    let mut after = chunk(b"eXIf", &turned(6));
    let crc = after.len() - 4..;
    after[crc].iter_mut().for_each(|byte| *byte = !*byte);
    becomes(&[before], &[after]);
}

#[test]
fn exif_without_orientation_becomes_void() {
    becomes(&[chunk(b"eXIf", &tiff(0))], &[chunk(b"voId", &[0; 34])]);
    becomes(&[chunk(b"eXIf", &tiff(6)[..24])], &[chunk(b"voId", &[0; 24])]);
}

#[test]
fn xmp_that_pictures_need_stays() {
    let (before, after) = turning_packet("a:b='secret'");
    let text = |packet: &[u8]| [b"XML:com.adobe.xmp\0\0\0\0\0", packet].concat();
    becomes(&[chunk(b"iTXt", &text(&before))], &[chunk(b"iTXt", &text(&after))]);
}

#[test]
fn texts_times_and_unknown_chunks_become_void() {
    for kind in [b"tEXt", b"zTXt", b"iTXt", b"tIME", b"caBX", b"dSIG", b"prVt"] {
        becomes(&[chunk(kind, b"secret")], &[chunk(b"voId", &[0; 6])]);
    }
}

#[test]
fn critical_colour_and_animation_chunks_stay() {
    for kind in [b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP", b"tRNS", b"fcTL", b"fdAT", b"PLTE"] {
        becomes(&[chunk(kind, b"any")], &[chunk(kind, b"any")]);
    }
}

#[test]
fn bytes_after_the_end_are_zeroed() {
    let before = [file(&[]), b"cropped".to_vec()].concat();
    assert_eq!(patched(&before, "image/png"), [file(&[]), vec![0; 7]].concat());
}

#[test]
fn a_truncated_chunk_is_zeroed_up_to_the_end() {
    let start = b"\x89PNG\r\n\x1A\n";
    let before = [start.as_slice(), b"\0\0\xFF\xFFtEXtsecret"].concat();
    let after = patched(&before, "image/png");
    assert_eq!(after, [start.as_slice(), b"\0\0\xFF\xFFvoId\0\0\0\0\0\0"].concat());
}

#[test]
fn an_invalid_chunk_ends_the_plan() {
    for broken in [b"\0\0\0\x01t\0XtsCRCC", b"\x80\0\0\x01tEXtsCRCC"] {
        let before = [b"\x89PNG\r\n\x1A\n".as_slice(), broken, &chunk(b"tEXt", b"secret")].concat();
        assert_eq!(plan(&before, "image/png"), []);
    }
}
