//! Metadata that must stay, because otherwise a file looks or sounds different. The files are made by
//! `tests/media/make-kept.sh` or, in `tests/media/real`, modelled on real ones.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::privacy::exiftool;
use super::without_metadata;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media").join(name)
}

fn fixtures(folder: &str) -> Vec<PathBuf> {
    fs::read_dir(fixture(folder)).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// What exiftool prints for a file, before and after.
fn tags(name: &str, arguments: &[&str]) -> [String; 2] {
    let before = fixture(name);
    let folder = TempDir::new().unwrap();
    let after = folder.path().join(before.file_name().unwrap());
    fs::write(&after, without_metadata(&fs::read(&before).unwrap())).unwrap();
    [&before, &after].map(|path| {
        let arguments = [&["-a", "-G1", "-s", "-ee"], arguments].concat();
        String::from_utf8(exiftool(&arguments, path)).unwrap()
    })
}

#[test]
fn no_planted_byte_is_left() {
    for path in [fixtures("kept"), fixtures("real")].concat() {
        let left = without_metadata(&fs::read(&path).unwrap());
        let found = left.windows(7).any(|part| part == b"PLANTED" || part == b"jane.do");
        assert!(!found, "{}", path.display());
    }
}

#[test]
fn a_gain_map_keeps_its_numbers_and_its_place() {
    let arguments = ["-XMP-hdrgm:all", "-XMP-GContainer:all", "-XMP-Container:all", "-MPF:all"];
    let [before, after] = tags("kept/gain-map.jpg", &arguments);
    assert_eq!(before.matches("hdrgm").count(), 1, "{before}");
    assert_eq!(before.matches("Container").count(), 5, "{before}");
    assert_eq!(before, after);
    let bytes = without_metadata(&fs::read(fixture("kept/gain-map.jpg")).unwrap());
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("hdrgm:GainMapMax=\"1.5\""), "the map's own");
}

#[test]
fn an_orientation_that_only_xmp_says_stays() {
    for kind in ["jpg", "png", "webp"] {
        let [before, after] =
            tags(&format!("kept/xmp-orientation.{kind}"), &["-XMP:all", "-IFD0:Orientation"]);
        let turned = "[XMP-tiff]      Orientation                     : Rotate 90 CW\n";
        assert!(before.contains(turned), "{kind}: {before}");
        assert_eq!(after, turned, "{kind}");
    }
}

#[test]
fn the_gaps_of_sound_stay_and_nothing_else_of_its_tags() {
    let gaps = "0 840 1CA 6978 0 0 0 0 0 0 0 0";
    let [before, after] = tags("kept/gaps.m4a", &["-ItemList:all", "-iTunes:all"]);
    assert!(before.contains("AppleStoreAccount") && before.contains(gaps), "{before}");
    assert_eq!(after, format!("[iTunes]        iTunSMPB                        : {gaps}\n"));
}

#[test]
fn a_tracks_handler_has_its_usual_name() {
    let [before, after] =
        tags("real/handler-name.mp4", &["-HandlerDescription", "-CompressorName"]);
    assert!(before.contains("jane.doe"), "{before}");
    assert_eq!(after, "[Track1]        HandlerDescription              : VideoHandler\n");
}
