//! The content of requests by tus and of their replies.

use super::request::Key;

/// A new upload.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    /// `None` if it follows later.
    pub(crate) length: Option<usize>,
    /// Whether it is a piece of an upload to come.
    pub(crate) is_piece: bool,
    pub(crate) name: Option<String>,
    pub(crate) md5: Option<String>,
    /// Its first bytes.
    pub(crate) bytes: Option<Bytes>,
}

/// An upload made of others.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) pieces: Vec<Key>,
    pub(crate) name: Option<String>,
    pub(crate) md5: Option<String>,
}

/// Bytes for the end of an upload.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub(crate) key: Key,
    pub(crate) offset: usize,
    /// What it says about the size of the whole file.
    pub(crate) total: Option<usize>,
    pub(crate) bytes: Bytes,
}

/// The bytes of a request.
#[derive(Clone, Debug)]
pub(crate) struct Bytes {
    pub(crate) bytes: Vec<u8>,
    /// Whether it gives a checksum, and whether that is right.
    pub(crate) checksum: Option<bool>,
}

impl Bytes {
    pub(crate) fn is_refutable(&self) -> bool {
        self.checksum == Some(false)
    }
}

/// What has become of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileState {
    /// Bytes are missing, or it is a piece.
    Unfinished,
    Verifying,
    Finished(Key),
}

/// The reply to HEAD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) offset: usize,
    pub(crate) total: Option<usize>,
    pub(crate) name: Option<String>,
    pub(crate) is_piece: bool,
    /// What it was joined from.
    pub(crate) pieces: Vec<Key>,
    pub(crate) state: FileState,
}
