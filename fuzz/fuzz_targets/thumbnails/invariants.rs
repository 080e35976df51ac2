//! Owns what must hold for the picture drawn of any file, for the fuzz target and for the tests that replay its
//! corpus: it is small, can be decoded, and says nothing of where it comes from. What drawing may hold in memory,
//! the fuzzer's own limit watches.

use std::io::Cursor;

use haversack::media::privacy::EmbeddedMetadata;
use haversack::media::thumbnail::{MAX_SIDE, is_drawable, thumbnail};
use haversack::media::{MediaType, privacy, sniff};

/// One of each kind of decoder, for bytes that aren't sniffed as it.
const TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// An input is which type the file is taken for, and the file.
pub(crate) fn check(input: &[u8]) {
    let Some((kind, file)) = input.split_first() else { return };
    let media_type = match TYPES.get(usize::from(*kind)) {
        Some(essence) => MediaType::parse(essence).expect("a type"),
        None => sniff(file, None),
    };
    let Ok(picture) = thumbnail(Cursor::new(file), &media_type) else { return };
    assert!(is_drawable(&media_type));
    let sides = [picture.width, picture.height];
    assert!(sides.iter().all(|side| (1..=MAX_SIDE).contains(side)), "{sides:?}");
    assert!(["image/jpeg", "image/webp"].contains(&picture.media_type.essence()));
    assert_eq!(sniff(&picture.bytes, None), picture.media_type);
    let size = picture.bytes.len() as u64;
    let cleaning = privacy::cleaning(&mut Cursor::new(&picture.bytes), size, &picture.media_type);
    let said = cleaning.expect("memory can be read").metadata;
    assert_eq!(said, EmbeddedMetadata::None, "metadata in a thumbnail");
    let again = image::load_from_memory(&picture.bytes).expect("a picture");
    assert_eq!([again.width(), again.height()], sides);
}
