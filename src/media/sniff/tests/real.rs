//! Properties of real files: legacy encodings, raw photos, unusual beginnings.

use super::*;

#[test]
fn texts_in_old_encodings_are_texts() {
    let unmarked = |text: &str, bytes: fn(u16) -> [u8; 2]| utf16(text, bytes)[2..].to_vec();
    check(&[
        (b"caf\xe9 noir".to_vec(), "a.txt", "text/plain;charset=windows-1252"),
        (b"Stra\xdfe;Ort\r\nM\xfcller;K\xf6ln\r\n".to_vec(), "a.csv", "text/csv"),
        (
            b"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd".to_vec(),
            "a.txt",
            "text/plain;charset=shift_jis",
        ),
        (b"\x96\xbc\x91O,\x8fZ\x8f\x8a\r\n".to_vec(), "a.csv", "text/csv"),
        (
            b"\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0".to_vec(),
            "a.txt",
            "text/plain;charset=windows-1251",
        ),
        (unmarked("a;b\r\n1;2\r\n", u16::to_le_bytes), "a.csv", "text/csv"),
        (unmarked("hello", u16::to_be_bytes), "a.txt", "text/plain;charset=utf-16be"),
        // Markup is markup in any encoding.
        (b"<p>caf\xe9</p>".to_vec(), "a.txt", "text/html"),
        (unmarked("<script>", u16::to_le_bytes), "a.txt", "text/html"),
        // Bytes that aren't valid in any encoding aren't text.
        (b"caf\xe9\x01".to_vec(), "a.txt", OCTETS),
        (b"caf\xe9\xff\x7f".to_vec(), "a.csv", OCTETS),
        (b"a\0b\0c\0\x01\0".to_vec(), "a.txt", OCTETS),
        (b"\xe9\0\xe9\xe9".to_vec(), "a.txt", OCTETS),
    ]);
}

#[test]
fn a_letter_cut_in_two_by_the_heads_end_is_no_error() {
    for shift in 0..2 {
        let text = join(&[&b"x"[..shift], &b"\x82\xb1\x82\xf1".repeat(SNIFF_LEN)]);
        assert_eq!(told(&text, "a.txt"), "text/plain;charset=shift_jis");
    }
}

/// The first directory of a TIFF: tags with numbers, and a manufacturer.
fn tiff(tags: &[(u16, u32)], make: &str) -> Vec<u8> {
    let count = u16::try_from(tags.len() + 1).unwrap();
    let end = u32::from(count) * 12 + 14;
    let mut file = join(&[b"II*\0\x08\0\0\0", &count.to_le_bytes()]);
    for (tag, value) in tags.iter().chain([&(0x010F, end)]) {
        file.extend(join(&[&tag.to_le_bytes(), &[4, 0, 1, 0, 0, 0], &value.to_le_bytes()]));
    }
    padded(&join(&[&file, &[0; 4], make.as_bytes()]))
}

#[test]
fn raw_photos_have_their_own_types() {
    let sub_directories = [(0x014A, 400)];
    check(&[
        (tiff(&[], "ACME"), "a.tif", "image/tiff"),
        (tiff(&[], "NIKON SCAN"), "a.tif", "image/tiff"),
        (tiff(&sub_directories, "NIKON CORPORATION"), "", "image/x-nikon-nef"),
        (tiff(&sub_directories, "SONY"), "a.jpg", "image/x-sony-arw"),
        (tiff(&[], "PENTAX"), "a.PEF", "image/x-pentax-pef"),
        (tiff(&[(0xC612, 1)], "SONY"), "a.arw", "image/x-adobe-dng"),
        (padded(b"II*\0\x10\0\0\0CR\x02\0"), "a.tif", "image/x-canon-cr2"),
        (padded(b"II+\0\x08\0\0\0\x10"), "a.dng", "image/tiff"),
        (padded(b"MM\0+\0\x08\0\0"), "", "image/tiff"),
        (padded(b"FUJIFILMCCD-RAW 0201FF"), "a.raf", "image/x-fuji-raf"),
        (padded(b"IIU\0\x18\0\0\0\x88\xe7\x74\xd8"), "a.rw2", "image/x-panasonic-rw2"),
        (padded(b"IIRO\x08\0\0\0"), "a.orf", "image/x-olympus-orf"),
        (padded(b"II*\0\xff\xff\xff\xff"), "a.tif", "image/tiff"),
    ]);
}

#[test]
fn files_modelled_on_real_ones_are_detected() {
    let case = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/media/cases/");
        std::fs::read(format!("{folder}{name}")).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    for (name, want) in [
        ("amr-wb.amr", "audio/amr-wb"),
        ("bigtiff.tif", "image/tiff"),
        ("jpeg-byte-between-segments.jpg", "image/jpeg"),
        ("jpeg-fill-before-first-marker.jpg", "image/jpeg"),
        ("jpeg-mjpeg-avi1-no-dht.jpg", "image/jpeg"),
        ("mov-begins-with-free.mov", "video/quicktime"),
        ("password-protected.xlsx", XLSX),
        ("sound.aifc", "audio/aiff"),
        ("windows-1252.csv", "text/csv"),
    ] {
        assert_eq!(told(&case(name), name), want, "{name}");
    }
}

#[test]
fn audio_may_start_within_a_frame() {
    let within = |sound: &[u8]| join(&[&[0; 37], sound, sound]);
    check(&[
        (within(&mp3()), "a.mp3", "audio/mpeg"),
        (within(&adts()), "", "audio/aac"),
        (within(&frames(&[0xFF, 0xFB, 0x90, 0x00], 418)), "a.mp3", OCTETS),
        (join(&[&[0; 37], &mp3(), &[0; 600]]), "a.mp3", OCTETS),
    ]);
}
