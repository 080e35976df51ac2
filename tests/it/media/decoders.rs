//! Decodes fixtures with current decoders, before and after their metadata was removed: `ci/decoders/compare.py`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::without_metadata;

/// All fixtures that cleaning changes, including those for other tests: their bytes before and after.
fn cleaned() -> Vec<(PathBuf, [Vec<u8>; 2])> {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media");
    let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries(&media)
        .filter(|path| path.is_dir())
        .flat_map(|folder| entries(&folder).collect::<Vec<_>>())
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            let after = without_metadata(&bytes);
            (path, [bytes, after])
        })
        .filter(|(_, [before, after])| before != after)
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
    for (path, bytes) in cleaned() {
        let mut name = path.parent().unwrap().file_name().unwrap().to_owned();
        name.push("-");
        name.push(path.file_name().unwrap());
        for (folder, bytes) in [&before, &after].into_iter().zip(bytes) {
            fs::write(folder.join(&name), bytes).unwrap();
        }
    }
    let compare = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/decoders/compare.py");
    let status = Command::new(python).arg(compare).args([before, after]).status().unwrap();
    assert!(status.success(), "what differs is said above");
}
