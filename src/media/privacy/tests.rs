//! Small files made by hand, for what no real one shows.

mod hostile;
mod iso;
mod items;
mod jpeg;
mod png;
mod webp;

use std::io::Cursor;

use super::{Patch, exif, is_handled, patches};
use crate::media::MediaType;

fn plan(bytes: &[u8], media_type: &str) -> Vec<Patch> {
    let media_type = MediaType::parse(media_type).unwrap();
    patches(&mut Cursor::new(bytes), bytes.len() as u64, &media_type).unwrap()
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

/// The file after its patches.
fn patched(bytes: &[u8], media_type: &str) -> Vec<u8> {
    apply(bytes, &plan(bytes, media_type))
}

/// A TIFF of an orientation, and something to hide behind it.
fn tiff(orientation: u8) -> Vec<u8> {
    [exif::minimal(orientation).as_slice(), b"a secret"].concat()
}

/// The same without the secret.
fn turned(orientation: u8) -> Vec<u8> {
    [exif::minimal(orientation).as_slice(), &[0; 8]].concat()
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
    let error = patches(&mut Cursor::new(b"\xFF\xD8\xFF"), 100, &media_type).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}
