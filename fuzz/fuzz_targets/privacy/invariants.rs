//! Owns what must hold for what is planned of any file, for the fuzz target and for the tests that replay its
//! corpus: patches are in order and within the file, and planning for the patched file gives nothing.

use std::io::Cursor;

use haversack::media::privacy::patches;
use haversack::media::{MediaType, sniff};
use haversack::storage::Patch;

/// An input is a file.
pub(crate) fn check(file: &[u8]) {
    let media_type = sniff(file, None);
    let mut patched = file.to_vec();
    let mut end = 0;
    for patch in plan(file, &media_type) {
        assert!(patch.offset >= end && patch.end() > patch.offset, "in order");
        end = patch.end();
        let place = &mut patched[at(patch.offset)..at(end)];
        let (start, zeros) = place.split_at_mut(patch.bytes.len());
        start.copy_from_slice(&patch.bytes);
        zeros.fill(0);
    }
    assert_eq!(plan(&patched, &media_type), [], "nothing is left");
}

fn plan(file: &[u8], media_type: &MediaType) -> Vec<Patch> {
    patches(&mut Cursor::new(file), file.len() as u64, media_type).expect("memory can be read")
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).expect("within memory")
}
