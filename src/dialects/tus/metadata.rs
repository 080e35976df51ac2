//! `Upload-Metadata`: comma-separated pairs of a key and a Base64 value.
//!
//! The keys that clients use for the file's name and type are understood: `filename` or `name`, `filetype` or `type`;
//! so is our own, `md5`. Other keys are for the application: they are neither kept nor decoded.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::error::TusError;
use crate::filename::Filename;
use crate::http::values;
use crate::media::MediaType;

const NAME: &str = "Upload-Metadata";

/// Maximum size of the header in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

/// Padding is optional: some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a new upload declares about its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Its name.
    pub filename: Option<Filename>,
    /// Its media type.
    pub declared_type: Option<String>,
    /// The MD5 that the whole file must have.
    pub md5: Option<[u8; 16]>,
}

impl Metadata {
    /// Parses the value of the header.
    pub fn parse(text: &str) -> Result<Self, TusError> {
        if text.len() > MAX_BYTES {
            let message = format!("is longer than the limit of {MAX_BYTES} bytes");
            return Err(TusError::header(NAME, "field_too_long", message));
        }
        let mut values: [Option<String>; KEYS.len()] = Default::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            let Some(at) = KEYS.iter().position(|known| *known == key) else { continue };
            let value = BASE64.decode(value.trim()).map_err(|_| {
                TusError::malformed(
                    NAME,
                    format!("keys and Base64 values: the value of {key} is not Base64"),
                )
            })?;
            let value = String::from_utf8_lossy(&value).into_owned();
            if values[at].as_ref().is_some_and(|first| *first != value) {
                let message = format!("has {key} twice, with different values");
                return Err(TusError::header(NAME, "differs", message));
            }
            values[at] = Some(value);
        }
        let [filename, name, filetype, media_type, md5] = values;
        let parse_md5 = |text: String| {
            let wrong = "keys and Base64 values, with md5 as 32 hexadecimal digits";
            values::md5(&text).ok_or_else(|| TusError::malformed(NAME, wrong))
        };
        let named = |name: Option<String>| name.as_deref().and_then(Filename::parse);
        let typed = |text: Option<String>| text.as_deref().and_then(MediaType::parse);
        let declared_type = typed(filetype).or_else(|| typed(media_type));
        Ok(Self {
            filename: named(filename).or_else(|| named(name)),
            declared_type: declared_type.map(|declared| declared.essence().to_owned()),
            md5: md5.filter(|text| !text.is_empty()).map(parse_md5).transpose()?,
        })
    }

    /// Formats the value of the header for a file with this name and type; `None` if it has neither.
    pub fn value(filename: Option<&Filename>, media_type: Option<&str>) -> Option<String> {
        let pair = |(key, value): (&str, &str)| format!("{key} {}", STANDARD.encode(value));
        let filename = filename.map(|name| ("filename", name.as_str()));
        let media_type = media_type.map(|media_type| ("filetype", media_type));
        let pairs: Vec<String> = filename.into_iter().chain(media_type).map(pair).collect();
        (!pairs.is_empty()).then(|| pairs.join(","))
    }
}

/// The keys that are understood. Of two with the same meaning, the first one wins.
const KEYS: [&str; 5] = ["filename", "name", "filetype", "type", "md5"];

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(pairs: &[(&str, &str)]) -> String {
        let pair = |(key, value): &(&str, &str)| format!("{key} {}", STANDARD.encode(value));
        pairs.iter().map(pair).collect::<Vec<_>>().join(",")
    }

    fn parse(pairs: &[(&str, &str)]) -> Metadata {
        Metadata::parse(&encoded(pairs)).unwrap()
    }

    fn name(metadata: &Metadata) -> Option<&str> {
        metadata.filename.as_ref().map(Filename::as_str)
    }

    #[test]
    fn the_keys_of_every_client_are_understood() {
        let of_uppy = parse(&[
            ("relativePath", "null"),
            ("name", "città.jpg"),
            ("type", "image/jpeg"),
            ("filetype", "image/jpeg"),
            ("filename", "città.jpg"),
        ]);
        assert_eq!(name(&of_uppy), Some("città.jpg"));
        assert_eq!(of_uppy.declared_type.as_deref(), Some("image/jpeg"));
        assert_eq!(name(&parse(&[("name", "a.txt")])), Some("a.txt"));
        assert_eq!(name(&parse(&[("name", "a"), ("filename", "b")])), Some("b"));
        assert_eq!(name(&parse(&[("name", "a"), ("filename", "blob")])), Some("a"));
        assert_eq!(parse(&[("type", "image/png")]).declared_type.as_deref(), Some("image/png"));
        let md5 = parse(&[("md5", "900150983cd24fb0d6963f7d28e17f72")]).md5;
        assert_eq!(md5.unwrap()[..2], [0x90, 0x01]);
    }

    #[test]
    fn keys_without_a_value_and_unknown_keys_are_ignored() {
        for text in [
            "",
            " ",
            "filename",
            "is_confidential",
            "caption not Base64 at all!,",
            ",,",
            "filename ,",
        ] {
            assert_eq!(Metadata::parse(text).unwrap(), Metadata::default(), "{text}");
        }
    }

    #[test]
    fn padding_is_optional() {
        assert_eq!(name(&Metadata::parse("filename YQ").unwrap()), Some("a"));
        assert_eq!(name(&Metadata::parse("filename YQ==").unwrap()), Some("a"));
    }

    #[test]
    fn known_keys_must_have_valid_values() {
        for wrong in ["filename !", "filename a b", "filename YQ==,filename Yg==", "md5 YQ=="] {
            assert!(Metadata::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Metadata::parse("filename YQ==, filename YQ==").is_ok(), "twice the same");
        let too_long = format!("caption {}", "A".repeat(MAX_BYTES));
        assert!(Metadata::parse(&too_long).is_err());
    }

    #[test]
    fn a_formatted_value_is_parsed_back() {
        let filename = Filename::parse("città.jpg").unwrap();
        let value = Metadata::value(Some(&filename), Some("image/jpeg")).unwrap();
        let again = Metadata::parse(&value).unwrap();
        assert_eq!(again.filename, Some(filename));
        assert_eq!(again.declared_type.as_deref(), Some("image/jpeg"));
        assert_eq!(Metadata::value(None, None), None);
    }
}
