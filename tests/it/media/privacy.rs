//! Files that say where, when, by whom and with what they were made, patched: judged by exiftool, ffmpeg, libheif and
//! webpmux of Debian. The files are `tests/media/make-gps.sh`'s.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use haversack::media::privacy::{Patch, patches};
use haversack::media::{MediaType, sniff};
use tempfile::TempDir;

/// One of the files, and what the plan makes of it.
struct Fixture {
    name: String,
    before: Vec<u8>,
    after: Vec<u8>,
    folder: TempDir,
}

impl Fixture {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/gps");
        let mut names: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 17, "{names:?}");
        names.into_iter().map(|name| Self::read(&folder, name)).collect()
    }

    fn one(name: &str) -> Self {
        Self::all().into_iter().find(|fixture| fixture.name == name).unwrap()
    }

    fn read(folder: &Path, name: String) -> Self {
        let before = fs::read(folder.join(&name)).unwrap();
        let after = apply(&before, &plan(&before));
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("before")).unwrap();
        fs::create_dir(folder.path().join("after")).unwrap();
        fs::write(folder.path().join("before").join(&name), &before).unwrap();
        fs::write(folder.path().join("after").join(&name), &after).unwrap();
        Self { name, before, after, folder }
    }

    fn path(&self, when: &str) -> PathBuf {
        self.folder.path().join(when).join(&self.name)
    }

    fn ends_in(&self, endings: &[&str]) -> bool {
        endings.iter().any(|ending| self.name.ends_with(ending))
    }

    /// What exiftool finds, unknown tags and those of embedded files included.
    fn tags(&self, when: &str) -> Vec<Tag> {
        let path = self.path(when);
        let found = exiftool(&["-a", "-G1", "-s", "-ee", "-u", path.to_str().unwrap()]);
        String::from_utf8_lossy(&found).lines().filter_map(Tag::parse).collect()
    }

    /// Digests of all that is decoded, with times.
    fn decoded(&self, when: &str) -> String {
        let path = self.path(when);
        if self.ends_in(&[".heic", ".avif"]) {
            let out = self.folder.path().join(format!("{when}.png"));
            run("heif-convert", "libheif-examples", &[&path, &out].map(|p| p.to_str().unwrap()));
            return frames(&out);
        }
        if self.name == "animated.webp" {
            // ffmpeg of Debian 12 decodes single frames only.
            let get = |number: &str| {
                let out = self.folder.path().join(format!("{when}-{number}.webp"));
                let (path, out_name) = (path.to_str().unwrap(), out.to_str().unwrap());
                run("webpmux", "webp", &["-get", "frame", number, path, "-o", out_name]);
                frames(&out)
            };
            return ["1", "2", "3"].map(get).concat();
        }
        frames(&path)
    }
}

fn plan(bytes: &[u8]) -> Vec<Patch> {
    let media_type = sniff(bytes, None);
    patches(&mut Cursor::new(bytes), bytes.len() as u64, &media_type).unwrap()
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

/// What a tool prints; a test without its tool fails.
fn run(tool: &str, package: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(tool).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{tool}, of Debian's {package}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {errors}");
    output.stdout
}

fn exiftool(arguments: &[&str]) -> Vec<u8> {
    run("exiftool", "libimage-exiftool-perl", arguments)
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
        // What of the tool and the file system is in between; a profile's own dates stay with it.
        let foreign = group == "System" || name == "ExifToolVersion";
        (!foreign && !group.starts_with("ICC")).then_some(Self { group, name, value })
    }

    fn is_of_place(&self) -> bool {
        ["GPS", "Location"].iter().any(|part| self.name.contains(part))
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
    for fixture in Fixture::all() {
        let tags = fixture.tags("before");
        assert!(tags.iter().any(Tag::is_of_place), "{}: {tags:?}", fixture.name);
    }
}

#[test]
fn exiftool_finds_nothing_identifying_afterwards() {
    for fixture in Fixture::all() {
        let tags = fixture.tags("after");
        let left: Vec<_> = tags.iter().filter(|tag| tag.is_identifying()).collect();
        assert!(left.is_empty(), "{}: {left:#?}", fixture.name);
    }
}

#[test]
fn exiftool_finds_nothing_wrong_afterwards() {
    for fixture in Fixture::all() {
        let tags = fixture.tags("after");
        // An empty segment is named as unknown, no more.
        let empty = |tag: &Tag| tag.value.starts_with("[minor] Unknown APP");
        let wrong: Vec<_> = tags
            .iter()
            .filter(|tag| ["Warning", "Error"].contains(&&*tag.name) && !empty(tag))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", fixture.name);
    }
}

#[test]
fn no_planted_byte_is_left() {
    let planted = |bytes: &[u8]| {
        bytes.windows(7).filter(|part| *part == b"PLANTED").count()
            + bytes
                .windows(6)
                .filter(|part| [*b"52.520", *b"+52.52"].iter().any(|place| place == part))
                .count()
    };
    for fixture in Fixture::all() {
        assert_ne!(planted(&fixture.before), 0, "{}", fixture.name);
        assert_eq!(planted(&fixture.after), 0, "{}", fixture.name);
    }
}

#[test]
fn pictures_stay_the_right_way_up() {
    for fixture in Fixture::all() {
        let turned = |when| -> Vec<Tag> {
            let tags = fixture.tags(when).into_iter();
            tags.filter(|tag| ["Orientation", "Rotation"].contains(&&*tag.name)).collect()
        };
        let is_picture = !fixture.ends_in(&[".mp4", ".mov", ".m4a", ".3gp"]);
        assert_eq!(turned("before").iter().any(|tag| tag.name == "Orientation"), is_picture);
        assert_eq!(turned("before"), turned("after"), "{}", fixture.name);
    }
}

#[test]
fn colour_profiles_stay() {
    let profile = |path: &Path| exiftool(&["-b", "-ICC_Profile", path.to_str().unwrap()]);
    let mut profiles = 0;
    for fixture in Fixture::all() {
        let before = profile(&fixture.path("before"));
        profiles += usize::from(!before.is_empty());
        assert_eq!(before, profile(&fixture.path("after")), "{}", fixture.name);
    }
    assert_eq!(profiles, 6);
}

#[test]
fn decoding_gives_the_same() {
    for fixture in Fixture::all() {
        assert_eq!(fixture.decoded("before"), fixture.decoded("after"), "{}", fixture.name);
    }
}

#[test]
fn a_second_picture_decodes_to_the_same() {
    let fixture = Fixture::one("everything.jpg");
    let second = |when: &str| {
        let out = fixture.folder.path().join(format!("{when}-second.jpg"));
        let path = fixture.path(when);
        fs::write(&out, exiftool(&["-b", "-MPImage2", path.to_str().unwrap()])).unwrap();
        frames(&out)
    };
    assert_eq!(second("before"), second("after"));
}

#[test]
fn the_clip_of_a_motion_photo_still_plays() {
    let fixture = Fixture::one("motion.jpg");
    let clip = |bytes: &[u8], when: &str| {
        let start = bytes.windows(4).position(|four| four == b"ftyp").unwrap() - 4;
        let out = fixture.folder.path().join(format!("{when}.mp4"));
        fs::write(&out, &bytes[start..]).unwrap();
        frames(&out)
    };
    assert_eq!(clip(&fixture.before, "before"), clip(&fixture.after, "after"));
}

#[test]
fn a_second_plan_is_empty() {
    for fixture in Fixture::all() {
        assert_eq!(plan(&fixture.after), [], "{}", fixture.name);
    }
}

#[test]
fn what_has_no_planner_stays() {
    let fixture = Fixture::one("exif.jpg");
    let size = fixture.before.len() as u64;
    let media_type = MediaType::parse("image/gif").unwrap();
    assert_eq!(patches(&mut Cursor::new(&fixture.before), size, &media_type).unwrap(), []);
}
