//! Tests of media processing, judged by tools that read the files.

mod decoders;
mod delivered;
mod finalizing;
pub(crate) mod hostile;
mod kept;
mod privacy;

use std::io::Cursor;

use haversack::media::Patch;
use haversack::media::privacy::{Cleaning, cleaning};
use haversack::media::sniff;

/// The patches for a file, and the state of its metadata.
fn clean(bytes: &[u8]) -> Cleaning {
    let media_type = sniff(bytes, None);
    cleaning(&mut Cursor::new(bytes), bytes.len() as u64, &media_type).unwrap()
}

/// The patches for a file.
pub(crate) fn plan(bytes: &[u8]) -> Vec<Patch> {
    clean(bytes).patches
}

/// Applies patches. Fails if one lies outside the file.
fn apply(bytes: &[u8], patches: &[Patch]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for patch in patches {
        let place = &mut bytes[patch.offset as usize..patch.end() as usize];
        let (start, zeros) = place.split_at_mut(patch.bytes.len());
        start.copy_from_slice(&patch.bytes);
        zeros.fill(0);
    }
    bytes
}

/// A file as it is delivered: the same, but without what says where, when and by whom it was made.
pub(crate) fn without_metadata(bytes: &[u8]) -> Vec<u8> {
    apply(bytes, &plan(bytes))
}
