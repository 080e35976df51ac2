//! The contents of the records: uploads, Files, and link keys.

use super::{Append, Location};
use crate::filename::Filename;
use crate::ids::{GenerationId, UploadId, UserId};
use crate::media::privacy::EmbeddedMetadata;
use crate::media::{Facts, Patch};
use crate::part::{Layout, Part};
use crate::storage::Extents;

/// The record of one uuid.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its uuid.
    pub id: UploadId,
    /// Its owner; `None` once the owner was erased.
    pub user: Option<UserId>,
    /// Its state.
    pub state: State,
}

/// The state of an upload.
#[derive(Clone, Debug)]
pub enum State {
    /// It receives chunks.
    Receiving(Box<Unfinished>),
    /// It is a File.
    Finished(Box<StoredFile>),
    /// It was cancelled or deleted, for good.
    Removed,
    /// It was not finished in time.
    Expired,
    /// A thumbnail that was replaced by a newer one. Its uuid still stands for its parent.
    Replaced {
        /// The media it belongs to.
        parent: UploadId,
    },
    /// Its owner was erased: only its uuid is known, which is never used again.
    Erased,
}

impl State {
    /// Returns the media that a thumbnail belongs to.
    pub fn parent(&self) -> Option<UploadId> {
        match self {
            Self::Finished(file) if file.role == Role::Thumbnail => file.parent,
            Self::Replaced { parent } => Some(*parent),
            _ => None,
        }
    }

    /// Returns the state without its details.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Receiving(_) => Standing::Receiving,
            Self::Finished(_) => Standing::Finished,
            Self::Removed | Self::Replaced { .. } | Self::Erased => Standing::Removed,
            Self::Expired => Standing::Expired,
        }
    }
}

/// The state of an upload, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It receives chunks.
    Receiving,
    /// It is a File.
    Finished,
    /// It is gone for good. A replaced thumbnail, too, accepts and serves no bytes of its own.
    Removed,
    /// It was not finished in time.
    Expired,
}

/// One life of an unfinished upload. A new one begins when the uuid is used again after the upload expired, and when
/// the upload starts over because the store failed to keep its bytes. Requests that name an earlier generation are
/// refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its uuid.
    pub upload: UploadId,
    /// Random, and new in each generation.
    pub id: GenerationId,
}

/// The version of an unfinished upload from which a File is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The upload.
    pub generation: Generation,
    /// [`Unfinished::epoch`] at that time.
    pub epoch: u32,
}

/// An upload that receives chunks.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// The current generation.
    pub generation: GenerationId,
    /// Where its parts are stored.
    pub location: Location,
    /// Increases whenever snapshots of the upload become void: when parts are taken away, and when the File that it is
    /// about to become is recorded. Adding a part voids no snapshot.
    pub epoch: u32,
    /// Its parts and totals.
    pub layout: Layout,
    /// What else is known of it if its bytes arrive in order; `None` if its parts have indexes.
    pub append: Option<Append>,
    /// Bytes that count against its user's quota.
    pub reserved: u64,
    /// The filename that its chunks declared.
    pub filename: Option<Filename>,
    /// The media type its chunks declared.
    pub declared_type: Option<String>,
    /// The last time at which something of it was stored.
    pub touched_at: u64,
    /// The File that it is about to become, if that is recorded: its bytes may be partly overwritten.
    pub finalizing: Option<Box<Finalizing>>,
    /// Whether its parts must be compared with their checksums first, because the machine was booted since.
    pub suspect: bool,
}

impl Unfinished {
    /// Returns the current generation of the upload, whose uuid is `id`.
    pub fn generation(&self, id: UploadId) -> Generation {
        Generation { upload: id, id: self.generation }
    }

    /// Whether no chunk of it was ever recorded. An upload whose bytes arrive in order counts as used from the start,
    /// because its client knows of it.
    pub fn is_unused(&self) -> bool {
        self.append.is_none() && self.epoch == 0 && self.layout.parts().len() == 0
    }

    /// Returns a snapshot of the upload, whose uuid is `id`.
    pub fn snapshot(&self, id: UploadId) -> Snapshot {
        Snapshot { generation: self.generation(id), epoch: self.epoch }
    }
}

/// A File some of whose bytes are still to be overwritten.
#[derive(Clone, Debug)]
pub struct Finalizing {
    /// What the upload will be. Sizes and checksums are those after overwriting.
    pub file: NewFile,
    /// The bytes to overwrite. Repeating it is harmless.
    pub patches: Vec<Patch>,
}

/// A file to be recorded.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// The filename that receivers see.
    pub filename: Filename,
    /// Whether the filename is final.
    pub named: bool,
    /// Whether the server made the filename up: then one that a chunk has declared in the meantime is used.
    pub made_up: bool,
    /// What was detected from its bytes.
    pub facts: Facts,
    /// What happened to the metadata embedded in its bytes.
    pub embedded: EmbeddedMetadata,
    /// Where its bytes are stored.
    pub extents: Extents,
    /// Its size in bytes.
    pub size: u64,
    /// CRC-32 of all bytes.
    pub crc32: u32,
    /// MD5 of the bytes as they were sent, if a client asked to compare it.
    pub received_md5: Option<[u8; 16]>,
    /// The parts as they were received, in order and without gaps.
    pub received: Vec<Part>,
    /// Whether a thumbnail can be made of these bytes.
    pub drawable: bool,
}

/// What an upload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A file of its own.
    Media,
    /// The thumbnail of its parent.
    Thumbnail,
}

/// A finished file.
#[derive(Clone, Debug)]
pub struct StoredFile {
    /// Its uuid.
    pub id: UploadId,
    /// Its owner.
    pub user: UserId,
    /// What it is for.
    pub role: Role,
    /// Where its bytes are stored.
    pub extents: Extents,
    /// Its size in bytes.
    pub size: u64,
    /// CRC-32 of all bytes.
    pub crc32: u32,
    /// The filename that receivers see.
    pub filename: Filename,
    /// Whether a done request has set the filename; until then the first one may.
    pub named: bool,
    /// What was detected from its bytes.
    pub facts: Facts,
    /// What happened to the metadata embedded in its bytes.
    pub embedded: EmbeddedMetadata,
    /// MD5 of the bytes as they were sent, if a client asked to compare it.
    pub received_md5: Option<[u8; 16]>,
    /// The media that this thumbnail or scaled copy belongs to.
    pub parent: Option<UploadId>,
    /// Its current thumbnail.
    pub thumbnail: Option<UploadId>,
    /// Whether a message shows it.
    pub attached: bool,
    /// Whether a thumbnail is still to be made of it.
    pub undrawn: bool,
    /// When its upload began, in unix seconds.
    pub created_at: u64,
}

/// An entry of a user's list.
#[derive(Clone, Debug)]
pub enum Listed {
    /// An upload that receives chunks.
    Unfinished(Summary),
    /// A File.
    File(Box<StoredFile>),
}

impl Listed {
    /// Its uuid.
    pub fn id(&self) -> UploadId {
        match self {
            Self::Unfinished(upload) => upload.id,
            Self::File(file) => file.id,
        }
    }
}

/// An unfinished upload without its parts, of which there may be very many.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its uuid.
    pub id: UploadId,
    /// The filename that its chunks declared.
    pub filename: Option<Filename>,
    /// The number of its parts; 0 if its bytes arrive in order.
    pub total_parts: u32,
    /// The file's size, once a request has declared it.
    pub total_size: Option<u64>,
    /// Bytes received.
    pub received_bytes: u64,
    /// The last time at which something of it was stored.
    pub touched_at: u64,
}

/// Where a list of records continues: with rows older than this one.
pub type Cursor = u64;

/// A key that signs links.
#[derive(Clone)]
pub struct LinkKey {
    /// Its number, which links contain.
    pub id: u64,
    /// 32 random bytes.
    pub secret: [u8; 32],
    /// Unix seconds from which on its links aren't accepted; `None` for the key that signs.
    pub accepted_until: Option<u64>,
}
