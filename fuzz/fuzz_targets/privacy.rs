//! Feeds arbitrary files to the privacy planner: what it plans is in order and within the file, and planning for
//! the patched file gives nothing. `tests/media/gps/` are good first inputs.
#![no_main]

use std::io::Cursor;

use haversack::media::privacy::patches;
use haversack::media::{MediaType, sniff};
use haversack::storage::Patch;

fn plan(file: &[u8], media_type: &MediaType) -> Vec<Patch> {
    patches(&mut Cursor::new(file), file.len() as u64, media_type).expect("memory can be read")
}

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let media_type = sniff(file, None);
    let mut patched = file.to_vec();
    let mut end = 0;
    for patch in plan(file, &media_type) {
        assert!(patch.offset >= end && patch.end() > patch.offset);
        end = patch.end();
        let (start, zeros) =
            patched[patch.offset as usize..end as usize].split_at_mut(patch.bytes.len());
        start.copy_from_slice(&patch.bytes);
        zeros.fill(0);
    }
    assert_eq!(plan(&patched, &media_type), []);
});
