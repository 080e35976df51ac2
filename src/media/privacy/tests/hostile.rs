//! Truncated and damaged files: patches stay within them, and a second plan finds nothing.

use std::path::Path;

use super::{apply, plan};
use crate::media::sniff;

/// The files of `tests/media/make-gps.sh` with their types. Those twice as long as others would add nothing.
fn fixtures() -> Vec<(String, String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/gps");
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let read = |entry: std::fs::DirEntry| {
        let bytes = std::fs::read(entry.path()).unwrap();
        let media_type = sniff(&bytes, None).as_str().to_owned();
        (entry.file_name().into_string().unwrap(), media_type, bytes)
    };
    let fixtures: Vec<_> = entries.map(read).collect();
    assert!(!fixtures.is_empty());
    fixtures
}

/// Patches are sorted and within the file, and a second cleaning changes nothing.
fn check(name: &str, media_type: &str, bytes: &[u8]) {
    let first = plan(bytes, media_type);
    let mut end = 0;
    for patch in &first {
        assert!(patch.offset >= end && patch.end() > patch.offset, "{name}: {first:?}");
        end = patch.end();
    }
    assert!(end <= bytes.len() as u64, "{name}: {first:?}");
    let second = plan(&apply(bytes, &first), media_type);
    assert!(second.is_empty(), "{name}: {first:?}, then {second:?}");
}

#[test]
fn files_may_be_cut_anywhere() {
    for (name, media_type, bytes) in fixtures() {
        // Every length within the headers, and a sample of the rest.
        let cuts = (0..bytes.len()).filter(|cut| *cut < 2500 || cut % 7 == 0);
        for cut in cuts {
            check(&format!("{name} cut at {cut}"), &media_type, &bytes[..cut]);
        }
    }
}

#[test]
fn files_may_be_damaged_anywhere() {
    // Xorshift (Marsaglia 2003): the same damage in every run.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    for (name, media_type, bytes) in fixtures() {
        for round in 0..1500 {
            let mut damaged = bytes.clone();
            for _ in 0..=random(4) {
                let at = random(damaged.len());
                damaged[at] = match random(3) {
                    0 => 0xFF,
                    1 => 0,
                    _ => u8::try_from(random(256)).unwrap(),
                };
            }
            check(&format!("{name}, round {round}"), &media_type, &damaged);
        }
    }
}
