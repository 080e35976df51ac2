//! What a request says and what an answer tells, in the words of the protocol: all that the model and the
//! server are compared by. Knows neither HTTP nor how a field is spelled.

/// A uuid, by the number under which a sequence knows it.
pub(crate) type Key = usize;

/// One of a sequence's two users.
pub(crate) type User = usize;

/// A request of a user's, or of the application's backend.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Chunk(User, Chunk),
    Single(User, Single),
    Thumbnail(User, Thumbnail),
    Done(User, Done),
    Status(User, Key),
    File(User, Key),
    List(User),
    /// `None`: by the application's backend.
    Delete(Option<User>, Key),
    /// `POST files/`: whether to attach, and whose files are meant.
    Files {
        key: Key,
        attach: bool,
        of: Option<User>,
    },
    /// GET of a link that was answered before; first and last byte of a range.
    Link(Key, Option<(usize, usize)>),
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

/// A chunk and what its request declares.
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

/// A file in one request and what that declares.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub(crate) key: Option<Key>,
    /// Only recorded, beside a uuid; without one it would be a thumbnail.
    pub(crate) parent: Option<Key>,
    pub(crate) size: Option<usize>,
    pub(crate) total: Option<usize>,
    pub(crate) range: Option<ContentRange>,
    pub(crate) md5: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) bytes: Vec<u8>,
}

/// A thumbnail and what its request declares.
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
    /// Whether the server makes the uuid: it is known only from the answer.
    pub(crate) fn makes_uuid(&self) -> bool {
        match self {
            Self::Chunk(_, chunk) => chunk.key.is_none(),
            Self::Single(_, single) => single.key.is_none(),
            Self::Thumbnail(..) => true,
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
            Self::Delete(_, key) | Self::Files { key, .. } => Some(*key),
            Self::Status(..) | Self::File(..) | Self::List(_) | Self::Link(..) => None,
        }
    }
}

/// What is promised of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// By its code; `missing` of `chunks_missing`.
    Refused {
        code: &'static str,
        missing: Vec<usize>,
    },
    Chunk(Key),
    /// Of done, of a single file, and of `file/`.
    File(File),
    Thumbnail {
        key: Key,
        parent: Key,
    },
    Unfinished {
        parts: usize,
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
    /// Some picture made of a thumbnail; how it is encoded is the server's affair.
    Picture,
}

/// A File, without its links: what those show is asked for by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) key: Key,
    /// `None`: the server made one up.
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
        parts: usize,
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

    /// The uuid that this answer made known.
    pub(crate) fn made(&self) -> Option<Key> {
        match self {
            Self::Chunk(key) | Self::Thumbnail { key, .. } | Self::File(File { key, .. }) => {
                Some(*key)
            }
            _ => None,
        }
    }
}
