//! Detects documents in archives.
//!
//! Decides what kind of zip or OLE2 file a file is: by its first entries if they show it, otherwise
//! by its name. Never decompresses anything.

use super::bytes::{bytes_at, find};
use crate::media::types::{DOCX, PPTX, XLSX};

const ZIP: &str = "application/zip";
const APK: &str = "application/vnd.android.package-archive";
const JAR: &str = "application/java-archive";
const DOCM: &str = "application/vnd.ms-word.document.macroenabled.12";
const XLSM: &str = "application/vnd.ms-excel.sheet.macroenabled.12";
const PPTM: &str = "application/vnd.ms-powerpoint.presentation.macroenabled.12";
const LOCAL: &[u8] = b"PK\x03\x04";

/// Types that a zip may declare in its first entry, uncompressed and named `mimetype`
/// (`OpenDocument` 1.3 part 2 section 3.3; EPUB OCF 3.3 section 4.3).
const DECLARED: &[&str] = &[
    "application/epub+zip",
    "application/vnd.oasis.opendocument.chart",
    "application/vnd.oasis.opendocument.formula",
    "application/vnd.oasis.opendocument.graphics",
    "application/vnd.oasis.opendocument.presentation",
    "application/vnd.oasis.opendocument.presentation-template",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.spreadsheet-template",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.text-template",
    "image/openraster",
];

/// Types by extension, for a zip whose entries don't show its type.
pub(super) const ZIP_BY_EXTENSION: &[(&str, &str)] = &[
    ("apk", APK),
    ("cbz", "application/vnd.comicbook+zip"),
    ("docm", DOCM),
    ("docx", DOCX),
    ("epub", "application/epub+zip"),
    ("jar", JAR),
    ("key", "application/vnd.apple.keynote"),
    ("kmz", "application/vnd.google-earth.kmz"),
    ("numbers", "application/vnd.apple.numbers"),
    ("odg", "application/vnd.oasis.opendocument.graphics"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("pages", "application/vnd.apple.pages"),
    ("pptm", PPTM),
    ("pptx", PPTX),
    ("xlsm", XLSM),
    ("xlsx", XLSX),
];

/// Types by extension for OLE2 files. Newer Office documents are OLE2 files if they are protected
/// by a password (MS-OFFCRYPTO section 2.3).
pub(super) const OLE_BY_EXTENSION: &[(&str, &str)] = &[
    ("doc", "application/msword"),
    ("docm", DOCM),
    ("docx", DOCX),
    ("dot", "application/msword"),
    ("msg", "application/vnd.ms-outlook"),
    ("msi", "application/x-msi"),
    ("pps", "application/vnd.ms-powerpoint"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptm", PPTM),
    ("pptx", PPTX),
    ("pub", "application/vnd.ms-publisher"),
    ("vsd", "application/vnd.visio"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsm", XLSM),
    ("xlsx", XLSX),
    ("xlt", "application/vnd.ms-excel"),
];

/// Detects a zip, and its type (PKWARE's APPNOTE 6.3 section 4.3.7).
pub(super) fn zip(head: &[u8], extension: &str) -> Option<&'static str> {
    // Archives that are split into volumes start with a marker before the first entry.
    let entries = head.strip_prefix(b"PK\x07\x08").unwrap_or(head);
    if entries.starts_with(b"PK\x05\x06") {
        return Some(ZIP);
    }
    if !entries.starts_with(LOCAL) {
        return None;
    }
    let by_name = by_extension(ZIP_BY_EXTENSION, extension);
    let mut seen = Seen::default();
    for (index, entry) in (Entries { rest: entries }).enumerate() {
        if index == 0 && entry.name == b"mimetype" {
            let content = entry.content.trim_ascii();
            if let Some(known) = DECLARED.iter().find(|d| d.as_bytes() == content) {
                return Some(known);
            }
        }
        seen.note(entry.name);
    }
    seen.kind(extension).or(by_name).or(Some(ZIP))
}

/// Detects an OLE2 compound file (MS-CFB section 2.2). Its directory may lie anywhere, so the name
/// decides on the type.
pub(super) fn ole(head: &[u8], extension: &str) -> Option<&'static str> {
    head.starts_with(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1])
        .then(|| by_extension(OLE_BY_EXTENSION, extension).unwrap_or("application/x-ole-storage"))
}

fn by_extension(
    table: &'static [(&'static str, &'static str)],
    extension: &str,
) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == extension).map(|(_, kind)| *kind)
}

/// What the names of a zip's entries reveal.
#[derive(Default)]
struct Seen {
    office: bool,
    folder: Option<&'static str>,
    manifest: bool,
    android: bool,
}

impl Seen {
    fn note(&mut self, name: &[u8]) {
        self.office |= name == b"[Content_Types].xml"
            || name.starts_with(b"_rels/.rels")
            || name.starts_with(b"docProps/");
        self.manifest |= name == b"META-INF/MANIFEST.MF";
        self.android |= name == b"AndroidManifest.xml" || name == b"classes.dex";
        let folders: [(&[u8], _); 3] = [(b"word/", DOCX), (b"xl/", XLSX), (b"ppt/", PPTX)];
        if let Some((_, kind)) = folders.iter().find(|(f, _)| name.starts_with(f)) {
            self.folder.get_or_insert(*kind);
        }
    }

    fn kind(&self, extension: &str) -> Option<&'static str> {
        // A folder called `word` is part of a document only if there are other parts of a document.
        if let (true, Some(kind)) = (self.office, self.folder) {
            let with_macros = match (kind, extension) {
                (DOCX, "docm") | (XLSX, "xlsm") | (PPTX, "pptm") => {
                    by_extension(ZIP_BY_EXTENSION, extension)
                }
                _ => None,
            };
            return with_macros.or(Some(kind));
        }
        if self.android {
            return Some(APK);
        }
        // Android packages have a Java manifest too, sometimes as the first entry.
        (self.manifest && extension != "apk").then_some(JAR)
    }
}

struct Entry<'a> {
    name: &'a [u8],
    content: &'a [u8],
}

/// Iterates over the local headers in a head. Every step advances by at least a header, so the
/// iteration ends.
struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (header, body) = self.rest.split_at_checked(30)?;
        if !header.starts_with(LOCAL) {
            return None;
        }
        let word = |at| bytes_at(header, at).map(u16::from_le_bytes).map(usize::from);
        let packed = u32::from_le_bytes(bytes_at(header, 18)?);
        let packed = usize::try_from(packed).unwrap_or(usize::MAX);
        let (name, body) = body.split_at_checked(word(26)?)?;
        let body = body.get(word(28)?..).unwrap_or_default();

        // The size of a streamed entry comes after it, so search for the next header.
        let is_streamed = word(6)? & 8 != 0 && packed == 0;
        let end = if is_streamed {
            find(body, b"PK").unwrap_or(body.len())
        } else {
            packed.min(body.len())
        };
        let (content, after) = body.split_at(end);
        self.rest = find(after, LOCAL).map_or(&[], |at| &after[at..]);
        Some(Entry { name, content })
    }
}
