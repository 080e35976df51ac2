//! Files that say where, when, by whom and with what they were made, after cleaning: judged by exiftool, ffmpeg,
//! libheif and webpmux of Debian. `tests/media/make-gps.sh` makes the files.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use haversack::media::MediaType;
use haversack::media::privacy::cleaning;
use tempfile::TempDir;

use super::{apply, plan};

/// The files as they were made, and cleaned, in one folder each.
struct Fixtures {
    all: Vec<Fixture>,
    folder: TempDir,
}

/// A file, and its cleaned version.
struct Fixture {
    name: String,
    before: Vec<u8>,
    after: Vec<u8>,
    folder: PathBuf,
}

impl Fixtures {
    fn read() -> Self {
        let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/gps");
        let entries = fs::read_dir(&made).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names.len(), 17, "{names:?}");
        let folder = TempDir::new().unwrap();
        for when in ["before", "after"] {
            fs::create_dir(folder.path().join(when)).unwrap();
        }
        let read = |name| Fixture::read(&made, folder.path(), name);
        Self { all: names.into_iter().map(read).collect(), folder }
    }

    fn one(&self, name: &str) -> &Fixture {
        self.all.iter().find(|fixture| fixture.name == name).unwrap()
    }

    /// What exiftool finds, including unknown tags and those of embedded files.
    fn tags(&self, when: &str) -> Vec<(&Fixture, Vec<Tag>)> {
        let folder = self.folder.path().join(when);
        let found = exiftool(&["-a", "-G1", "-s", "-ee", "-u"], &folder);
        let found = String::from_utf8_lossy(&found).into_owned();
        let of = |fixture: &Fixture| -> Vec<Tag> {
            let headed = |part: &&str| part.lines().next().unwrap().ends_with(&fixture.name);
            let part = found.split("======== ").filter(|part| !part.is_empty()).find(headed);
            part.unwrap().lines().filter_map(Tag::parse).collect()
        };
        self.all.iter().map(|fixture| (fixture, of(fixture))).collect()
    }

    /// The tags of the files for which `is` returns true.
    fn tags_that(&self, when: &str, is: fn(&Tag) -> bool) -> Vec<(&str, Vec<Tag>)> {
        let found = self.tags(when).into_iter();
        found.map(|(f, tags)| (&*f.name, tags.into_iter().filter(is).collect())).collect()
    }
}

impl Fixture {
    fn read(made: &Path, folder: &Path, name: String) -> Self {
        let before = fs::read(made.join(&name)).unwrap();
        let after = apply(&before, &plan(&before));
        let fixture = Self { name, before, after, folder: folder.to_owned() };
        fs::write(fixture.path("before"), &fixture.before).unwrap();
        fs::write(fixture.path("after"), &fixture.after).unwrap();
        fixture
    }

    fn path(&self, when: &str) -> PathBuf {
        self.folder.join(when).join(&self.name)
    }

    fn ends_in(&self, endings: &[&str]) -> bool {
        endings.iter().any(|ending| self.name.ends_with(ending))
    }

    /// Digests of everything that is decoded, with times.
    fn decoded(&self, when: &str) -> String {
        let path = self.path(when);
        if self.ends_in(&[".heic", ".avif"]) {
            let out = self.folder.join(format!("{when}-{}.png", self.name));
            run("heif-convert", "libheif-examples", &[&path, &out].map(|p| p.to_str().unwrap()));
            return frames(&out);
        }
        if self.name == "animated.webp" {
            // ffmpeg in Debian 12 decodes only single frames.
            let get = |number: &str| {
                let out = self.folder.join(format!("{when}-{number}.webp"));
                let (path, out_name) = (path.to_str().unwrap(), out.to_str().unwrap());
                run("webpmux", "webp", &["-get", "frame", number, path, "-o", out_name]);
                frames(&out)
            };
            return ["1", "2", "3"].map(get).concat();
        }
        frames(&path)
    }
}

/// The output of a tool. The test fails if the tool is missing.
fn run(tool: &str, package: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(tool).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{tool}, of Debian's {package}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {errors}");
    output.stdout
}

pub(super) fn exiftool(arguments: &[&str], path: &Path) -> Vec<u8> {
    let arguments = [arguments, &[path.to_str().unwrap()]].concat();
    run("exiftool", "libimage-exiftool-perl", &arguments)
}

fn frames(path: &Path) -> String {
    let path = path.to_str().unwrap();
    let arguments = ["-v", "error", "-i", path, "-map", "0:v?", "-map", "0:a?"];
    let out = run("ffmpeg", "ffmpeg", &[arguments.as_slice(), &["-f", "framemd5", "-"]].concat());
    let out = String::from_utf8(out).unwrap();
    assert!(out.lines().any(|line| !line.starts_with('#')), "{path}: {out}");
    out
}

#[derive(Debug, PartialEq)]
struct Tag {
    group: String,
    name: String,
    value: String,
}

impl Tag {
    /// A line such as `[IFD0]          Orientation                     : Rotate 90 CW`.
    fn parse(line: &str) -> Option<Self> {
        let (group, rest) = line.strip_prefix('[')?.split_once(']')?;
        let (name, value) = rest.split_once(':')?;
        let [group, name, value] = [group, name, value].map(|text| text.trim().to_owned());
        // Leaves out the tool's own tags and those of the file system; the dates of a profile stay with it.
        let foreign = group == "System" || name == "ExifToolVersion";
        (!foreign && !group.starts_with("ICC")).then_some(Self { group, name, value })
    }

    fn is_of_place(&self) -> bool {
        ["GPS", "Location"].iter().any(|part| self.name.contains(part))
    }

    fn is_of_turning(&self) -> bool {
        ["Orientation", "Rotation"].contains(&&*self.name)
    }

    /// Except those that report an empty segment as unknown.
    fn is_warning(&self) -> bool {
        ["Warning", "Error"].contains(&&*self.name)
            && !self.value.starts_with("[minor] Unknown APP")
    }

    fn is_identifying(&self) -> bool {
        const GROUPS: [&str; 13] = [
            "XMP",
            "IPTC",
            "Photoshop",
            "ExifIFD",
            "GPS",
            "IFD1",
            "UserData",
            "Keys",
            "ItemList",
            "APP",
            "Samsung",
            "JUMBF",
            "GoPro",
        ];
        const NAMES: [&str; 17] = [
            "Make",
            "Model",
            "Software",
            "Serial",
            "Owner",
            "Artist",
            "Author",
            "Creator",
            "Copyright",
            "Comment",
            "Thumbnail",
            "Title",
            "Description",
            "Keywords",
            "Trailer",
            "UniqueID",
            "Location",
        ];
        const NEVER: [&str; 3] = ["HandlerDescription", "CompressorName", "SampleGroupDescription"];
        let dated = self.name.contains("Date") && !self.value.starts_with("0000");
        self.is_of_place()
            || GROUPS.iter().any(|group| self.group.starts_with(group))
            || NAMES.iter().any(|part| self.name.contains(part)) && !NEVER.contains(&&*self.name)
            || (self.group == "IFD0" && self.name != "Orientation")
            || dated
            || self.value.contains("PLANTED")
    }
}

#[test]
fn the_files_say_where_they_were_made() {
    for (name, places) in Fixtures::read().tags_that("before", Tag::is_of_place) {
        assert_ne!(places, [], "{name}");
    }
}

#[test]
fn exiftool_finds_nothing_identifying_afterwards() {
    for (name, left) in Fixtures::read().tags_that("after", Tag::is_identifying) {
        assert_eq!(left, [], "{name}");
    }
}

#[test]
fn exiftool_finds_nothing_wrong_afterwards() {
    for (name, wrong) in Fixtures::read().tags_that("after", Tag::is_warning) {
        assert_eq!(wrong, [], "{name}");
    }
}

#[test]
fn no_planted_byte_is_left() {
    let planted = |bytes: &[u8]| {
        bytes.windows(7).filter(|part| *part == b"PLANTED").count()
            + bytes
                .windows(6)
                .filter(|part| [b"52.520", b"+52.52"].map(|p| p == part).contains(&true))
                .count()
    };
    for fixture in Fixtures::read().all {
        assert_ne!(planted(&fixture.before), 0, "{}", fixture.name);
        assert_eq!(planted(&fixture.after), 0, "{}", fixture.name);
    }
}

#[test]
fn pictures_stay_the_right_way_up() {
    let fixtures = Fixtures::read();
    let before = fixtures.tags_that("before", Tag::is_of_turning);
    for (name, turned) in &before {
        let is_clip = fixtures.one(name).ends_in(&[".mp4", ".mov", ".m4a", ".3gp"]);
        let is_turned = turned.iter().any(|tag| tag.name == "Orientation");
        assert_ne!(is_turned, is_clip, "{name}");
    }
    assert_eq!(before, fixtures.tags_that("after", Tag::is_of_turning));
}

#[test]
fn colour_profiles_stay() {
    let fixtures = Fixtures::read();
    let profiles = |when: &str| -> Vec<String> {
        let found =
            exiftool(&["-q", "-j", "-b", "-ICC_Profile"], &fixtures.folder.path().join(when));
        let found = String::from_utf8(found).unwrap();
        found.lines().filter(|line| line.contains("base64:")).map(str::to_owned).collect()
    };
    let before = profiles("before");
    assert_eq!(before.len(), 6, "{before:?}");
    assert_eq!(before, profiles("after"));
}

#[test]
fn decoding_gives_the_same() {
    for fixture in Fixtures::read().all {
        assert_eq!(fixture.decoded("before"), fixture.decoded("after"), "{}", fixture.name);
    }
}

#[test]
fn a_second_picture_decodes_to_the_same() {
    let fixtures = Fixtures::read();
    let fixture = fixtures.one("everything.jpg");
    let second = |when: &str| {
        let out = fixture.folder.join(format!("{when}-second.jpg"));
        fs::write(&out, exiftool(&["-b", "-MPImage2"], &fixture.path(when))).unwrap();
        frames(&out)
    };
    assert_eq!(second("before"), second("after"));
}

#[test]
fn the_clip_of_a_motion_photo_still_plays() {
    let fixtures = Fixtures::read();
    let fixture = fixtures.one("motion.jpg");
    let clip = |bytes: &[u8], when: &str| {
        let start = bytes.windows(4).position(|four| four == b"ftyp").unwrap() - 4;
        let out = fixture.folder.join(format!("{when}.mp4"));
        fs::write(&out, &bytes[start..]).unwrap();
        frames(&out)
    };
    assert_eq!(clip(&fixture.before, "before"), clip(&fixture.after, "after"));
}

#[test]
fn a_second_plan_is_empty() {
    for fixture in Fixtures::read().all {
        assert_eq!(plan(&fixture.after), [], "{}", fixture.name);
    }
}

#[test]
fn what_has_no_planner_stays() {
    let fixtures = Fixtures::read();
    let bytes = &fixtures.one("exif.jpg").before;
    let media_type = MediaType::parse("image/gif").unwrap();
    let cleaning = cleaning(&mut Cursor::new(bytes), bytes.len() as u64, &media_type).unwrap();
    assert_eq!(cleaning.patches, []);
}
