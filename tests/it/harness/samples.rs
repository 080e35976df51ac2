//! The first bytes of files of many kinds: as much as telling their type takes.

/// A picture.
pub(crate) fn jpeg() -> Vec<u8> {
    padded(b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
}

/// Another picture.
pub(crate) fn png() -> Vec<u8> {
    padded(b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0")
}

/// A film.
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
