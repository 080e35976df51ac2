//! Replies of the form dialect to successful requests (protocol, section 6).

use http::{Extensions, HeaderMap};
use serde::Serialize;

use crate::filename::Filename;
use crate::http::context::Context;
use crate::http::request::base;
use crate::ids::UploadId;
use crate::links::{Links, Variant};
use crate::metadata::{Listed, Role, StoredFile, Unfinished};
use crate::part::PartIndex;
use crate::uploads::{Erased, Uploads};

/// The reply to a POST of a file, a chunk or a done.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Posted {
    /// A chunk was stored.
    Chunk(Chunk),
    /// A File.
    Finished(Box<Finished>),
    /// A thumbnail.
    Thumbnail(Thumbnail),
    /// An upload or a File was removed.
    Removed(Gone),
}

/// A chunk was stored.
#[derive(Debug, Serialize)]
pub struct Chunk {
    file_uuid: String,
    success: bool,
}

/// A File, as the reply to a done or a single file.
#[derive(Debug, Serialize)]
pub struct Finished {
    #[serde(flatten)]
    file: File,
    file_url: String,
    file_uuid: String,
    success: bool,
}

/// A thumbnail.
#[derive(Debug, Serialize)]
pub struct Thumbnail {
    file_url: String,
    file_uuid: String,
    parent_file_uuid: Option<String>,
    success: bool,
}

/// An upload or a File was removed.
#[derive(Debug, Serialize)]
pub struct Gone {
    file_uuid: String,
    removed: Erased,
    success: bool,
}

/// The File object.
#[derive(Debug, Serialize)]
pub struct File {
    created: u64,
    duration: Option<u64>,
    filename: String,
    filesize: u64,
    height: Option<u32>,
    metadata: &'static str,
    mimetype: String,
    thumbnail: Option<String>,
    url: String,
    uuid: String,
    width: Option<u32>,
}

/// The state of an upload.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// Waiting for chunks.
    Unfinished {
        /// Expiry (unix seconds).
        expires: u64,
        /// Its uuid.
        file_uuid: String,
        /// Indexes received, as closed ranges.
        parts: Vec<(PartIndex, PartIndex)>,
        /// Bytes received.
        received: u64,
        /// The size of the file, if it was declared.
        totalfilesize: Option<u64>,
        /// The number of chunks of the file; `None` if it is sent in order.
        totalparts: Option<u32>,
    },
    /// It is finished.
    Finished {
        /// Its uuid.
        file_uuid: String,
        /// `true`.
        finished: bool,
        /// Bytes received, which is the whole file.
        received: u64,
        /// The size of the file.
        totalfilesize: u64,
    },
}

/// A page of the list.
#[derive(Debug, Serialize)]
pub struct Page {
    next: Option<String>,
    results: Vec<Entry>,
    success: bool,
}

/// An entry of the list.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum Entry {
    Unfinished {
        expires: u64,
        file_uuid: String,
        filename: Option<String>,
        received: u64,
        totalfilesize: Option<u64>,
        totalparts: Option<u32>,
    },
    Finished(Box<File>),
}

impl Posted {
    /// The reply to a chunk of this upload.
    pub fn chunk(id: UploadId) -> Self {
        Self::Chunk(Chunk { file_uuid: id.to_string(), success: true })
    }
}

impl Gone {
    /// The reply to the removal of this upload or File.
    pub fn new(id: UploadId, removed: Erased) -> Self {
        Self { file_uuid: id.to_string(), removed, success: true }
    }
}

impl Status {
    /// The state of an unfinished upload.
    pub fn unfinished(uploads: &Uploads, id: UploadId, unfinished: &Unfinished) -> Self {
        let layout = &unfinished.layout;
        let total_parts = total_parts(layout.total_parts);
        Self::Unfinished {
            expires: uploads.expires_at(unfinished.touched_at),
            file_uuid: id.to_string(),
            parts: total_parts.map_or_else(Vec::new, |_| layout.present()),
            received: layout.received_bytes(),
            totalfilesize: layout.total_size,
            totalparts: total_parts,
        }
    }

    /// The state of a finished upload.
    pub fn finished(id: UploadId, file: &StoredFile) -> Self {
        Self::Finished {
            file_uuid: id.to_string(),
            finished: true,
            received: file.size,
            totalfilesize: file.size,
        }
    }
}

/// The number of chunks of a file; an upload that is sent in order has none.
fn total_parts(count: u32) -> Option<u32> {
    (count > 0).then_some(count)
}

/// Makes replies that contain links.
pub struct Replies<'a> {
    links: &'a Links,
    /// Scheme and authority, without a trailing slash.
    base: String,
}

impl<'a> Replies<'a> {
    /// Creates replies to a request with this head: their links begin with the address that its
    /// client used.
    pub fn new(context: &'a Context, headers: &HeaderMap, extensions: &Extensions) -> Self {
        Self { links: &context.links, base: base(context, headers, extensions) }
    }

    /// The reply to a done or a single file.
    pub fn finished(&self, file: &StoredFile) -> Posted {
        let file = self.file(file);
        let (file_url, file_uuid) = (file.url.clone(), file.uuid.clone());
        Posted::Finished(Box::new(Finished { file, file_url, file_uuid, success: true }))
    }

    /// The reply to a thumbnail.
    pub fn thumbnail(&self, thumbnail: &StoredFile) -> Posted {
        Posted::Thumbnail(Thumbnail {
            file_url: self.link(thumbnail.id, Variant::Thumbnail),
            file_uuid: thumbnail.id.to_string(),
            parent_file_uuid: thumbnail.parent.map(|id| id.to_string()),
            success: true,
        })
    }

    /// The File object.
    pub fn file(&self, file: &StoredFile) -> File {
        let variant = match file.role {
            Role::Media => Variant::File,
            Role::Thumbnail => Variant::Thumbnail,
        };
        File {
            created: file.created_at,
            duration: file.facts.duration_secs,
            filename: file.filename.as_str().to_owned(),
            filesize: file.size,
            height: file.facts.height,
            metadata: file.embedded.as_str(),
            mimetype: file.facts.media_type.essence().to_owned(),
            thumbnail: file.thumbnail.map(|id| self.link(id, Variant::Thumbnail)),
            url: self.link(file.id, variant),
            uuid: file.id.to_string(),
            width: file.facts.width,
        }
    }

    /// A page of the list, and the cursor for the next one.
    pub fn page(&self, uploads: &Uploads, entries: &[Listed], next: Option<String>) -> Page {
        let results = entries.iter().map(|entry| self.entry(uploads, entry)).collect();
        Page { next, results, success: true }
    }

    fn entry(&self, uploads: &Uploads, entry: &Listed) -> Entry {
        match entry {
            Listed::Unfinished(upload) => Entry::Unfinished {
                expires: uploads.expires_at(upload.touched_at),
                file_uuid: upload.id.to_string(),
                filename: upload.filename.as_ref().map(|name: &Filename| name.as_str().to_owned()),
                received: upload.received_bytes,
                totalfilesize: upload.total_size,
                totalparts: total_parts(upload.total_parts),
            },
            Listed::File(file) => Entry::Finished(Box::new(self.file(file))),
        }
    }

    fn link(&self, id: UploadId, variant: Variant) -> String {
        format!("{}{}", self.base, self.links.path(id, variant))
    }
}
