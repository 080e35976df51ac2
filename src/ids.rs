//! The names of things: parsed at the edge, valid once built.
//!
//! Nothing here knows where an id came from or what it points to.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// The uuid of an upload and of the File it becomes: version 4, chosen by the server or adopted from
/// a client (protocol, section 4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(Uuid);

impl UploadId {
    /// A fresh random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Parses the hyphenated form in either case; `None` for anything else and for versions other than 4.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        let uuid = Uuid::try_parse(text).ok()?;
        (uuid.get_version_num() == 4).then_some(Self(uuid))
    }

    /// The 16 bytes a record stores.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// Reads back what [`UploadId::to_bytes`] gave.
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

/// The name of stored bytes: random, made here, never derived from anything a client sent.
/// Only a `BlobId` builds a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(Uuid);

impl BlobId {
    /// A fresh random id.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Parses the 32 hexadecimal digits that [`fmt::Display`] prints; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.len() == 32
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        canonical.then(|| Uuid::try_parse(text).ok().map(Self))?
    }

    /// The 16 bytes a record stores.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// Reads back what [`BlobId::to_bytes`] gave.
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
            /// A fresh random id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// Parses the hyphenated form that [`fmt::Display`] prints; `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(Self))?
            }

            /// The 16 bytes a record stores.
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            /// Reads back what `to_bytes` gave.
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
    /// One life of an unfinished upload, whose uuid may have several: another one each time it begins.
    GenerationId
}

random_id! {
    /// A job on record.
    JobId
}

random_id! {
    /// One holder's time with a job: an effect that names it is refused once another one holds the job.
    LeaseId
}

/// A user of the application, as its tokens name it: text, which a number's digits are too. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Arc<str>);

impl UserId {
    /// No name is longer: that of a subject in `OpenID` Connect (Core 1.0, section 2) has 255 bytes at most.
    pub const MAX_BYTES: usize = 255;

    /// The user of this name; `None` when it is empty or too long. Names that differ in one byte are two users.
    pub fn parse(text: &str) -> Option<Self> {
        (1..=Self::MAX_BYTES).contains(&text.len()).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number whose digits the name is, if it is one.
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
    fn other_versions_and_spellings_are_no_upload_ids() {
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
    fn a_user_is_a_text_of_some_length_and_a_number_its_digits() {
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
