//! Fields, under both of their names, and the requests that they form (protocol, sections 2 and 3).
//!
//! Values stay text until a request is built from them, so that an error can name the field. Doesn't know how a body is
//! encoded or who sends it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::filename::Filename;
use crate::http::values::{decimal, md5};
use crate::ids::{UploadId, UserId};
use crate::media::MediaType;
use crate::metadata::Role;
use crate::part::{Declaration, DeclaredRange};
use crate::uploads::{ChunkRequest, DoneRequest, SingleRequest};

/// The current name and Fine Uploader's name of every field.
const FIELDS: [(&str, &str); 13] = [
    ("file", "qqfile"),
    ("uuid", "qquuid"),
    ("partindex", "qqpartindex"),
    ("totalparts", "qqtotalparts"),
    ("partbyteoffset", "qqpartbyteoffset"),
    ("chunksize", "qqchunksize"),
    ("totalfilesize", "qqtotalfilesize"),
    ("filetype", "qqfiletype"),
    ("filename", "qqfilename"),
    ("md5", "qqmd5"),
    ("duration", "qqduration"),
    ("parentuuid", "qqparentuuid"),
    ("_method", "_method"),
];

/// An invalid field. The message is for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's current name.
    pub field: &'static str,
    /// The error code.
    pub code: &'static str,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// The fields that have arrived so far.
#[derive(Clone, Debug, Default)]
pub struct Form {
    values: BTreeMap<&'static str, String>,
    content_range: Option<DeclaredRange>,
    file_name: Option<String>,
    file_type: Option<String>,
}

/// The members of a JSON object, including those with the same name, so that no value is silently dropped (RFC 8259,
/// section 4, leaves open which one a reader sees).
pub struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = object.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// The current name of a field, given either name.
pub fn canonical(name: &str) -> Option<&'static str> {
    FIELDS
        .iter()
        .find(|(current, seed)| name == *current || name == *seed)
        .map(|(current, _)| *current)
}

impl Form {
    /// Creates an empty form for a request with this `Content-Range` header.
    pub fn new(header: Option<&str>) -> Result<Self, FieldError> {
        let parse = |value: &str| {
            content_range(value).ok_or_else(|| FieldError {
                field: "partbyteoffset",
                code: "malformed_content_range",
                message: "the Content-Range header must read: bytes FIRST-LAST/TOTAL".into(),
            })
        };
        let content_range = header.map(parse).transpose()?;
        Ok(Self { content_range, ..Self::default() })
    }

    /// Adds a field. Ignores unknown names. The same value may be sent twice, also under both names.
    pub fn set(&mut self, name: &str, value: String) -> Result<(), FieldError> {
        let Some(field) = canonical(name) else {
            return Ok(());
        };
        match self.values.get(field) {
            Some(known) if *known != value => Err(FieldError {
                field,
                code: "differs",
                message: format!("{field} was sent twice, with different values"),
            }),
            Some(_) => Ok(()),
            None => {
                self.values.insert(field, value);
                Ok(())
            }
        }
    }

    /// Number of fields that have arrived, each counted once.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// Adds what a multipart part says about its file.
    pub fn set_file(&mut self, name: Option<String>, media_type: Option<String>) {
        self.file_name = name;
        self.file_type = media_type;
    }

    /// Adds the fields of a URL-encoded body.
    pub fn set_urlencoded(&mut self, body: &[u8]) -> Result<(), FieldError> {
        form_urlencoded::parse(body)
            .try_for_each(|(name, value)| self.set(&name, value.into_owned()))
    }

    /// Adds the fields of a JSON object. Numbers may be strings, and null counts as absent.
    pub fn set_json(&mut self, Members(members): &Members) -> Result<(), FieldError> {
        for (name, value) in members {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => match canonical(name) {
                    None => continue,
                    Some(field) => return Err(malformed(field, "a string or a number")),
                },
            };
            self.set(name, text)?;
        }
        Ok(())
    }

    /// Whether this is a DELETE sent as a POST, as Fine Uploader can.
    pub fn is_delete(&self) -> bool {
        self.values.get("_method").is_some_and(|method| method.eq_ignore_ascii_case("DELETE"))
    }

    /// The upload's uuid.
    pub fn uuid(&self) -> Result<Option<UploadId>, FieldError> {
        self.id("uuid")
    }

    /// The file's size, if a field or `Content-Range` contains it.
    pub fn total_size(&self) -> Result<Option<u64>, FieldError> {
        let in_range = self.content_range.and_then(|range| range.total);
        Ok(self.number("totalfilesize")?.or(in_range))
    }

    /// The chunk that the form describes, if it describes one (protocol, section 3).
    pub fn chunk(&self, user: &UserId) -> Result<Option<ChunkRequest>, FieldError> {
        let Some(index) = self.small_number("partindex")? else {
            return Ok(None);
        };
        Ok(Some(ChunkRequest {
            user: user.clone(),
            id: self.uuid()?,
            declared: self.declaration(index)?,
            filename: self.filename(),
            declared_type: self.declared_type(),
            parent: self.id("parentuuid")?,
        }))
    }

    /// The single file or thumbnail that the form describes.
    pub fn single(&self, user: &UserId) -> Result<SingleRequest, FieldError> {
        let (id, parent) = (self.uuid()?, self.id("parentuuid")?);
        // Fine Uploader's scaled copies have their own uuid, and are ordinary files.
        let role = if parent.is_some() && id.is_none() { Role::Thumbnail } else { Role::Media };
        let declared = Declaration { total_parts: None, ..self.declaration(0)? };
        Ok(SingleRequest {
            user: user.clone(),
            id,
            role,
            parent,
            declared,
            md5: self.md5()?,
            filename: self.filename(),
            declared_type: self.declared_type(),
            duration_secs: self.duration(),
        })
    }

    /// The done request that the form describes.
    pub fn done(&self, user: &UserId) -> Result<DoneRequest, FieldError> {
        let id = self.uuid()?.ok_or_else(|| FieldError {
            field: "uuid",
            code: "required",
            message: "uuid is missing: send the file_uuid from the replies to the chunks".into(),
        })?;
        self.number("totalparts")?; // must be valid, but the actual number of chunks counts
        let total_size = self.number("totalfilesize")?;
        let filename = self.text("filename").and_then(Filename::parse);
        Ok(DoneRequest { user: user.clone(), id, filename, total_size, md5: self.md5()? })
    }

    fn declaration(&self, index: u32) -> Result<Declaration, FieldError> {
        Ok(Declaration {
            index,
            total_parts: self.small_number("totalparts")?,
            total_size: self.number("totalfilesize")?,
            offset: self.number("partbyteoffset")?,
            size: self.number("chunksize")?,
            range: self.content_range,
        })
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.values.get(field).map(String::as_str)
    }

    fn number(&self, field: &'static str) -> Result<Option<u64>, FieldError> {
        let parse =
            |text| decimal(text).ok_or_else(|| malformed(field, "a whole number from 0 to 2^63-1"));
        self.text(field).map(parse).transpose()
    }

    /// Parses an index or a count, for which 31 bits are enough.
    fn small_number(&self, field: &'static str) -> Result<Option<u32>, FieldError> {
        let small = |number| {
            u32::try_from(number)
                .ok()
                .filter(|number| i32::try_from(*number).is_ok())
                .ok_or_else(|| malformed(field, "a whole number from 0 to 2^31-1"))
        };
        self.number(field)?.map(small).transpose()
    }

    fn id(&self, field: &'static str) -> Result<Option<UploadId>, FieldError> {
        let parse = |text| {
            UploadId::parse(text)
                .ok_or_else(|| malformed(field, "a version 4 uuid, 36 characters long"))
        };
        self.text(field).map(parse).transpose()
    }

    fn md5(&self) -> Result<Option<[u8; 16]>, FieldError> {
        let parse = |text: &str| md5(text).ok_or_else(|| malformed("md5", "32 hexadecimal digits"));
        self.text("md5").map(parse).transpose()
    }

    fn filename(&self) -> Option<Filename> {
        let field = self.text("filename").and_then(Filename::parse);
        field.or_else(|| self.file_name.as_deref().and_then(Filename::parse))
    }

    fn declared_type(&self) -> Option<String> {
        let declared = self.text("filetype").or(self.file_type.as_deref());
        declared.and_then(MediaType::parse).map(|media_type| media_type.essence().to_owned())
    }

    /// Parses the duration. Browsers send `Infinity` for recordings, and `NaN`; such values are ignored.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the range is checked
    fn duration(&self) -> Option<u64> {
        const LONGEST_SECS: f64 = 1e9;
        let secs: f64 = self.text("duration")?.trim().parse().ok()?;
        (0.0..LONGEST_SECS).contains(&secs).then(|| secs.round() as u64)
    }
}

/// Parses `Content-Range: bytes first-last/total` (RFC 9110, section 14.4). `None` if it isn't a range of bytes with a
/// first and a last byte.
pub fn content_range(value: &str) -> Option<DeclaredRange> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let start = decimal(first.trim())?;
    let end = decimal(last.trim())?.checked_add(1)?;
    let total = match total.trim() {
        "*" => None,
        digits => Some(decimal(digits)?),
    };
    let sound = start < end && total.is_none_or(|total| end <= total);
    sound.then_some(DeclaredRange { start, end, total })
}

fn malformed(field: &'static str, right: impl fmt::Display) -> FieldError {
    FieldError { field, code: "malformed", message: format!("{field} must be {right}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0c2a6e4e-7a0b-4b5e-8f0a-6d2b8c9d0e1f";
    const USER: i64 = 1;

    fn form(fields: &[(&str, &str)]) -> Form {
        let mut form = Form::default();
        for (name, value) in fields {
            form.set(name, (*value).to_owned()).unwrap();
        }
        form
    }

    #[test]
    fn both_names_may_be_mixed_field_by_field() {
        let chunk =
            form(&[("qqpartindex", "2"), ("totalparts", "3"), ("qquuid", UUID), ("uuid", UUID)]);
        let chunk = chunk.chunk(&USER.into()).unwrap().unwrap();
        assert_eq!((chunk.declared.index, chunk.declared.total_parts), (2, Some(3)));
        assert_eq!(chunk.id, UploadId::parse(UUID));
    }

    #[test]
    fn different_values_under_two_names_are_refused() {
        let mut form = form(&[("qqpartindex", "2")]);
        let error = form.set("partindex", "3".into()).unwrap_err();
        assert_eq!((error.field, error.code), ("partindex", "differs"));
    }

    #[test]
    fn numbers_are_unsigned_decimals_below_2_to_the_63() {
        for bad in ["-1", "+5", "1.0", "1e3", "0x10", "", " 1", "9223372036854775808", "1e400"] {
            let error = form(&[("partindex", "0"), ("totalfilesize", bad)])
                .chunk(&USER.into())
                .unwrap_err();
            assert_eq!(error.field, "totalfilesize", "{bad}");
        }
        let error = form(&[("partindex", "2147483648")]).chunk(&USER.into()).unwrap_err();
        assert_eq!(error.field, "partindex");
    }

    #[test]
    fn unusable_durations_are_ignored() {
        for bad in ["Infinity", "NaN", "-1", "", "abc", "1e400"] {
            assert_eq!(
                form(&[("duration", bad)]).single(&USER.into()).unwrap().duration_secs,
                None,
                "{bad}"
            );
        }
        assert_eq!(
            form(&[("duration", "7.6")]).single(&USER.into()).unwrap().duration_secs,
            Some(8)
        );
    }

    #[test]
    fn a_parent_makes_a_thumbnail_unless_the_file_has_a_uuid_of_its_own() {
        let thumbnail = form(&[("parentuuid", UUID)]).single(&USER.into()).unwrap();
        assert_eq!(thumbnail.role, Role::Thumbnail);
        let scaled =
            form(&[("qqparentuuid", UUID), ("qquuid", "1c2a6e4e-7a0b-4b5e-8f0a-6d2b8c9d0e1f")]);
        assert_eq!(scaled.single(&USER.into()).unwrap().role, Role::Media);
    }

    #[test]
    fn names_that_mean_no_name_are_ignored() {
        for none in ["blob", "undefined", "null", ""] {
            assert_eq!(
                form(&[("filename", none)]).single(&USER.into()).unwrap().filename,
                None,
                "{none}"
            );
        }
    }

    #[test]
    fn json_numbers_may_be_strings_and_null_is_none() {
        let mut form = Form::default();
        let mut set = |body: &Value| form.set_json(&Members::deserialize(body).unwrap());
        let body =
            serde_json::json!({"qquuid": UUID, "totalfilesize": "7", "totalparts": 2, "md5": null});
        set(&body).unwrap();
        assert_eq!(set(&serde_json::json!({"md5": []})).unwrap_err().field, "md5");
        let done = form.done(&USER.into()).unwrap();
        assert_eq!((done.total_size, done.md5), (Some(7), None));
    }

    #[test]
    fn content_ranges_are_parsed_as_in_the_standard() {
        for (text, start, end, total) in [
            ("bytes 0-0/1", 0, 1, Some(1)),
            ("bytes 0-204799/10485760", 0, 204_800, Some(10_485_760)),
            ("bytes 5-9/*", 5, 10, None),
            (" bytes 5 - 9 / 10 ", 5, 10, Some(10)),
        ] {
            let expected = DeclaredRange { start, end, total };
            assert_eq!(content_range(text), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "bytes",
            "bytes ",
            "bytes 0-9",
            "bytes */10",
            "bytes 9-0/10",
            "bytes 0-10/10",
            "bytes -5-9/10",
            "bytes +0-9/10",
            "bytes 0-9/ten",
            "bytes 0-9/9223372036854775808",
            "bytes 0-9223372036854775808/*",
            "items 0-9/10",
            "0-9/10",
        ] {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
