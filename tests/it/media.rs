//! What is done with the bytes of media, judged by the tools that read them.

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

/// What is to be overwritten in a file, and what becomes of its metadata.
fn clean(bytes: &[u8]) -> Cleaning {
    let media_type = sniff(bytes, None);
    cleaning(&mut Cursor::new(bytes), bytes.len() as u64, &media_type).unwrap()
}

/// What is to be overwritten in a file.
pub(crate) fn plan(bytes: &[u8]) -> Vec<Patch> {
    clean(bytes).patches
}

/// Fails where a patch lies outside of the file.
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

/// A file as it is delivered: the same, but for what it says of where, when and by whom it was made.
pub(crate) fn without_metadata(bytes: &[u8]) -> Vec<u8> {
    apply(bytes, &plan(bytes))
}
