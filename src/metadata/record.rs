//! What the records say: of uploads and Files, and of link keys.

use super::{Append, Location};
use crate::filename::Filename;
use crate::ids::{GenerationId, UploadId, UserId};
use crate::media::privacy::EmbeddedMetadata;
use crate::media::{Facts, Patch};
use crate::part::{Layout, Part};
use crate::storage::Extents;

/// What the records say of one uuid.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its uuid.
    pub id: UploadId,
    /// Whose it is; nobody's once it is erased.
    pub user: Option<UserId>,
    /// How far it has come.
    pub state: State,
}

/// How far an upload has come.
#[derive(Clone, Debug)]
pub enum State {
    /// Chunks are coming in.
    Receiving(Box<Unfinished>),
    /// It is a File.
    Finished(Box<StoredFile>),
    /// Cancelled or deleted: gone for ever.
    Removed,
    /// It was not finished in time.
    Expired,
    /// A thumbnail that a newer one replaced; it still stands for its parent.
    Replaced {
        /// The media it belongs to.
        parent: UploadId,
    },
    /// Its owner was erased: only its uuid is known, which is never used again.
    Erased,
}

impl State {
    /// The media that a thumbnail belongs to.
    pub fn parent(&self) -> Option<UploadId> {
        match self {
            Self::Finished(file) if file.role == Role::Thumbnail => file.parent,
            Self::Replaced { parent } => Some(*parent),
            _ => None,
        }
    }

    /// The state without its details.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Receiving(_) => Standing::Receiving,
            Self::Finished(_) => Standing::Finished,
            Self::Removed | Self::Replaced { .. } | Self::Erased => Standing::Removed,
            Self::Expired => Standing::Expired,
        }
    }
}

/// How far an upload has come, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Chunks are coming in.
    Receiving,
    /// It is a File.
    Finished,
    /// It is gone for ever; a replaced thumbnail too takes and gives nothing of its own.
    Removed,
    /// It was not finished in time.
    Expired,
}

/// One life of an unfinished upload. Its uuid may begin anew once it has expired, and it begins again where the store
/// failed to keep its bytes; what somebody still does who began with an earlier life is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Its uuid.
    pub upload: UploadId,
    /// Another one in each life.
    pub id: GenerationId,
}

/// What somebody read of an unfinished upload who is to make a File of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The upload.
    pub generation: Generation,
    /// [`Unfinished::epoch`], as it was then.
    pub epoch: u32,
}

/// An upload that receives chunks.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// Which life of it this is.
    pub generation: GenerationId,
    /// Where its parts lie.
    pub location: Location,
    /// Counts what makes void what was read of it: that parts were taken away again, and that somebody put on record
    /// what it is about to become. A part that is added makes nothing void.
    pub epoch: u32,
    /// Its parts and totals.
    pub layout: Layout,
    /// What else is known of it if its bytes come in order; `None` if its parts have indexes.
    pub append: Option<Append>,
    /// Bytes that count against its user's quota.
    pub reserved: u64,
    /// The name its chunks gave.
    pub filename: Option<Filename>,
    /// The media type its chunks declared.
    pub declared_type: Option<String>,
    /// The last time something of it was stored.
    pub touched_at: u64,
    /// What it is about to become: its bytes may be partly overwritten already.
    pub finalizing: Option<Box<Finalizing>>,
    /// Whether its parts are to be compared with their bytes first: the machine was booted since.
    pub suspect: bool,
}

impl Unfinished {
    /// This life of the upload `id`.
    pub fn generation(&self, id: UploadId) -> Generation {
        Generation { upload: id, id: self.generation }
    }

    /// Whether no chunk of it was ever on record. An upload whose bytes come in order is used from the start: its client
    /// knows of it.
    pub fn is_unused(&self) -> bool {
        self.append.is_none() && self.epoch == 0 && self.layout.parts().len() == 0
    }

    /// The upload `id` as it was read.
    pub fn snapshot(&self, id: UploadId) -> Snapshot {
        Snapshot { generation: self.generation(id), epoch: self.epoch }
    }
}

/// A File whose bytes are still to be overwritten in places.
#[derive(Clone, Debug)]
pub struct Finalizing {
    /// What the upload will be; sizes and checksum are those after overwriting.
    pub file: NewFile,
    /// What to overwrite. Doing it again is harmless.
    pub patches: Vec<Patch>,
}

/// A file to put on record.
#[derive(Clone, Debug)]
pub struct NewFile {
    /// What receivers see it called.
    pub filename: Filename,
    /// Whether that name is final.
    pub named: bool,
    /// Whether nobody gave it: then one that a chunk gave in the meantime counts.
    pub made_up: bool,
    /// What its bytes say.
    pub facts: Facts,
    /// What became of the metadata in its bytes.
    pub embedded: EmbeddedMetadata,
    /// Where its bytes lie.
    pub extents: Extents,
    /// Bytes.
    pub size: u64,
    /// CRC-32 of the whole.
    pub crc32: u32,
    /// MD5 of the bytes as they were sent, where a client asked to compare it.
    pub received_md5: Option<[u8; 16]>,
    /// The parts as they were received, in order and end to end.
    pub received: Vec<Part>,
    /// Whether a thumbnail is to be made of these bytes.
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
    /// Whose it is.
    pub user: UserId,
    /// What it is for.
    pub role: Role,
    /// Where its bytes lie.
    pub extents: Extents,
    /// Bytes.
    pub size: u64,
    /// CRC-32 of the whole.
    pub crc32: u32,
    /// What receivers see it called.
    pub filename: Filename,
    /// Whether a done has given that name; until then the first done may.
    pub named: bool,
    /// What its bytes say.
    pub facts: Facts,
    /// What became of the metadata in its bytes.
    pub embedded: EmbeddedMetadata,
    /// MD5 of the bytes as they were sent, where a client asked to compare it.
    pub received_md5: Option<[u8; 16]>,
    /// The media this thumbnail or scaled copy belongs to.
    pub parent: Option<UploadId>,
    /// Its current thumbnail.
    pub thumbnail: Option<UploadId>,
    /// Whether a message shows it.
    pub attached: bool,
    /// Whether a picture is still to be made of it.
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

/// An unfinished upload without its parts, of which it may have very many.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its uuid.
    pub id: UploadId,
    /// The name its chunks gave.
    pub filename: Option<Filename>,
    /// Into how many parts it is cut; 0 where its bytes come in order.
    pub total_parts: u32,
    /// The file's size, once somebody declared it.
    pub total_size: Option<u64>,
    /// Bytes received.
    pub received_bytes: u64,
    /// The last time something of it was stored.
    pub touched_at: u64,
}

/// Where a list of records continues: rows older than this one.
pub type Cursor = u64;

/// A key that signs links.
#[derive(Clone)]
pub struct LinkKey {
    /// Its number, which a link names.
    pub id: u64,
    /// 32 random bytes.
    pub secret: [u8; 32],
    /// Unix seconds from which on its links show nothing; `None` for the one that signs.
    pub accepted_until: Option<u64>,
}
