//! Fixtures before and after their metadata was removed, decoded by today's decoders: `ci/decoders/compare.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::without_metadata;

/// The files that decoders read: those made for other tests too.
fn fixtures() -> Vec<PathBuf> {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media");
    ["durations", "gps", "images", "kept", "real", "samples"]
        .iter()
        .flat_map(|folder| fs::read_dir(media.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
#[ignore = "needs decoders that no Debian has: ci/test installs them, and says in HAVERSACK_DECODERS which Python finds them"]
fn files_decode_to_the_same_before_and_after() {
    let python = std::env::var_os("HAVERSACK_DECODERS").expect("HAVERSACK_DECODERS is set");
    let folder = tempfile::tempdir().unwrap();
    let [before, after] = ["before", "after"].map(|when| folder.path().join(when));
    fs::create_dir(&before).unwrap();
    fs::create_dir(&after).unwrap();
    for path in fixtures() {
        let mut name = path.parent().unwrap().file_name().unwrap().to_owned();
        name.push("-");
        name.push(path.file_name().unwrap());
        let bytes = fs::read(&path).unwrap();
        fs::write(after.join(&name), without_metadata(&bytes)).unwrap();
        fs::write(before.join(&name), bytes).unwrap();
    }
    let compare = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/decoders/compare.py");
    let status = Command::new(python).arg(compare).args([before, after]).status().unwrap();
    assert!(status.success(), "what differs is said above");
}
