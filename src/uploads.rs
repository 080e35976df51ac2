//! The state machine of an upload: the only one who knows the order of steps.
//!
//! Names no HTTP type, no SQL and no path. A request's bytes go through three steps: [`Uploads::slot`]
//! says where they go, [`Slot::fill`] takes them, and `accept_…` puts them on record.

mod claims;
mod finish;
mod refusal;
mod slot;

use std::sync::Arc;
use std::time::Duration;

pub use finish::DoneRequest;
pub use refusal::Refusal;
pub use slot::{Filled, Granted, Slot, Spool};

use crate::clock::Clock;
use crate::filename::Filename;
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::{
    Begun, Cursor, MetadataStore, NewFile, NewPart, NewSingle, NewUpload, Record, Recorded,
    Removed, Role, State, Stored, StoredFile, UnfinishedCap,
};
use crate::part::{self, Declaration, Layout, Part, Placement, PlacementError};
use crate::storage::{BlobStore, BodyError, Written};
use claims::{Attempt, Claim, Entries, Entry};

/// An unfinished upload in which nothing was stored for so long makes room for a new one at the cap.
const IDLE: Duration = Duration::from_hours(1);

/// What one user may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a file.
    pub max_file_size: u64,
    /// Bytes of a chunk.
    pub max_chunk_size: u64,
    /// Chunks of a file.
    pub max_parts: u32,
    /// Unfinished uploads of one user.
    pub max_unfinished: u32,
    /// An unfinished upload lives so long after its last stored chunk.
    pub upload_ttl: Duration,
}

/// A chunk, as its request describes it.
#[derive(Clone, Debug)]
pub struct ChunkRequest {
    /// Who sends it.
    pub user: UserId,
    /// The upload it belongs to, once the client knows it.
    pub id: Option<UploadId>,
    /// What it says of its place.
    pub declared: Declaration,
    /// The file's name, if it says so.
    pub filename: Option<Filename>,
    /// The media type, if it says so.
    pub declared_type: Option<String>,
    /// The media this scaled copy belongs to.
    pub parent: Option<UploadId>,
}

/// A file that comes in one request, as that request describes it.
#[derive(Clone, Debug)]
pub struct SingleRequest {
    /// Who sends it.
    pub user: UserId,
    /// Its uuid, if the client made one.
    pub id: Option<UploadId>,
    /// What it is for.
    pub role: Role,
    /// The media it belongs to; a thumbnail has one.
    pub parent: Option<UploadId>,
    /// What it says of its size.
    pub declared: Declaration,
    /// Its MD5, if it says so.
    pub md5: Option<[u8; 16]>,
    /// Its name, if it says so.
    pub filename: Option<Filename>,
    /// Its media type, if it says so.
    pub declared_type: Option<String>,
    /// Its duration in whole seconds, if it says so.
    pub duration_secs: Option<u64>,
}

/// The uploads and files of all users.
pub struct Uploads {
    blobs: Arc<dyn BlobStore>,
    metadata: Arc<dyn MetadataStore>,
    limits: Limits,
    clock: Clock,
    entries: Entries,
}

impl Uploads {
    /// Uploads over these stores.
    pub fn new(
        blobs: Arc<dyn BlobStore>,
        metadata: Arc<dyn MetadataStore>,
        limits: Limits,
        clock: Clock,
    ) -> Self {
        Self {
            blobs,
            metadata,
            limits,
            clock,
            entries: Entries::default(),
        }
    }

    /// Where the bytes of a request go, decided before the first of them is read. `chunk`: what is known
    /// so far, when it is a chunk; `bound`: no more bytes than this can come.
    ///
    /// What can't be placed yet goes to a spool; nothing is refused that later fields could put right.
    pub async fn slot(
        self: &Arc<Self>,
        chunk: Option<&ChunkRequest>,
        bound: u64,
    ) -> Result<Slot, Refusal> {
        let Some(request) = chunk else {
            return Ok(Slot::Spool(Spool::of_file(self)));
        };
        let Some(id) = request.id else {
            return Ok(Slot::Spool(Spool::of_chunk(self)));
        };
        self.check_limits(&request.declared, None)?;
        let Some(entry) = self.open_or_begin(id, request).await? else {
            return Ok(Slot::Spool(Spool::of_chunk(self)));
        };
        let bound = bound.min(self.limits.max_chunk_size);
        let claim = Claim::new(entry, request.declared.index);
        match self.claim(claim, &request.declared, None, bound).await? {
            Claimed::Granted(granted) => Ok(Slot::InPlace {
                granted,
                blobs: Arc::clone(&self.blobs),
            }),
            Claimed::Recorded(part) => Ok(Slot::Recorded {
                part,
                limit: self.limits.max_chunk_size,
            }),
            Claimed::NeedsSize => Ok(Slot::Spool(Spool::of_chunk(self))),
        }
    }

    /// Puts a chunk on record whose bytes and fields have all arrived; from here on it completes even if
    /// the caller goes away. Answers the upload's uuid. The same chunk again is answered the same.
    pub async fn accept_chunk(
        self: &Arc<Self>,
        filled: Filled,
        request: ChunkRequest,
    ) -> Result<UploadId, Refusal> {
        let this = Arc::clone(self);
        detached(async move { this.record_chunk(filled, &request).await }).await
    }

    async fn record_chunk(
        self: &Arc<Self>,
        filled: Filled,
        request: &ChunkRequest,
    ) -> Result<UploadId, Refusal> {
        let (declared, written) = (&request.declared, filled.written);
        self.check_limits(declared, Some(written.size))?;
        match filled.slot {
            Slot::Recorded { part, .. } => {
                let id = request.id.ok_or(Refusal::UuidMissing {
                    index: declared.index,
                })?;
                self.compare(id, declared, part, written).await?;
                Ok(id)
            }
            Slot::InPlace { granted, .. } => {
                let start = granted.start;
                match place_again(&granted.claim.entry, declared, written.size)? {
                    Some(Placement::At {
                        start: again,
                        even_size,
                    }) if again == start => {
                        let part = Part {
                            offset: start,
                            size: written.size,
                            crc32: written.crc32,
                        };
                        self.commit_part(granted.claim, declared, part, even_size)
                            .await
                    }
                    Some(_) => {
                        // Fields behind the file say otherwise than those before it.
                        let range = start..start + written.size;
                        let spool = Spool::copy(self, granted.blob, range).await?;
                        drop(granted);
                        self.record_spooled(spool, written, request).await
                    }
                    None => Err(self
                        .why_not_receiving(granted.claim.entry.id, declared)
                        .await),
                }
            }
            Slot::Spool(spool) => self.record_spooled(spool, written, request).await,
        }
    }

    /// Places a chunk whose bytes came before the fields that place it. The first bytes of a new upload
    /// stay where they are; others are copied into place.
    async fn record_spooled(
        self: &Arc<Self>,
        spool: Spool,
        written: Written,
        request: &ChunkRequest,
    ) -> Result<UploadId, Refusal> {
        let declared = &request.declared;
        let id = match request.id {
            Some(id) => id,
            None if declared.index == 0 => UploadId::random(),
            None => {
                return Err(Refusal::UuidMissing {
                    index: declared.index,
                });
            }
        };
        if let Some(claim) = self.adopt_spool(id, &spool, written, request).await? {
            spool.keep();
            let part = Part {
                offset: 0,
                size: written.size,
                crc32: written.crc32,
            };
            return self.commit_part(claim, declared, part, None).await;
        }
        let entry = self
            .open_or_begin(id, request)
            .await?
            .ok_or(Refusal::Placement(PlacementError::TotalPartsMissing))?;
        let claim = Claim::new(entry, declared.index);
        match self
            .claim(claim, declared, Some(written.size), written.size)
            .await?
        {
            Claimed::Granted(granted) => {
                let mut bytes = spool.read(written.size).await?;
                let copied = self
                    .blobs
                    .write_part(granted.blob, granted.start, written.size, bytes.as_mut())
                    .await
                    .map_err(|error| Refusal::of_write(error, |_| Refusal::Raced))?;
                let part = Part {
                    offset: granted.start,
                    size: copied.size,
                    crc32: copied.crc32,
                };
                let placed = place_again(&granted.claim.entry, declared, copied.size)?;
                let Some(Placement::At { even_size, .. }) = placed else {
                    return Err(Refusal::Raced);
                };
                self.commit_part(granted.claim, declared, part, even_size)
                    .await
            }
            Claimed::Recorded(part) => {
                self.compare(id, declared, part, written).await?;
                Ok(id)
            }
            Claimed::NeedsSize => Err(Refusal::Raced), // the size is known: can't be
        }
    }

    /// Begins an upload whose first bytes are the spool's, if it is new and they are its first. The claim
    /// is taken before anybody else can see the upload.
    async fn adopt_spool(
        self: &Arc<Self>,
        id: UploadId,
        spool: &Spool,
        written: Written,
        request: &ChunkRequest,
    ) -> Result<Option<Claim>, Refusal> {
        let Some(total_parts) = request.declared.total_parts else {
            return Ok(None);
        };
        let placed = part::place(
            &request.declared,
            &Layout::new(total_parts),
            Some(written.size),
        );
        if !matches!(
            placed,
            Ok(Placement::At {
                start: 0,
                even_size: None
            })
        ) {
            return Ok(None);
        }
        let entry = self.entries.get(id);
        let _loading = entry.loading.lock().await;
        if request.id.is_some() && self.loaded(&entry).await? {
            return Ok(None);
        }
        if !self
            .begin(&entry, request, total_parts, spool.blob())
            .await?
        {
            return Ok(None);
        }
        let claim = Claim::new(Arc::clone(&entry), request.declared.index);
        match claim.attempt(&request.declared, Some(written.size), written.size)? {
            Attempt::Granted { .. } => Ok(Some(claim)),
            _ => Err(Refusal::Raced),
        }
    }

    /// Puts a file that came in one request on record; from here on it completes even if the caller goes
    /// away. The same bytes again under the same uuid are answered with the same File.
    pub async fn accept_single(
        self: &Arc<Self>,
        filled: Filled,
        request: SingleRequest,
    ) -> Result<StoredFile, Refusal> {
        let this = Arc::clone(self);
        detached(async move { this.record_single(filled, request).await }).await
    }

    async fn record_single(
        self: &Arc<Self>,
        filled: Filled,
        request: SingleRequest,
    ) -> Result<StoredFile, Refusal> {
        let written = filled.written;
        // Only chunks get other slots, and fields that have arrived stay.
        let Slot::Spool(spool) = filled.slot else {
            return Err(Refusal::Raced);
        };
        let total =
            part::check_declaration(&request.declared, &Layout::new(1), Some(written.size))?;
        if let Some(declared) = total.filter(|total| *total != written.size) {
            return Err(Refusal::TotalSizeMismatch {
                declared,
                actual: written.size,
            });
        }
        if written.size > self.limits.max_file_size {
            return Err(Refusal::FileTooLong {
                max: self.limits.max_file_size,
            });
        }
        let id = request.id.unwrap_or_else(UploadId::random);
        if let Some(file) = self.same_file(id, &request, written).await? {
            return Ok(file);
        }
        self.check_md5(spool.blob(), written.size, request.md5)
            .await?;
        let media_type = self
            .sniff(spool.blob(), written.size, request.filename.as_ref())
            .await?;
        let parent = match (request.role, request.parent) {
            (Role::Thumbnail, _) if !media_type.is_image() => {
                return Err(Refusal::NotAnImage {
                    found: media_type.to_string(),
                });
            }
            (Role::Thumbnail, Some(parent)) => Some(self.parent_of(parent, request.user).await?),
            (_, parent) => parent,
        };
        let part = Part {
            offset: 0,
            size: written.size,
            crc32: written.crc32,
        };
        self.blobs.seal(spool.blob(), &[part]).await?;
        let filename = request
            .filename
            .clone()
            .unwrap_or_else(|| Filename::made_up(media_type.extension()));
        let new = NewSingle {
            id,
            user: request.user,
            role: request.role,
            parent,
            blob: spool.blob(),
            declared_type: request.declared_type.clone(),
            file: NewFile {
                filename,
                named: false,
                media_type,
                duration_secs: request.duration_secs,
                size: written.size,
                crc32: written.crc32,
                received: vec![part],
            },
        };
        match self
            .metadata
            .store_single(new, self.clock.unix_secs())
            .await?
        {
            Stored::Stored { replaced } => {
                spool.keep();
                self.entries.get(id).forget();
                self.delete_blobs(replaced).await;
                self.stored(id).await
            }
            Stored::NoParent => Err(Refusal::NoParent),
            Stored::Exists => self
                .same_file(id, &request, written)
                .await?
                .ok_or(Refusal::Raced),
        }
    }

    /// The File that this uuid already names, if these are its bytes.
    async fn same_file(
        &self,
        id: UploadId,
        request: &SingleRequest,
        written: Written,
    ) -> Result<Option<StoredFile>, Refusal> {
        let Some(record) = self.metadata.load(id).await? else {
            return Ok(None);
        };
        match owned(record, request.user)?.state {
            State::Finished(file) if (file.size, file.crc32) == (written.size, written.crc32) => {
                Ok(Some(*file))
            }
            State::Finished(_) | State::Receiving(_) => Err(Refusal::FileConflict),
            State::Expired => Err(self.expired(id).await),
            State::Removed | State::Replaced { .. } => Err(Refusal::Removed),
        }
    }

    /// The media a thumbnail belongs to; a thumbnail's own uuid stands for its parent.
    async fn parent_of(&self, id: UploadId, user: UserId) -> Result<UploadId, Refusal> {
        let record = self
            .metadata
            .load(id)
            .await?
            .filter(|record| record.user == user);
        match record.map(|record| record.state) {
            Some(State::Finished(file)) if file.role == Role::Thumbnail => {
                file.parent.ok_or(Refusal::NoParent)
            }
            Some(State::Finished(_) | State::Receiving(_)) => Ok(id),
            Some(State::Replaced { parent }) => Ok(parent),
            _ => Err(Refusal::NoParent),
        }
    }

    async fn stored(&self, id: UploadId) -> Result<StoredFile, Refusal> {
        match self.metadata.load(id).await?.map(|record| record.state) {
            Some(State::Finished(file)) => Ok(*file),
            _ => Err(Refusal::Removed), // deleted in the same moment
        }
    }

    /// What is known of an unfinished upload or File, for its owner.
    pub async fn record(&self, id: UploadId, user: UserId) -> Result<Record, Refusal> {
        let record = self.metadata.load(id).await?.ok_or(Refusal::NotFound)?;
        let record = owned(record, user)?;
        match record.state {
            State::Removed => Err(Refusal::Removed),
            State::Expired => Err(Refusal::Expired),
            _ => Ok(record),
        }
    }

    /// When an unfinished upload in which something was last stored at `touched_at` expires.
    pub fn expires_at(&self, touched_at: u64) -> u64 {
        touched_at.saturating_add(self.limits.upload_ttl.as_secs())
    }

    /// The File of this uuid, for its owner; a thumbnail's uuid gives its parent.
    pub async fn file(&self, id: UploadId, user: UserId) -> Result<StoredFile, Refusal> {
        self.record(id, user).await?;
        self.files(vec![id])
            .await?
            .pop()
            .flatten()
            .ok_or(Refusal::NotFound)
    }

    /// The Files of these uuids, in order; a thumbnail's uuid gives its parent.
    pub async fn files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Refusal> {
        Ok(self.metadata.find_files(ids).await?)
    }

    /// Marks Files as shown by a message, so that their owner can't delete them. Repeating it is harmless.
    pub async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Refusal> {
        Ok(self.metadata.attach(ids).await?)
    }

    /// A user's unfinished uploads and Files, newest first.
    pub async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Record>, Option<Cursor>), Refusal> {
        Ok(self.metadata.list(user, before, limit).await?)
    }

    /// Cancels an upload or deletes a File of this user's, or of anybody's for the application's backend
    /// (`None`), which may delete attached ones too. The bytes are gone when it answers.
    pub async fn remove(
        self: &Arc<Self>,
        id: UploadId,
        owner: Option<UserId>,
    ) -> Result<(), Refusal> {
        let record = self.metadata.load(id).await?.ok_or(Refusal::NotFound)?;
        let user = owner.unwrap_or(record.user);
        self.record(id, user).await?;
        let this = Arc::clone(self);
        detached(async move {
            let now = this.clock.unix_secs();
            match this.metadata.remove(id, owner.is_none(), now).await? {
                Removed::Removed { blobs } => {
                    this.entries.get(id).forget_and_revoke();
                    this.delete_blobs(blobs).await;
                    Ok(())
                }
                Removed::Attached => Err(Refusal::Attached),
                Removed::Nothing => Err(Refusal::Removed),
            }
        })
        .await
    }

    /// Expires uploads in which nothing was stored for their time to live; answers how many.
    pub async fn expire_idle(&self) -> Result<usize, Refusal> {
        const BATCH: u32 = 500;
        let now = self.clock.unix_secs();
        let idle_since = now.saturating_sub(self.limits.upload_ttl.as_secs());
        let mut count = 0;
        loop {
            let expired = self.metadata.expire(idle_since, BATCH, now).await?;
            if expired.is_empty() {
                return Ok(count);
            }
            count += expired.len();
            for (id, blob) in expired {
                self.entries.get(id).forget_and_revoke();
                self.delete_blobs([blob]).await;
            }
        }
    }

    /// Deletes blobs that no record claims and nobody has written for `age`; answers how many.
    pub async fn delete_unclaimed(&self, age: Duration) -> Result<usize, Refusal> {
        let before = self.clock.unix_secs().saturating_sub(age.as_secs());
        let old = self.blobs.list_older_than(before).await?;
        let unclaimed = self.metadata.unclaimed(old).await?;
        let count = unclaimed.len();
        self.delete_blobs(unclaimed).await;
        Ok(count)
    }

    /// Deletes bytes that the records have already forgotten. What fails here, the sweep finds.
    async fn delete_blobs(&self, blobs: impl IntoIterator<Item = BlobId>) {
        for blob in blobs {
            if let Err(error) = self.blobs.delete(blob).await {
                tracing::warn!(%blob, %error, "forgotten bytes could not be deleted yet");
            }
        }
    }

    /// Of an expired upload: says so once, and frees the uuid for the client to start again.
    async fn expired(&self, id: UploadId) -> Refusal {
        match self.metadata.forget_expired(id).await {
            Ok(()) => {
                self.entries.get(id).forget();
                Refusal::Expired
            }
            Err(error) => error.into(),
        }
    }

    /// Loads the record unless it is there; `false` when there is none. The caller holds `loading`.
    async fn loaded(&self, entry: &Entry) -> Result<bool, Refusal> {
        if entry.look(|_| ()).is_some() {
            return Ok(true);
        }
        match self.metadata.load(entry.id).await? {
            Some(record) => {
                entry.remember(record);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The upload's entry with its record loaded, begun if the uuid is new. `None` when it is new and
    /// `totalparts` isn't known yet.
    async fn open_or_begin(
        self: &Arc<Self>,
        id: UploadId,
        request: &ChunkRequest,
    ) -> Result<Option<Arc<Entry>>, Refusal> {
        let entry = self.entries.get(id);
        let owner = entry.look(|record| record.user);
        if owner.is_none() {
            let _loading = entry.loading.lock().await;
            if !self.loaded(&entry).await? {
                let Some(total_parts) = request.declared.total_parts else {
                    return Ok(None);
                };
                part::check_declaration(&request.declared, &Layout::new(total_parts), None)?;
                if !self
                    .begin(&entry, request, total_parts, BlobId::random())
                    .await?
                {
                    return Err(Refusal::Raced);
                }
            }
        }
        match entry.look(|record| (record.user, matches!(record.state, State::Receiving(_)))) {
            Some((user, _)) if user != request.user => Err(Refusal::NotFound),
            Some((_, true)) => Ok(Some(entry)),
            _ => match self.gone(&entry).await {
                Some(refusal) => Err(refusal),
                None => Ok(Some(entry)),
            },
        }
    }

    /// Why an upload that isn't receiving takes nothing; `None` when it is finished.
    async fn gone(&self, entry: &Entry) -> Option<Refusal> {
        match entry.record().map(|record| record.state) {
            Some(State::Removed | State::Replaced { .. }) => Some(Refusal::Removed),
            Some(State::Expired) => Some(self.expired(entry.id).await),
            Some(State::Finished(_) | State::Receiving(_)) => None,
            None => Some(Refusal::Raced),
        }
    }

    /// Commits a new upload; `false` when the uuid is taken. The caller holds `loading`.
    async fn begin(
        &self,
        entry: &Entry,
        request: &ChunkRequest,
        total_parts: u32,
        blob: BlobId,
    ) -> Result<bool, Refusal> {
        let now = self.clock.unix_secs();
        let new = NewUpload {
            id: entry.id,
            user: request.user,
            blob,
            total_parts,
            filename: request.filename.clone(),
            declared_type: request.declared_type.clone(),
            parent: request.parent,
        };
        let cap = UnfinishedCap {
            max: self.limits.max_unfinished,
            idle_since: now.saturating_sub(IDLE.as_secs()),
        };
        let evicted = match self.metadata.begin_upload(new, cap, now).await? {
            Begun::Begun { evicted } => evicted,
            Begun::Exists => return Ok(false),
            Begun::TooMany => return Err(Refusal::TooManyUnfinished { max: cap.max }),
        };
        if let Some((id, blob)) = evicted {
            self.entries.get(id).forget_and_revoke();
            self.delete_blobs([blob]).await;
        }
        self.loaded(entry).await
    }

    /// Waits until the range is this sender's, or until something else is known of it.
    async fn claim(
        &self,
        claim: Claim,
        declared: &Declaration,
        size: Option<u64>,
        bound: u64,
    ) -> Result<Claimed, Refusal> {
        let entry = Arc::clone(&claim.entry);
        loop {
            let mut released = std::pin::pin!(entry.released());
            released.as_mut().enable();
            match claim.attempt(declared, size, bound)? {
                Attempt::Granted { blob, start, limit } => {
                    if start.saturating_add(part::declared_size(declared).unwrap_or(0))
                        > self.limits.max_file_size
                    {
                        return Err(Refusal::FileTooLong {
                            max: self.limits.max_file_size,
                        });
                    }
                    let declared = part::declared_size(declared).is_some();
                    return Ok(Claimed::Granted(Granted {
                        claim,
                        blob,
                        start,
                        limit,
                        declared,
                    }));
                }
                Attempt::Recorded(part) => return Ok(Claimed::Recorded(part)),
                Attempt::NeedsSize => return Ok(Claimed::NeedsSize),
                Attempt::Superseded => return Err(Refusal::Body(BodyError::Superseded)),
                Attempt::Busy => released.await,
                Attempt::NotReceiving => {
                    let _loading = entry.loading.lock().await;
                    if !self.loaded(&entry).await? {
                        return Err(Refusal::Raced);
                    }
                    if let Some(refusal) = self.gone(&entry).await {
                        return Err(refusal);
                    }
                    if entry.look(|record| matches!(record.state, State::Finished(_))) == Some(true)
                    {
                        let received = self.metadata.received_parts(entry.id).await?;
                        let part = received.get(declared.index as usize).copied();
                        let index = declared.index;
                        return part
                            .map(Claimed::Recorded)
                            .ok_or(Refusal::UploadFinished { index });
                    }
                }
            }
        }
    }

    /// Commits a part whose bytes are written, under its live claim.
    async fn commit_part(
        &self,
        claim: Claim,
        declared: &Declaration,
        part: Part,
        even_size: Option<u64>,
    ) -> Result<UploadId, Refusal> {
        if part.range().end > self.limits.max_file_size {
            return Err(Refusal::FileTooLong {
                max: self.limits.max_file_size,
            });
        }
        if !claim.begin_commit() {
            return Err(Refusal::Body(BodyError::Superseded));
        }
        let entry = &claim.entry;
        let total_size = declared
            .total_size
            .or(declared.content_range.and_then(|r| r.total));
        let known = entry.look(|record| match &record.state {
            State::Receiving(u) => (u.layout.total_size, u.layout.even_size),
            _ => (None, None),
        });
        let (known_total, known_even) = known.unwrap_or_default();
        let new = NewPart {
            index: declared.index,
            part,
            total_size: total_size.filter(|_| known_total.is_none()),
            even_size: even_size.filter(|_| known_even.is_none()),
        };
        let now = self.clock.unix_secs();
        match self.metadata.record_part(entry.id, new, now).await? {
            Recorded::Stored => {
                entry.insert(&new, now);
                Ok(entry.id)
            }
            Recorded::Refused => {
                entry.forget();
                Err(self.why_not_receiving(entry.id, declared).await)
            }
        }
    }

    /// Why a part could not be recorded: the upload was finished, removed or changed meanwhile.
    async fn why_not_receiving(&self, id: UploadId, declared: &Declaration) -> Refusal {
        match self.metadata.load(id).await {
            Err(error) => error.into(),
            Ok(record) => match record.map(|record| record.state) {
                Some(State::Finished(_)) => Refusal::UploadFinished {
                    index: declared.index,
                },
                Some(State::Removed | State::Replaced { .. }) => Refusal::Removed,
                Some(State::Expired) => self.expired(id).await,
                Some(State::Receiving(_)) | None => Refusal::Raced,
            },
        }
    }

    /// A chunk that was sent again: fine when it is the same.
    async fn compare(
        &self,
        id: UploadId,
        declared: &Declaration,
        part: Part,
        written: Written,
    ) -> Result<(), Refusal> {
        let same_place = part::declared_offset(declared).is_none_or(|start| start == part.offset);
        if same_place && (part.size, part.crc32) == (written.size, written.crc32) {
            return Ok(());
        }
        let index = declared.index;
        match self.metadata.load(id).await?.map(|record| record.state) {
            Some(State::Finished(_)) => Err(Refusal::UploadFinished { index }),
            _ => Err(Refusal::ChunkConflict { index }),
        }
    }

    fn check_limits(&self, declared: &Declaration, size: Option<u64>) -> Result<(), Refusal> {
        let Limits {
            max_file_size,
            max_chunk_size,
            max_parts,
            ..
        } = self.limits;
        if let Some(sent) = declared.total_parts.filter(|sent| *sent > max_parts) {
            return Err(Refusal::TooManyParts {
                sent: sent.into(),
                max: max_parts,
            });
        }
        let total = declared
            .total_size
            .or(declared.content_range.and_then(|range| range.total));
        if let Some(size) = total.filter(|size| *size > max_file_size) {
            return Err(Refusal::FileTooLarge {
                size,
                max: max_file_size,
            });
        }
        let size = size.or_else(|| part::declared_size(declared));
        if size.is_some_and(|size| size > max_chunk_size) {
            return Err(Refusal::ChunkTooLarge {
                max: max_chunk_size,
            });
        }
        Ok(())
    }
}

/// The upload as this user's; to anybody else it does not exist.
fn owned(record: Record, user: UserId) -> Result<Record, Refusal> {
    if record.user == user {
        Ok(record)
    } else {
        Err(Refusal::NotFound)
    }
}

/// What became of waiting for a range.
enum Claimed {
    Granted(Granted),
    Recorded(Part),
    NeedsSize,
}

/// Where the part goes now that its size and all its fields are known; `None` when the upload receives
/// nothing any more.
fn place_again(
    entry: &Entry,
    declared: &Declaration,
    size: u64,
) -> Result<Option<Placement>, Refusal> {
    let placed = entry.look(|record| match &record.state {
        State::Receiving(unfinished) => {
            part::place(declared, &unfinished.layout, Some(size)).map(Some)
        }
        _ => Ok(None),
    });
    Ok(placed.transpose()?.flatten())
}

/// Runs `work` to its end even if the caller is dropped: a client that hangs up must not leave a step
/// half taken.
async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|panic| Err(Refusal::Internal(Box::new(panic))))
}
