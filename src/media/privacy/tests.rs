//! Small files built by hand, for cases that no real file shows.

mod hostile;
mod iso;
mod items;
mod jpeg;
mod png;
mod webp;
mod xmp;

use std::io::Cursor;

use super::{Cleaning, EmbeddedMetadata, Patch, cleaning, is_handled};
use crate::media::MediaType;

fn clean(bytes: &[u8], media_type: &str) -> Cleaning {
    let media_type = MediaType::parse(media_type).unwrap();
    cleaning(&mut Cursor::new(bytes), bytes.len() as u64, &media_type).unwrap()
}

fn plan(bytes: &[u8], media_type: &str) -> Vec<Patch> {
    clean(bytes, media_type).patches
}

/// The state of the file's metadata after cleaning.
fn outcome(bytes: &[u8], media_type: &str) -> EmbeddedMetadata {
    clean(bytes, media_type).metadata
}

fn apply(bytes: &[u8], patches: &[Patch]) -> Vec<u8> {
    let at = |offset: u64| usize::try_from(offset).unwrap();
    let mut bytes = bytes.to_vec();
    for patch in patches {
        let (start, zeros) =
            bytes[at(patch.offset)..at(patch.end())].split_at_mut(patch.bytes.len());
        start.copy_from_slice(&patch.bytes);
        zeros.fill(0);
    }
    bytes
}

/// The file with its patches applied.
fn patched(bytes: &[u8], media_type: &str) -> Vec<u8> {
    apply(bytes, &plan(bytes, media_type))
}

/// A TIFF with an orientation, followed by a secret.
fn tiff(orientation: u8) -> Vec<u8> {
    [minimal(orientation).as_slice(), b"a secret"].concat()
}

/// The same without the secret.
fn turned(orientation: u8) -> Vec<u8> {
    [minimal(orientation).as_slice(), &[0; 8]].concat()
}

fn minimal(orientation: u8) -> [u8; 26] {
    let mut tiff = *b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
    tiff[19] = orientation;
    tiff
}

/// An XMP packet whose element has only these properties.
fn packet(attributes: &str, elements: &str) -> String {
    format!(
        "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\" x:xmptk=\"Adobe XMP Core 5.1.2\">\
         <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
         <rdf:Description rdf:about=\"\" {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
}

/// An XMP packet with an orientation, and what must be left of it.
fn turning_packet(secret: &str) -> (Vec<u8>, Vec<u8>) {
    let tiff = "xmlns:tiff=\"http://ns.adobe.com/tiff/1.0/\" tiff:Orientation=\"6\"";
    let with = |secret: &str, tool: &str| {
        packet(&format!("{tiff} {secret}"), "").replace("x:xmptk=\"Adobe XMP Core 5.1.2\"", tool)
    };
    let spaces = |text: &str| " ".repeat(text.len());
    let tool = "x:xmptk=\"Adobe XMP Core 5.1.2\"";
    (with(secret, tool).into_bytes(), with(&spaces(secret), &spaces(tool)).into_bytes())
}

#[test]
fn types_with_a_planner_are_handled() {
    for handled in ["image/jpeg", "image/png", "image/webp", "image/heic", "image/avif"] {
        assert!(is_handled(&MediaType::parse(handled).unwrap()), "{handled}");
    }
    for handled in ["video/mp4", "video/quicktime", "audio/mp4", "video/3gpp", "video/3gpp2"] {
        assert!(is_handled(&MediaType::parse(handled).unwrap()), "{handled}");
    }
    for other in ["image/gif", "image/tiff", "video/webm", "text/plain", "image/x-canon-cr3"] {
        assert!(!is_handled(&MediaType::parse(other).unwrap()), "{other}");
    }
}

#[test]
fn a_source_that_ends_early_is_an_error() {
    let media_type = MediaType::parse("image/jpeg").unwrap();
    let error = cleaning(&mut Cursor::new(b"\xFF\xD8\xFF"), 100, &media_type).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn the_state_of_the_metadata_is_reported() {
    let comment = b"\xFF\xD8\xFF\xFE\0\x04me\xFF\xD9";
    assert_eq!(outcome(comment, "image/jpeg"), EmbeddedMetadata::Removed);
    let cleaned = patched(comment, "image/jpeg");
    assert_eq!(outcome(&cleaned, "image/jpeg"), EmbeddedMetadata::None);
    assert_eq!(outcome(comment, "image/gif"), EmbeddedMetadata::Unknown);
    let broken_chunk = b"\x89PNG\r\n\x1A\n\0\0\0\x01t\0XtsCRCC";
    assert_eq!(
        outcome(broken_chunk, "image/png"),
        EmbeddedMetadata::Kept,
        "what follows isn't examined"
    );
}

#[test]
fn a_file_left_unchanged_keeps_its_metadata() {
    let omitted = |bytes: &[u8], media_type| {
        let omitted = clean(bytes, media_type).omitted();
        assert_eq!(omitted.patches, []);
        omitted.metadata
    };
    let comment = b"\xFF\xD8\xFF\xFE\0\x04me\xFF\xD9";
    assert_eq!(omitted(comment, "image/jpeg"), EmbeddedMetadata::Kept);
    assert_eq!(omitted(b"\xFF\xD8\xFF\xD9", "image/jpeg"), EmbeddedMetadata::None);
    assert_eq!(omitted(comment, "application/pdf"), EmbeddedMetadata::Unknown);
}
