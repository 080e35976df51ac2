//! The real stores with a test's hooks around their steps: what delegates stands here once.

use std::ops::Range;
use std::sync::Arc;

use haversack::filename::Filename;
use haversack::ids::{BlobId, GenerationId, JobId, LeaseId, UploadId, UserId};
use haversack::media::Patch;
use haversack::metadata::jobs::{Job, JobCount, JobKind, JobQueue, JobStatus, NewJob, Outcome};
use haversack::metadata::quota::{Quota, Usage};
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{
    Appended, Begun, Caps, Cursor, Error, Generation, InPlaceRecords, Joined, LinkKey, Listed,
    MetadataStore, NewBytes, NewFile, NewPart, NewPicture, NewSingle, NewUpload, Record, Recorded,
    Removed, Reserved, Snapshot, Stored, StoredFile,
};
use haversack::part::Part;
use haversack::storage::disk::DiskStore;
use haversack::storage::{
    self, BlobStore, Claims, Extents, Incoming, Listing, Outgoing, SettleError, Source, Target,
    Unready, WriteError, Written,
};

/// What a test does around the steps of a store of bytes.
#[async_trait::async_trait]
pub(crate) trait BlobHooks: Send + Sync + 'static {
    async fn before_write(&self, _offset: u64) {}

    async fn before_rewrite(&self) -> Result<(), storage::Error> {
        Ok(())
    }

    async fn before_settle(&self) -> Result<(), SettleError> {
        Ok(())
    }
}

/// A store of bytes with hooks.
pub(crate) struct HookedBlobs<H, S = DiskStore> {
    pub(crate) store: S,
    pub(crate) hooks: H,
}

#[async_trait::async_trait]
impl<H: BlobHooks, S: BlobStore> BlobStore for HookedBlobs<H, S> {
    fn claims(&self) -> Option<&Arc<Claims>> {
        self.store.claims()
    }

    async fn write(
        &self,
        target: Target,
        limit: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError> {
        let offset = match target {
            Target::Fresh(_) => 0,
            Target::At { offset, .. } => offset,
        };
        self.hooks.before_write(offset).await;
        self.store.write(target, limit, body).await
    }

    async fn settle(&self, extents: &Extents) -> Result<(), SettleError> {
        self.hooks.before_settle().await?;
        self.store.settle(extents).await
    }

    async fn rewrite(
        &self,
        extents: &Extents,
        patches: &[Patch],
    ) -> Result<Extents, storage::Error> {
        self.hooks.before_rewrite().await?;
        self.store.rewrite(extents, patches).await
    }

    fn reader(&self, extents: &Extents) -> Result<Box<dyn Source>, storage::Error> {
        self.store.reader(extents)
    }

    async fn read(
        &self,
        extents: &Extents,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, storage::Error> {
        self.store.read(extents, range, piece).await
    }

    fn proxy_path(&self, extents: &Extents) -> Option<String> {
        self.store.proxy_path(extents)
    }

    async fn delete(&self, blobs: &[BlobId]) -> Result<(), storage::Error> {
        self.store.delete(blobs).await
    }

    async fn size(&self, blob: BlobId) -> Result<Option<u64>, storage::Error> {
        self.store.size(blob).await
    }

    fn list_older_than(&self, unix_secs: u64) -> Listing {
        self.store.list_older_than(unix_secs)
    }

    async fn marker(&self) -> Result<Option<BlobId>, storage::Error> {
        self.store.marker().await
    }

    async fn mark(&self, id: BlobId) -> Result<(), storage::Error> {
        self.store.mark(id).await
    }

    async fn is_itself(&self) -> Result<(), storage::Error> {
        self.store.is_itself().await
    }

    async fn check(&self) -> Result<(), Unready> {
        self.store.check().await
    }
}

/// What a test does around the steps of a store of records.
#[async_trait::async_trait]
pub(crate) trait RecordHooks: Send + Sync + 'static {
    async fn after_load(&self) {}

    /// What to answer instead of recording the part.
    async fn before_part(&self, _new: &NewPart) -> Option<Recorded> {
        None
    }

    async fn before_append(&self) {}

    async fn before_name(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn before_restart(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Records with hooks.
pub(crate) struct HookedRecords<H> {
    pub(crate) records: SqliteStore,
    pub(crate) hooks: H,
}

#[async_trait::async_trait]
impl<H: RecordHooks> MetadataStore for HookedRecords<H> {
    fn in_place(&self) -> &dyn InPlaceRecords {
        self.records.in_place()
    }

    async fn load(&self, id: UploadId) -> Result<Option<Record>, Error> {
        let record = self.records.load(id).await;
        self.hooks.after_load().await;
        record
    }

    async fn record_part(&self, of: Generation, new: NewPart, now: u64) -> Result<Recorded, Error> {
        match self.hooks.before_part(&new).await {
            Some(answer) => Ok(answer),
            None => self.records.record_part(of, new, now).await,
        }
    }

    async fn append(
        &self,
        of: Generation,
        new: NewBytes,
        now: u64,
        leased_until: u64,
    ) -> Result<Appended, Error> {
        self.hooks.before_append().await;
        self.records.append(of, new, now, leased_until).await
    }

    async fn join(
        &self,
        new: NewUpload,
        pieces: Vec<UploadId>,
        quota: Quota,
        now: u64,
        leased_until: u64,
    ) -> Result<Joined, Error> {
        self.records.join(new, pieces, quota, now, leased_until).await
    }

    async fn pieces(&self, id: UploadId) -> Result<Vec<UploadId>, Error> {
        self.records.pieces(id).await
    }

    async fn pack(&self, id: UploadId, lease: LeaseId, copy: Extents) -> Result<bool, Error> {
        self.records.pack(id, lease, copy).await
    }

    async fn is_current(&self, of: Snapshot) -> Result<bool, Error> {
        self.records.is_current(of).await
    }

    async fn received_parts(&self, id: UploadId) -> Result<Option<Vec<Part>>, Error> {
        self.records.received_parts(id).await
    }

    async fn begin_upload(&self, new: NewUpload, caps: Caps, now: u64) -> Result<Begun, Error> {
        self.records.begin_upload(new, caps, now).await
    }

    async fn reserve(&self, of: Generation, bytes: u64, quota: Quota) -> Result<Reserved, Error> {
        self.records.reserve(of, bytes, quota).await
    }

    async fn usage(&self, user: UserId) -> Result<Usage, Error> {
        self.records.usage(user).await
    }

    async fn total_bytes(&self) -> Result<u64, Error> {
        self.records.total_bytes().await
    }

    async fn restart_upload(
        &self,
        of: Generation,
        next: GenerationId,
        blob: Option<BlobId>,
    ) -> Result<bool, Error> {
        self.hooks.before_restart().await?;
        self.records.restart_upload(of, next, blob).await
    }

    async fn finish_upload(&self, of: Snapshot, file: NewFile, now: u64) -> Result<bool, Error> {
        self.records.finish_upload(of, file, now).await
    }

    async fn end_drawing(
        &self,
        id: UploadId,
        lease: LeaseId,
        picture: Option<NewPicture>,
        now: u64,
    ) -> Result<bool, Error> {
        self.records.end_drawing(id, lease, picture, now).await
    }

    async fn store_single(&self, new: NewSingle, quota: Quota, now: u64) -> Result<Stored, Error> {
        self.records.store_single(new, quota, now).await
    }

    async fn name_upload(&self, of: Generation, filename: Filename) -> Result<(), Error> {
        self.hooks.before_name().await?;
        self.records.name_upload(of, filename).await
    }

    async fn name_file(&self, id: UploadId, filename: Filename) -> Result<bool, Error> {
        self.hooks.before_name().await?;
        self.records.name_file(id, filename).await
    }

    async fn remove(
        &self,
        id: UploadId,
        even_attached: bool,
        now: u64,
        leased_until: u64,
    ) -> Result<Removed, Error> {
        self.records.remove(id, even_attached, now, leased_until).await
    }

    async fn forget_parts(&self, number: u64) -> Result<bool, Error> {
        self.records.forget_parts(number).await
    }

    async fn withdraw_upload(&self, of: Generation, now: u64) -> Result<bool, Error> {
        self.records.withdraw_upload(of, now).await
    }

    async fn unused_uploads(&self, begun_before: u64, limit: u32) -> Result<Vec<UploadId>, Error> {
        self.records.unused_uploads(begun_before, limit).await
    }

    async fn forget_expired(&self, id: UploadId) -> Result<(), Error> {
        self.records.forget_expired(id).await
    }

    async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Error> {
        self.records.attach(ids).await
    }

    async fn find_files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Error> {
        self.records.find_files(ids).await
    }

    async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Error> {
        self.records.list(user, before, limit).await
    }

    async fn expire(&self, idle_since: u64, limit: u32, now: u64) -> Result<Vec<UploadId>, Error> {
        self.records.expire(idle_since, limit, now).await
    }

    async fn unclaimed(&self, blobs: Vec<BlobId>) -> Result<Vec<BlobId>, Error> {
        self.records.unclaimed(blobs).await
    }

    async fn link_keys(&self, first: [u8; 32], now: u64) -> Result<Vec<LinkKey>, Error> {
        self.records.link_keys(first, now).await
    }

    async fn rotate_link_key(
        &self,
        new: [u8; 32],
        accept_old_until: u64,
        now: u64,
    ) -> Result<(), Error> {
        self.records.rotate_link_key(new, accept_old_until, now).await
    }

    async fn has_uploads(&self) -> Result<bool, Error> {
        self.records.has_uploads().await
    }

    async fn store_id(&self, fresh: BlobId) -> Result<BlobId, Error> {
        self.records.store_id(fresh).await
    }

    async fn unattached(&self, unix_secs: u64, limit: u32) -> Result<Vec<Record>, Error> {
        self.records.unattached(unix_secs, limit).await
    }

    async fn all(&self, after: Cursor, limit: u32) -> Result<(Vec<Record>, Option<Cursor>), Error> {
        self.records.all(after, limit).await
    }

    async fn of_user(&self, user: UserId, limit: u32) -> Result<Vec<Record>, Error> {
        self.records.of_user(user, limit).await
    }

    async fn forget_user(&self, user: UserId) -> Result<Vec<UploadId>, Error> {
        self.records.forget_user(user).await
    }

    async fn scrub(&self) -> Result<(), Error> {
        self.records.scrub().await
    }

    async fn check(&self) -> Result<(), Unready> {
        self.records.check().await
    }

    async fn close(&self) -> Result<(), Error> {
        self.records.close().await
    }
}

#[async_trait::async_trait]
impl<H: RecordHooks> JobQueue for HookedRecords<H> {
    async fn add_job(&self, job: NewJob) -> Result<(), Error> {
        self.records.add_job(job).await
    }

    async fn take_jobs(
        &self,
        kinds: &[JobKind],
        passed_over: &[UserId],
        limit: u32,
        now: u64,
        leased_until: u64,
    ) -> Result<Vec<Job>, Error> {
        self.records.take_jobs(kinds, passed_over, limit, now, leased_until).await
    }

    async fn renew_job(&self, id: JobId, lease: LeaseId, leased_until: u64) -> Result<bool, Error> {
        self.records.renew_job(id, lease, leased_until).await
    }

    async fn settle_job(&self, id: JobId, lease: LeaseId, outcome: Outcome) -> Result<bool, Error> {
        self.records.settle_job(id, lease, outcome).await
    }

    async fn any_running(
        &self,
        kind: JobKind,
        user: Option<UserId>,
        now: u64,
    ) -> Result<bool, Error> {
        self.records.any_running(kind, user, now).await
    }

    async fn count_jobs(&self, kind: JobKind, user: UserId, at_most: u32) -> Result<u32, Error> {
        self.records.count_jobs(kind, user, at_most).await
    }

    async fn list_jobs(
        &self,
        after: u64,
        limit: u32,
        now: u64,
    ) -> Result<(Vec<JobStatus>, Option<u64>), Error> {
        self.records.list_jobs(after, limit, now).await
    }

    async fn job_counts(&self, now: u64) -> Result<Vec<JobCount>, Error> {
        self.records.job_counts(now).await
    }

    async fn retry_jobs(&self, id: Option<JobId>, now: u64) -> Result<u64, Error> {
        self.records.retry_jobs(id, now).await
    }
}
