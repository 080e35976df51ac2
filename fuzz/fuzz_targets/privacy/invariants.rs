//! Owns what must hold for what is planned of any file, for the fuzz target and for the tests that replay its
//! corpus: patches are in order and within the file, planning for the patched file gives nothing, and the file is
//! what it was. Type, tracks, duration and size of all files are compared by our own readers; pixels, orientation
//! and colour profile of JPEG, PNG and `WebP` by the decoders of `image`. No decoder is linked for the pixels of
//! HEIC and AVIF, and for films and sound: those `ci/decoders` compares, of the fixtures.

use std::io::Cursor;

use haversack::media::privacy::{Cleaning, EmbeddedMetadata, cleaning};
use haversack::media::{MediaType, probe, sniff};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

/// An input is a file.
pub(crate) fn check(file: &[u8]) {
    let media_type = sniff(file, None);
    let mut patched = file.to_vec();
    let mut end = 0;
    let first = clean(file, &media_type);
    if first.metadata != EmbeddedMetadata::Kept {
        let has_some = first.metadata == EmbeddedMetadata::Removed;
        assert_eq!(has_some, !first.patches.is_empty(), "what is told");
    }
    for patch in first.patches {
        assert!(patch.offset >= end && patch.end() > patch.offset, "in order");
        end = patch.end();
        let place = &mut patched[at(patch.offset)..at(end)];
        let (start, zeros) = place.split_at_mut(patch.bytes.len());
        start.copy_from_slice(&patch.bytes);
        zeros.fill(0);
    }
    assert_eq!(clean(&patched, &media_type).patches, [], "nothing is left");
    let facts = |file| probe(Cursor::new(file), patched.len() as u64, &media_type);
    assert_eq!(facts(file), facts(&patched), "what it is");
    let Some(format) = format(&media_type) else { return };
    if let Some(before) = decoded(file, format) {
        let after = decoded(&patched, format).expect("it is decoded as before");
        assert_eq!((after.1, &after.2), (before.1, &before.2), "its way up and its colours");
        assert!(after.0 == before.0, "its pixels");
    }
}

fn clean(file: &[u8], media_type: &MediaType) -> Cleaning {
    let cleaning = cleaning(&mut Cursor::new(file), file.len() as u64, media_type);
    cleaning.expect("memory can be read")
}

/// The formats that a decoder is linked for.
fn format(media_type: &MediaType) -> Option<ImageFormat> {
    Some(match media_type.essence() {
        "image/jpeg" => ImageFormat::Jpeg,
        "image/png" | "image/apng" | "image/vnd.mozilla.apng" => ImageFormat::Png,
        "image/webp" => ImageFormat::WebP,
        _ => return None,
    })
}

/// What a picture looks like: its pixels, which way up, in which colours.
fn decoded(
    file: &[u8],
    format: ImageFormat,
) -> Option<(DynamicImage, Orientation, Option<Vec<u8>>)> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(2048);
    limits.max_image_height = Some(2048);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (orientation, profile) = (decoder.orientation().ok()?, decoder.icc_profile().ok()?);
    Some((DynamicImage::from_decoder(decoder).ok()?, orientation, profile))
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("within memory")
}
