//! Identifiers. They are validated when they are parsed, so every value is valid.
//!
//! Knows neither where an id comes from nor what it refers to.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// The uuid of an upload and of the File that it becomes: version 4, chosen by the server or the client (protocol,
/// section 4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(Uuid);

impl UploadId {
    /// Creates a random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Parses the hyphenated form, in upper or lower case. Returns `None` for any other form, and for versions other
    /// than 4.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        let uuid = Uuid::try_parse(text).ok()?;
        (uuid.get_version_num() == 4).then_some(Self(uuid))
    }

    /// Returns the 16 bytes that records contain.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// Creates an id from the result of [`UploadId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The name of stored bytes: random, and never derived from anything that a client sent. Only a `BlobId` becomes part
/// of a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(Uuid);

impl BlobId {
    /// Creates a random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Parses the 32 hexadecimal digits that [`fmt::Display`] prints. Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.len() == 32
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        canonical.then(|| Uuid::try_parse(text).ok().map(Self))?
    }

    /// Returns the 16 bytes that records contain.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// Creates an id from the result of [`BlobId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.simple(), f)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! random_id {
    ($(#[$meaning:meta])* $name:ident) => {
        $(#[$meaning])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Creates a random id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// Parses the hyphenated form that [`fmt::Display`] prints. Returns `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(Self))?
            }

            /// Returns the 16 bytes that records contain.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// Creates an id from the result of `to_bytes`.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

random_id! {
    /// A generation of an unfinished upload. It is a new one each time the upload begins, so a uuid may have several.
    GenerationId
}

random_id! {
    /// A job on record.
    JobId
}

random_id! {
    /// A lease on a job. An effect that names a lease is refused once the job has a newer one.
    LeaseId
}

/// The id of a user of the application, as its tokens contain it: a text. The id of a numbered user is the number's
/// digits. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Maximum length, which is that of a subject in `OpenID` Connect (Core 1.0, section 2).
    pub const MAX_BYTES: usize = 255;

    /// Parses an id. Returns `None` if it is empty or too long. Ids that differ in a single byte are different users.
    pub fn parse(text: &str) -> Option<Self> {
        (1..=Self::MAX_BYTES).contains(&text.len()).then(|| Self(text.into()))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the id as a number if it consists of the number's digits (`7`, but not `007` or `+7`).
    pub fn as_number(&self) -> Option<i64> {
        let number: i64 = self.0.parse().ok()?;
        (number.to_string() == *self.0).then_some(number)
    }
}

impl From<i64> for UserId {
    fn from(number: i64) -> Self {
        Self(number.to_string().into())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_ids_are_compared_in_lower_case() {
        let upper = UploadId::parse("0C2A6E4E-7A0B-4B5E-8F0A-6D2B8C9D0E1F");
        let lower = UploadId::parse("0c2a6e4e-7a0b-4b5e-8f0a-6d2b8c9d0e1f");
        assert!(upper.is_some());
        assert_eq!(upper, lower);
    }

    #[test]
    fn other_versions_and_spellings_are_not_upload_ids() {
        for text in [
            "",
            "../../etc/passwd",
            "0c2a6e4e7a0b4b5e8f0a6d2b8c9d0e1f",
            "{0c2a6e4e-7a0b-4b5e-8f0a-6d2b8c9d0e1f}",
            "0c2a6e4e-7a0b-1b5e-8f0a-6d2b8c9d0e1f",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(UploadId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_user_id_is_a_text_of_limited_length_or_the_digits_of_a_number() {
        assert_eq!(UserId::from(-7), UserId::parse("-7").unwrap());
        assert_ne!(UserId::from(7), UserId::parse("007").unwrap());
        for (text, number) in [("7", Some(7)), ("007", None), ("+7", None), ("anna", None)] {
            assert_eq!(UserId::parse(text).unwrap().as_number(), number, "{text}");
        }
        assert!(UserId::parse(&"é".repeat(127)).is_some());
        for text in [String::new(), "é".repeat(128)] {
            assert_eq!(UserId::parse(&text), None);
        }
    }

    #[test]
    fn blob_ids_round_trip_through_their_file_name() {
        let id = BlobId::random();
        assert_eq!(BlobId::parse(&id.to_string()), Some(id));
        assert_eq!(BlobId::parse(&id.to_string().to_uppercase()), None);
        assert_eq!(BlobId::parse("haversack.lock"), None);
    }
}
