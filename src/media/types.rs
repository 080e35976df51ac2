//! Media types, and the list of those that browsers may show inline.
//!
//! Knows no headers other than `Content-Type`, and doesn't detect types.

use std::borrow::Cow;
use std::fmt;

pub(super) const DOCX: &str =
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
pub(super) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
pub(super) const PPTX: &str =
    "application/vnd.openxmlformats-officedocument.presentationml.presentation";
pub(super) const SVG: &str = "image/svg+xml";
pub(super) const PDF: &str = "application/pdf";

/// Types shown inline; everything else is saved.
///
/// The list contains what every current browser (for `QuickTime`, at least Safari) decodes itself and what can't run
/// scripts or load anything: raster images, audio, video, and plain text with a fixed charset. Never to be added: HTML,
/// XML and SVG (scripts), PDF (scripts, forms, and no viewer in a sandbox), and unknown types. Left out because it
/// would be of no use: HEIC, TIFF, JPEG XL, Matroska, AVI and 3GP, which most browsers would save anyway.
const INLINE: [&str; 18] = [
    "audio/aac",
    "audio/flac",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "audio/webm",
    "image/avif",
    "image/bmp",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/plain",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
];

/// The usual extension of types whose files may come without a name.
const EXTENSIONS: [(&str, &str); 43] = [
    ("application/epub+zip", "epub"),
    ("application/gzip", "gz"),
    ("application/json", "json"),
    ("application/msword", "doc"),
    ("application/pdf", "pdf"),
    ("application/rtf", "rtf"),
    ("application/vnd.android.package-archive", "apk"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    (PPTX, "pptx"),
    (XLSX, "xlsx"),
    (DOCX, "docx"),
    ("application/vnd.rar", "rar"),
    ("application/x-7z-compressed", "7z"),
    ("application/x-tar", "tar"),
    ("application/xml", "xml"),
    ("application/zip", "zip"),
    ("audio/aac", "aac"),
    ("audio/flac", "flac"),
    ("audio/matroska", "mka"),
    ("audio/mp4", "m4a"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/wav", "wav"),
    ("audio/webm", "webm"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/gif", "gif"),
    ("image/heic", "heic"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/webp", "webp"),
    ("text/csv", "csv"),
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("video/mp4", "mp4"),
    ("video/ogg", "ogv"),
    ("video/quicktime", "mov"),
    ("video/webm", "webm"),
    ("video/matroska", "mkv"),
];

pub(super) const UTF_16_LE: &str = "text/plain;charset=utf-16le";
pub(super) const UTF_16_BE: &str = "text/plain;charset=utf-16be";

/// Plain text in an encoding other than UTF-8, in the form that is stored. Browsers support all of these encodings
/// (WHATWG Encoding Standard section 4.2).
pub(super) const OTHER_CHARSETS: [&str; 27] = [
    UTF_16_LE,
    UTF_16_BE,
    "text/plain;charset=big5",
    "text/plain;charset=euc-jp",
    "text/plain;charset=euc-kr",
    "text/plain;charset=gbk",
    "text/plain;charset=ibm866",
    "text/plain;charset=iso-8859-2",
    "text/plain;charset=iso-8859-4",
    "text/plain;charset=iso-8859-5",
    "text/plain;charset=iso-8859-6",
    "text/plain;charset=iso-8859-7",
    "text/plain;charset=iso-8859-8",
    "text/plain;charset=iso-8859-8-i",
    "text/plain;charset=iso-8859-13",
    "text/plain;charset=koi8-u",
    "text/plain;charset=shift_jis",
    "text/plain;charset=windows-874",
    "text/plain;charset=windows-1250",
    "text/plain;charset=windows-1251",
    "text/plain;charset=windows-1252",
    "text/plain;charset=windows-1253",
    "text/plain;charset=windows-1254",
    "text/plain;charset=windows-1255",
    "text/plain;charset=windows-1256",
    "text/plain;charset=windows-1257",
    "text/plain;charset=windows-1258",
];

/// A media type without parameters, such as `image/jpeg`. Only plain text in an encoding other than UTF-8 keeps its
/// charset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaType(Cow<'static, str>);

impl MediaType {
    /// The type of unknown bytes.
    pub const OCTET_STREAM: Self = Self::known("application/octet-stream");

    pub(super) const fn known(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Parses a stored or declared type (RFC 6838 section 4.2) and converts it to lower case. Drops parameters, except
    /// the charset that [`Self::as_str`] writes.
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        let raw = raw.trim();
        if let Some(stored) = OTHER_CHARSETS.iter().find(|known| **known == raw) {
            return Some(Self::known(stored));
        }
        let essence = raw.split(';').next()?.trim_end().to_ascii_lowercase();
        let (top, sub) = essence.split_once('/')?;
        (is_restricted_name(top) && is_restricted_name(sub)).then_some(Self(Cow::Owned(essence)))
    }

    /// The form to store. [`Self::parse`] reads it back unchanged.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type without parameters, for `mimetype` in replies.
    #[must_use]
    pub fn essence(&self) -> &str {
        self.0.split(';').next().unwrap_or_default()
    }

    /// Whether this is a raster image. SVG isn't: it is a document that may run scripts.
    #[must_use]
    pub fn is_image(&self) -> bool {
        self.0.starts_with("image/") && self.essence() != SVG
    }

    /// Whether browsers may show it inline.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        INLINE.contains(&self.essence())
    }

    /// Returns this type, or the type claimed by the sender if the bytes reveal nothing. A claim is never accepted for
    /// a type that the bytes would have revealed, or for one that would be run or opened automatically.
    #[must_use]
    pub fn or_claimed(self, claimed: Option<&str>) -> Self {
        let claimed = claimed.and_then(Self::parse).filter(|_| self == Self::OCTET_STREAM);
        claimed.filter(Self::can_only_be_claimed).unwrap_or(self)
    }

    fn can_only_be_claimed(&self) -> bool {
        const TOP: [&str; 4] = ["application/", "chemical/", "font/", "model/"];
        const ACTIVE: [&str; 8] =
            ["html", "xml", "script", "flash", "x509", "json", "octet-stream", "download"];
        let essence = self.essence();
        TOP.iter().any(|top| essence.starts_with(top))
            && !ACTIVE.iter().any(|active| essence.contains(active))
            && self.extension().is_none()
    }

    /// The usual extension of files of this type, without the dot.
    #[must_use]
    pub fn extension(&self) -> Option<&'static str> {
        EXTENSIONS
            .iter()
            .find(|(essence, _)| *essence == self.essence())
            .map(|(_, extension)| *extension)
    }
}

impl Default for MediaType {
    fn default() -> Self {
        Self::OCTET_STREAM
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.essence())
    }
}

/// The `Content-Type` for serving a sniffed type.
///
/// Plain text gets a charset: otherwise browsers guess, and a wrong guess can turn harmless bytes into something else.
#[must_use]
pub fn content_type_header(media: &MediaType) -> String {
    match media.as_str() {
        "text/plain" => "text/plain; charset=utf-8".to_owned(),
        other => other.replace(";charset=", "; charset="),
    }
}

/// `restricted-name` of RFC 6838 section 4.2.
fn is_restricted_name(text: &str) -> bool {
    (1..=127).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::{EXTENSIONS, INLINE, MediaType, OTHER_CHARSETS, UTF_16_BE, content_type_header};

    #[test]
    fn types_that_can_run_script_are_never_inline() {
        for risky in [
            "text/html",
            "application/xhtml+xml",
            "image/svg+xml",
            "application/xml",
            "text/xml",
            "application/pdf",
            "text/javascript",
            "text/css",
            "application/octet-stream",
            "multipart/x-mixed-replace",
            "message/rfc822",
        ] {
            assert!(!MediaType::parse(risky).unwrap().is_inline(), "{risky}");
        }
    }

    #[test]
    fn svg_is_not_an_image() {
        assert!(!MediaType::parse("image/svg+xml").unwrap().is_image());
        assert!(MediaType::parse("image/heic").unwrap().is_image());
    }

    #[test]
    fn declared_types_lose_case_and_parameters() {
        let media = MediaType::parse(" Audio/WebM; codecs=opus ").unwrap();
        assert_eq!(media.as_str(), "audio/webm");
        assert!(media.is_inline());
    }

    #[test]
    fn invalid_types_are_refused() {
        for raw in ["", "/", "image", "image/", "/png", "a/b/c", "a b/c", "é/x", "a/\r\nx: y"] {
            assert_eq!(MediaType::parse(raw), None, "{raw:?}");
        }
        assert_eq!(MediaType::parse(&format!("a/{}", "b".repeat(128))), None);
    }

    #[test]
    fn stored_types_are_read_back_unchanged() {
        for stored in INLINE.into_iter().chain(OTHER_CHARSETS) {
            let media = MediaType::parse(stored).unwrap();
            assert_eq!(media.as_str(), stored);
            assert!(media.is_inline());
        }
    }

    #[test]
    fn plain_text_names_its_charset() {
        let header = |stored| content_type_header(&MediaType::parse(stored).unwrap());
        assert_eq!(header("text/plain"), "text/plain; charset=utf-8");
        assert_eq!(header(UTF_16_BE), "text/plain; charset=utf-16be");
        let japanese = "text/plain;charset=shift_jis";
        assert_eq!(header(japanese), "text/plain; charset=shift_jis");
        assert_eq!(header("image/png"), "image/png");
    }

    #[test]
    fn replies_contain_no_parameters() {
        let media = MediaType::parse(UTF_16_BE).unwrap();
        assert_eq!(media.to_string(), "text/plain");
    }

    #[test]
    fn every_inline_type_has_an_extension() {
        for inline in INLINE {
            assert!(EXTENSIONS.iter().any(|(essence, _)| *essence == inline), "{inline}");
        }
    }
}
