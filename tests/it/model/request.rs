//! The content of a request and of a reply, in the terms of the protocol: everything by which the model and the server
//! are compared. Knows neither HTTP nor how a field is spelled.

pub(crate) use super::tus::{Create, FileState, Join, Patch, Progress};

/// A uuid, by its number in a sequence.
pub(crate) type Key = usize;

/// One of the two users in a sequence.
pub(crate) type User = usize;

/// A request by a user, or by the application's backend.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Chunk(User, Chunk),
    Single(User, Single),
    Thumbnail(User, Thumbnail),
    Done(User, Done),
    Status(User, Key),
    File(User, Key),
    List(User),
    /// `None` means the application's backend.
    Delete(Option<User>, Key),
    /// `POST files/`: whether to attach, and whose files are meant.
    Files {
        key: Key,
        attach: bool,
        of: Option<User>,
    },
    /// GET of a link from an earlier reply; first and last byte of a range.
    Link(Key, Option<(usize, usize)>),
    Create(User, Create),
    Join(User, Join),
    Patch(User, Patch),
    Head(User, Key),
    /// GET of an upload's address.
    Redirect(User, Key),
    /// DELETE by tus; `None` means the application's backend.
    End(Option<User>, Key),
}

/// `Content-Range: bytes first-last/total`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentRange {
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) total: Option<usize>,
}

impl ContentRange {
    pub(crate) fn size(self) -> usize {
        self.last + 1 - self.first
    }
}

/// A chunk, and what its request declares.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) key: Option<Key>,
    pub(crate) index: usize,
    pub(crate) parts: Option<usize>,
    pub(crate) offset: Option<usize>,
    pub(crate) size: Option<usize>,
    pub(crate) total: Option<usize>,
    pub(crate) range: Option<ContentRange>,
    pub(crate) name: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// A single file, and what its request declares.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub(crate) key: Option<Key>,
    /// Only recorded, with a uuid; without one it would be a thumbnail.
    pub(crate) parent: Option<Key>,
    pub(crate) size: Option<usize>,
    pub(crate) total: Option<usize>,
    pub(crate) range: Option<ContentRange>,
    pub(crate) md5: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// A thumbnail, and what its request declares.
#[derive(Clone, Debug)]
pub(crate) struct Thumbnail {
    pub(crate) parent: Key,
    pub(crate) is_image: bool,
    /// Whether a picture can be made of it.
    pub(crate) decodes: bool,
    pub(crate) md5: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// A done.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) key: Key,
    pub(crate) total: Option<usize>,
    pub(crate) md5: Option<String>,
    pub(crate) name: Option<String>,
}

impl Request {
    /// Whether the server makes the uuid, which only the reply reveals.
    pub(crate) fn makes_uuid(&self) -> bool {
        match self {
            Self::Chunk(_, chunk) => chunk.key.is_none(),
            Self::Single(_, single) => single.key.is_none(),
            Self::Thumbnail(..) | Self::Create(..) | Self::Join(..) => true,
            _ => false,
        }
    }

    /// The upload that it may change.
    pub(crate) fn changes(&self) -> Option<Key> {
        match self {
            Self::Chunk(_, chunk) => chunk.key,
            Self::Single(_, single) => single.key,
            Self::Thumbnail(_, thumbnail) => Some(thumbnail.parent),
            Self::Done(_, done) => Some(done.key),
            Self::Patch(_, patch) => Some(patch.key),
            Self::Delete(_, key) | Self::End(_, key) | Self::Files { key, .. } => Some(*key),
            Self::Status(..)
            | Self::File(..)
            | Self::List(_)
            | Self::Link(..)
            | Self::Create(..)
            | Self::Join(..)
            | Self::Head(..)
            | Self::Redirect(..) => None,
        }
    }
}

/// What the protocol promises about a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A refusal, by its code; `missing` belongs to `chunks_missing`.
    Refused {
        code: &'static str,
        missing: Vec<usize>,
    },
    Chunk(Key),
    /// The reply to a done, a single file, or `file/`.
    File(File),
    Thumbnail {
        key: Key,
        parent: Key,
    },
    Unfinished {
        /// `None` for an upload that is sent in order.
        parts: Option<usize>,
        total: Option<usize>,
        received: usize,
        present: Vec<usize>,
    },
    Finished {
        size: usize,
    },
    /// Newest first.
    List(Vec<Entry>),
    Removed(Removed),
    Files(Option<File>),
    Bytes {
        status: u16,
        bytes: Vec<u8>,
    },
    /// A picture made from a thumbnail; its encoding is up to the server.
    Picture,
    /// A new upload, and how many bytes it has.
    Created {
        key: Key,
        offset: usize,
        state: FileState,
    },
    Appended {
        offset: usize,
        state: FileState,
    },
    /// Refused (409 `offset_mismatch`): the upload ends here.
    Elsewhere(usize),
    Progress(Progress),
    /// To the bytes of this File.
    Redirect(Key),
    Ended,
}

/// A File without its links, which are requested separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) key: Key,
    /// `None` means that the server made one up.
    pub(crate) name: Option<String>,
    pub(crate) size: usize,
    pub(crate) thumbnail: bool,
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Unfinished {
        key: Key,
        name: Option<String>,
        parts: Option<usize>,
        total: Option<usize>,
        received: usize,
    },
    Finished(File),
}

/// What a delete removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) files: u64,
    pub(crate) thumbnails: u64,
    pub(crate) unfinished: u64,
    pub(crate) bytes: usize,
}

impl Answer {
    pub(crate) fn refused(code: &'static str) -> Self {
        Self::Refused { code, missing: Vec::new() }
    }

    /// The uuid that this reply revealed.
    pub(crate) fn made(&self) -> Option<Key> {
        match self {
            Self::Chunk(key)
            | Self::Thumbnail { key, .. }
            | Self::File(File { key, .. })
            | Self::Created { key, .. } => Some(*key),
            _ => None,
        }
    }
}
