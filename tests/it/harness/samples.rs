//! Files of many kinds: small pictures, and the beginnings of others, long enough to detect their types.

/// A picture, 24 pixels wide and 16 high.
pub(crate) fn jpeg() -> Vec<u8> {
    include_bytes!("../../media/samples/picture.jpg").to_vec()
}

/// Another picture, 12 pixels wide and 20 high.
pub(crate) fn png() -> Vec<u8> {
    include_bytes!("../../media/samples/picture.png").to_vec()
}

/// Bytes that begin like a picture but aren't one.
pub(crate) const BROKEN_GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0;";

/// Width and height of a decodable picture.
pub(crate) fn dimensions(picture: &[u8]) -> (u32, u32) {
    let decoded = image::load_from_memory(picture).unwrap();
    (decoded.width(), decoded.height())
}

/// A video.
pub(crate) fn mp4() -> Vec<u8> {
    padded(b"\0\0\0\x18ftypisom\0\0\x02\0isommp42\0\0\0\x08free")
}

/// A document that may run scripts.
pub(crate) const SVG: &str = r#"<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>"#;

/// A page.
pub(crate) const HTML: &str = "<!doctype html><script>alert(1)</script>";

/// A document.
pub(crate) const PDF: &str = "%PDF-1.7\n%\u{e2}\u{e3}\n1 0 obj\n";

fn padded(start: &[u8]) -> Vec<u8> {
    [start, &[0; 200]].concat()
}
