//! The name of a file, as the recipient of a message sees it.
//!
//! Cleans the names that clients send. Knows nothing about paths and storage (a name never becomes a path), media
//! types, or how names are written into headers.
//!
//! Names are not normalized (NFC): the recipient should get a name as the sender wrote it, browsers and file systems
//! treat composed and decomposed forms as equal themselves, and the server never looks up a file by its name.

use std::fmt;

use unicode_segmentation::UnicodeSegmentation;

/// Maximum length of a name in bytes of UTF-8, as in common file systems.
pub const MAX_BYTES: usize = 255;

/// Maximum length in bytes of an extension, without its dot. Longer ones don't count as extensions, so they aren't kept
/// when a name is shortened.
pub const MAX_EXTENSION_BYTES: usize = 16;

/// What client code sends if it has no name: browsers send `blob` for a nameless `Blob`, and the others are JavaScript
/// values converted to text.
const NO_NAME: [&str; 3] = ["blob", "null", "undefined"];

/// The name of a file that was sent without one.
const DEFAULT_NAME: &str = "file";

/// A cleaned file name: not empty, a single line without hidden characters, at most [`MAX_BYTES`] long. Characters and
/// names that some systems don't allow (`who?.jpg`, `CON.txt`) are kept: the browser that saves the file replaces them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filename(String);

impl Filename {
    /// Cleans a name. Returns `None` if nothing is left that names a file.
    ///
    /// Only the last component of a path with `/` or `\` counts. Control characters, bidirectional controls, invisible
    /// characters and surrounding white space are removed, and long names are shortened before their extension.
    /// Everything else stays as it was sent. Cleaning a cleaned name changes nothing.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let component = raw.rsplit(['/', '\\']).next()?;
        let mut name = remove_hidden(component);
        trim_end(&mut name);
        if name.len() > MAX_BYTES {
            name = shorten(&name);
        }
        let is_only_dots = name.chars().all(|c| c == '.'); // `.` and `..` are special in paths
        if is_only_dots || NO_NAME.contains(&name.as_str()) {
            return None;
        }
        Some(Self(name))
    }

    /// Returns a name for a file that has none: `file.jpg` for `jpg`, otherwise `file`.
    #[must_use]
    pub fn made_up(extension: Option<&str>) -> Self {
        Self(DEFAULT_NAME.to_owned()).with_extension(extension)
    }

    /// Adds the extension if the name has none. An existing one is kept even if it differs, because the sender chose
    /// it.
    #[must_use]
    pub fn with_extension(self, extension: Option<&str>) -> Self {
        match extension {
            Some(new) if self.extension().is_none() && is_extension(new) => {
                Self::parse(&format!("{}.{new}", self.0)).unwrap_or(self)
            }
            _ => self,
        }
    }

    /// Returns the part after the last dot, in the sender's letter case, if it is at most [`MAX_EXTENSION_BYTES`] long
    /// and contains no white space (`Mr. Smith` has no extension).
    #[must_use]
    pub fn extension(&self) -> Option<&str> {
        split_extension(&self.0).map(|(_, extension)| extension)
    }

    /// Returns the name before its extension, or the whole name if there is none.
    #[must_use]
    pub fn stem(&self) -> &str {
        split_extension(&self.0).map_or(self.as_str(), |(stem, _)| stem)
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Filename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn split_extension(name: &str) -> Option<(&str, &str)> {
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty() && is_extension(extension)).then_some((stem, extension))
}

fn is_extension(text: &str) -> bool {
    (1..=MAX_EXTENSION_BYTES).contains(&text.len()) && !text.contains(char::is_whitespace)
}

/// Removes hidden characters, except those that writing systems need.
fn remove_hidden(component: &str) -> String {
    let mut out = String::with_capacity(component.len().min(2 * MAX_BYTES));
    let mut before = None;
    for c in component.chars() {
        if is_dropped(c) || !is_allowed_after(c, before) {
            continue;
        }
        out.push(c);
        before = Some(c);
    }
    out
}

/// Whether a character is always removed, because it hides, reorders or ends the text.
fn is_dropped(c: char) -> bool {
    // C0, DEL and C1.
    c.is_control()
        || matches!(c,
            // Marks, embeddings, overrides and isolates, which can reverse `gpj.exe`.
            '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Soft hyphen, grapheme joiner, zero-width space, word joiner, invisible operators, deprecated format
            // characters, byte order mark.
            | '\u{AD}' | '\u{34F}' | '\u{200B}' | '\u{2060}'..='\u{2065}'
            | '\u{206A}'..='\u{206F}' | '\u{FEFF}'
            // Hangul fillers, which are invisible letters.
            | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}'
            // Annotation, shorthand and musical format controls.
            | '\u{FFF9}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            // The language tag; other tags are allowed in some places.
            | '\u{E0001}')
        || is_noncharacter(c)
}

fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{FDD0}'..='\u{FDEF}') || u32::from(c) & 0xFFFE == 0xFFFE
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{180B}'..='\u{180D}' | '\u{180F}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{E0100}'..='\u{E01EF}')
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{E0020}'..='\u{E007F}')
}

/// Whether a character is allowed after the one before it.
///
/// Joiners shape Arabic, Indic and emoji sequences, variation selectors choose a glyph, and tags form the flags of
/// England, Scotland and Wales. In other places, or several in a row, they only hide text.
fn is_allowed_after(c: char, before: Option<char>) -> bool {
    let Some(before) = before else {
        return !(c.is_whitespace() || is_joiner(c) || is_variation_selector(c) || is_tag(c));
    };
    if is_joiner(c) {
        !before.is_ascii() && !before.is_whitespace() && !is_joiner(before)
    } else if is_variation_selector(c) {
        !(before == '.'
            || before.is_whitespace()
            || is_joiner(before)
            || is_variation_selector(before))
    } else if is_tag(c) {
        before == '\u{1F3F4}' || is_tag(before)
    } else {
        true
    }
}

/// Trims white space, and joiners, which join nothing at the end.
fn trim_end(name: &mut String) {
    let kept = name.trim_end_matches(|c: char| c.is_whitespace() || is_joiner(c));
    name.truncate(kept.len());
}

/// Shortens a name to [`MAX_BYTES`], and keeps its extension.
fn shorten(name: &str) -> String {
    if let Some((stem, extension)) = split_extension(name) {
        let stem = prefix(stem, MAX_BYTES - 1 - extension.len());
        return format!("{stem}.{extension}");
    }
    let mut short = prefix(name, MAX_BYTES).to_owned();
    trim_end(&mut short);
    short
}

/// Returns the longest prefix of `text` that fits into `max_bytes` and ends between graphemes. If the first grapheme is
/// too long, it is split between characters.
fn prefix(text: &str, max_bytes: usize) -> &str {
    let end = text
        .grapheme_indices(true)
        .map(|(start, grapheme)| start + grapheme.len())
        .take_while(|end| *end <= max_bytes)
        .last()
        .unwrap_or_else(|| text.floor_char_boundary(max_bytes));
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{
        Filename, MAX_BYTES, MAX_EXTENSION_BYTES, is_dropped, is_joiner, is_tag,
        is_variation_selector,
    };
    use proptest::prelude::*;

    fn clean(raw: &str) -> Option<String> {
        Filename::parse(raw).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in [
            "photo.jpg",
            "My holiday (1).jpeg",
            "archive.tar.gz",
            "r\u{e9}sum\u{e9}.pdf",
            "re\u{301}sume\u{301}.pdf",
            "文件.docx",
            "100% & more; it's #1.txt",
            "Screenshot 3.04.05\u{202F}PM.png",
            "مي\u{200C}خواهم.txt",
            "👩\u{200D}👩\u{200D}👧.png",
            "🏳\u{FE0F}\u{200D}🌈.png",
            "1\u{FE0F}\u{20E3}.png",
            "🏴\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}.png",
            "Blob",
            "blob.jpg",
            "nullable",
            "console.log",
            "com10.txt",
            "%2e%2e%2fetc",
            "who?.jpg",
            "what?<b>*|\".txt",
            "Report: final.pdf",
            ".env",
            ".htaccess",
            "...a",
            "and so on...",
            "CON",
            "nul.txt",
            "aux .c",
            "CONIN$",
            ".blob",
            "null.",
        ] {
            assert_eq!(clean(name).as_deref(), Some(name));
        }
    }

    #[test]
    fn hostile_names_are_cleaned() {
        for (raw, want) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\me\\cv.doc", "cv.doc"),
            ("/a\\b/c.txt", "c.txt"),
            ("a\0b.txt", "ab.txt"),
            ("a.jpg\0.exe", "a.jpg.exe"),
            ("a\r\nSet-Cookie: x=1", "aSet-Cookie: x=1"),
            ("a\u{7f}\u{85}\u{9b}b", "ab"),
            ("photo\u{202E}gpj.exe", "photogpj.exe"),
            ("a\u{2066}b\u{2069}\u{200E}\u{200F}\u{61C}c", "abc"),
            ("inv\u{200B}oi\u{2060}ce\u{FEFF}.pdf", "invoice.pdf"),
            ("in\u{200D}voice\u{200C}.pdf", "invoice.pdf"),
            ("a\u{2028}b\u{2029}c", "abc"),
            ("é\u{200D}\u{200D}\u{200D}x", "é\u{200D}x"),
            ("x\u{E0041}\u{E0042}.txt", "x.txt"),
            ("❤\u{FE0F}\u{FE01}\u{FE02}", "❤\u{FE0F}"),
            ("  a.txt   ", "a.txt"),
            ("\u{FE0F}.\u{200D}a", ".a"),
            ("C\u{200B}ON", "CON"),
        ] {
            assert_eq!(clean(raw).as_deref(), Some(want), "{raw:?}");
        }
    }

    #[test]
    fn names_without_meaning_are_none() {
        for raw in [
            "",
            ".",
            "..",
            "...",
            " ",
            "\0",
            "/",
            "a/",
            "a/..",
            "a\\..",
            ".\u{200B}.",
            "undefined",
            "null",
            "blob",
            "dir/blob",
            "\u{200B}",
            "\u{200D}",
            "\u{202E}",
            "\u{3164}",
        ] {
            assert_eq!(clean(raw), None, "{raw:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = Filename::parse(&format!("{}.jpeg", "a".repeat(70_000))).unwrap();
        assert_eq!(name.as_str().len(), MAX_BYTES);
        assert_eq!(name.extension(), Some("jpeg"));
    }

    #[test]
    fn long_extensions_are_not_extensions() {
        let name = Filename::parse(&format!("a.{}", "b".repeat(300))).unwrap();
        assert_eq!(name.as_str().len(), MAX_BYTES);
        assert_eq!(name.extension(), None);
    }

    #[test]
    fn long_names_are_cut_between_graphemes() {
        let family = "👩\u{200D}👩\u{200D}👧";
        let name = Filename::parse(&format!("{}.png", family.repeat(40))).unwrap();
        assert_eq!(name.stem(), family.repeat(251 / family.len()));
        let accented = "e\u{301}".repeat(200);
        let name = Filename::parse(&accented).unwrap();
        assert_eq!(name.as_str(), "e\u{301}".repeat(85));
    }

    #[test]
    fn one_endless_grapheme_is_cut_between_characters() {
        let name = Filename::parse(&format!("e{}", "\u{301}".repeat(1000))).unwrap();
        assert_eq!(name.as_str().len(), MAX_BYTES);
    }

    #[test]
    fn extension_is_what_follows_the_last_dot() {
        for (name, want) in [
            ("a.jpg", Some("jpg")),
            ("a.tar.GZ", Some("GZ")),
            ("a", None),
            (".profile", None),
            ("Mr. Smith", None),
            ("a.12345678901234567", None),
        ] {
            assert_eq!(Filename::parse(name).unwrap().extension(), want, "{name}");
        }
    }

    #[test]
    fn made_up_names_have_the_extension() {
        assert_eq!(Filename::made_up(Some("jpg")).as_str(), "file.jpg");
        assert_eq!(Filename::made_up(None).as_str(), "file");
        assert_eq!(Filename::made_up(Some("a/../b c")).as_str(), "file");
    }

    #[test]
    fn an_extension_is_added_only_where_there_is_none() {
        let with = |name| Filename::parse(name).unwrap().with_extension(Some("jpg")).0;
        assert_eq!(with("photo"), "photo.jpg");
        assert_eq!(with("photo.png"), "photo.png");
        let long = with(&"a".repeat(300));
        assert_eq!(long.len(), MAX_BYTES);
        assert!(long.ends_with("a.jpg"));
    }

    fn hostile_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<char>().prop_map(String::from),
            "[ -~]{0,4}",
            prop::sample::select(vec![
                "/",
                "\\",
                ".",
                "..",
                " ",
                "con",
                "NUL",
                "com1",
                "null",
                "blob",
                "undefined",
                "\u{200D}",
                "\u{200C}",
                "\u{FE0F}",
                "\u{202E}",
                "\u{1F3F4}",
                "\u{E0067}",
                "\u{301}",
                "\u{3000}",
                "\"",
                "\r\n",
                "👩",
            ])
            .prop_map(str::to_owned),
            (0..300_usize).prop_map(|n| "e\u{301}".repeat(n)),
            (200..300_usize).prop_map(|n| "a".repeat(n)),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn cleaned_names_keep_every_rule(raw in hostile_text()) {
            let Some(name) = Filename::parse(&raw) else { return Ok(()) };
            let text = name.as_str();
            prop_assert!((1..=MAX_BYTES).contains(&text.len()));
            prop_assert!(!text.contains(['/', '\\']));
            prop_assert!(!text.contains(is_dropped));
            prop_assert!(!text.starts_with(char::is_whitespace) && !text.chars().all(|c| c == '.'));
            prop_assert!(!text.starts_with(|c| is_joiner(c) || is_variation_selector(c) || is_tag(c)));
            prop_assert!(!text.ends_with(|c: char| c.is_whitespace() || is_joiner(c)));
            prop_assert!(!["undefined", "null", "blob"].contains(&text));
            if let Some(extension) = name.extension() {
                prop_assert!(extension.len() <= MAX_EXTENSION_BYTES);
                prop_assert_eq!(format!("{}.{extension}", name.stem()), text);
            }
        }

        #[test]
        fn cleaning_twice_changes_nothing(raw in hostile_text()) {
            if let Some(name) = Filename::parse(&raw) {
                prop_assert_eq!(Filename::parse(name.as_str()), Some(name));
            }
        }
    }
}
