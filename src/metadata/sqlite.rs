//! Records in SQLite: one connection that writes, with group commit, and several that read.
//!
//! The database uses a write-ahead log. A batch with a durable commit is committed with `synchronous` set to FULL;
//! which commits are durable follows from the durability that the operator chose. Deleted data is overwritten
//! (`secure_delete`) and soon disappears from the log, too. Traces of records that SQLite moved within the file may
//! remain until [`MetadataStore::scrub`].

mod append;
mod commit;
mod connection;
mod extents;
mod forget;
mod in_place;
mod insert;
mod jobs;
mod join;
mod parts;
mod pictures;
mod queue;
mod reserve;
mod room;
mod rows;
mod steps;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::quota::{Quota, Usage};
use super::{
    Appended, Begun, Caps, Cursor, Error, Generation, InPlaceRecords, Joined, LinkKey, Listed,
    MetadataStore, NewBytes, NewFile, NewPart, NewPicture, NewSingle, NewUpload, Record, Recorded,
    Removed, Reserved, Snapshot, Stored, StoredFile,
};
use crate::filename::Filename;
use crate::ids::{BlobId, GenerationId, LeaseId, UploadId, UserId};
use crate::metrics::DatabaseMetrics;
use crate::part::Part;
use crate::space;
use crate::storage::{Durability, Extents, Unready};
use crate::telemetry::spent_in_database;
use commit::Committer;
use connection::{Access, connect, failed, sqlite};
use reserve::Reserve;

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Maximum number of uploads that expire in one transaction, so that other writers can run in between. Many are found
/// at once, because that reads all unfinished ones.
const EXPIRE_BATCH: usize = 50;
/// Maximum number of tombstones of an erased user that are removed in one transaction. They are found by reading all
/// records.
const ERASE_BATCH: usize = 100;
/// Maximum number of reading connections. They are opened when they are needed, and kept.
const MAX_READERS: usize = 8;
/// Maximum number of these that run long queries, so that short queries needn't wait for them.
const MAX_LONG_READERS: usize = 2;

/// The SQLite store. One process at a time; the caller holds the data directory's lock.
pub struct SqliteStore {
    path: PathBuf,
    access: Access,
    committer: Arc<Committer>,
    reserve: Arc<Reserve>,
    readers: Arc<Mutex<Vec<Connection>>>,
    /// Limits the number of readers, each of which has two open files.
    reader_permits: Semaphore,
    /// Limits the number of long queries, and with it their memory.
    long_reader_permits: Semaphore,
    durability: Durability,
}

impl SqliteStore {
    /// Opens `haversack.db` in `data_dir`, creates it on first use, and brings its tables up to date.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        Self::open_with(data_dir, Durability::default())
    }

    /// [`SqliteStore::open`] with the durability of commits as configured.
    pub fn open_with(data_dir: &Path, durability: Durability) -> Result<Self, Error> {
        let path = data_dir.join("haversack.db");
        let reserve = Arc::new(Reserve::of(data_dir));
        reserve.release_if_full();
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600) // SQLite creates its log with the same mode
            .open(&path)
            .map_err(failed)?;
        let mut writer = connect(&path, Access::Full)?;
        let migrated = migrations::migrations::runner().run(&mut writer).map_err(failed)?;
        jobs::end_leases(&writer).map_err(sqlite)?;
        let committer = Committer::start(writer, &path, Arc::clone(&reserve))?;
        if !migrated.applied_migrations().is_empty()
            && let Err(error) = committer.empty_log()
        {
            // The log holds the database once more, so a small disk has little room until it is emptied later.
            tracing::warn!(%error, "the database's log could not be emptied after the migrations");
        }
        reserve.renew(reserve::BYTES);
        Ok(Self::with_parts(path, committer, reserve, Access::Full, durability))
    }

    /// Opens the database for reading, also while a server is running. Steps that change something return an error.
    /// Returns an error if there is no database, or if it has another version.
    pub fn open_read_only(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("haversack.db");
        let mut reader = connect(&path, Access::ReadOnly)?;
        let runner = migrations::migrations::runner();
        let applied = runner.get_last_applied_migration(&mut reader).map_err(failed)?;
        let ours = runner.get_migrations().iter().map(refinery::Migration::version).max();
        if applied.map(|migration| migration.version()) != ours {
            let message = "the database has another version: use the version of haversack that the server runs";
            return Err(Error::Failed(message.into()));
        }
        let committer = Committer::new(reader, &path);
        let reserve = Arc::new(Reserve::of(data_dir));
        Ok(Self::with_parts(path, committer, reserve, Access::ReadOnly, Durability::default()))
    }

    fn with_parts(
        path: PathBuf,
        committer: Arc<Committer>,
        reserve: Arc<Reserve>,
        access: Access,
        durability: Durability,
    ) -> Self {
        Self {
            path,
            access,
            committer,
            reserve,
            readers: Arc::default(),
            reader_permits: Semaphore::new(MAX_READERS),
            long_reader_permits: Semaphore::new(MAX_LONG_READERS),
            durability,
        }
    }

    /// Commits a durable step that frees space. If the disk is full, releases reserved space for its record.
    async fn make_room<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Connection) -> rusqlite::Result<T> + Clone + Send + 'static,
    ) -> Result<T, Error> {
        self.with_reserve(step, true).await
    }

    /// Commits a step. If the disk is full, releases reserved space for its record.
    async fn with_reserve<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Connection) -> rusqlite::Result<T> + Clone + Send + 'static,
        durable: bool,
    ) -> Result<T, Error> {
        loop {
            match self.committer.enqueue(step.clone(), durable).await {
                Err(Error::Full(_)) if self.reserve.release_some() => {}
                taken => return taken,
            }
        }
    }

    /// [`SqliteStore::read`] for queries that may read very many rows.
    async fn read_long<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let _permit = self.long_reader_permits.acquire().await.map_err(failed)?;
        self.read(query).await
    }

    /// Runs `query` on a reading connection, on the blocking pool.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let _permit = self.reader_permits.acquire().await.map_err(failed)?;
        let (readers, path, access) = (Arc::clone(&self.readers), self.path.clone(), self.access);
        let work = move || {
            let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&path, access)?,
            };
            let result = query(&connection).map_err(sqlite);
            readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            result
        };
        let result = tokio::task::spawn_blocking(work).await.map_err(failed)?;
        let failed = matches!(result, Err(Error::Failed(_)));
        self.metrics().read.ran(begun.elapsed(), failed);
        spent_in_database(begun.elapsed());
        result
    }

    /// Returns the metrics of the database.
    pub fn metrics(&self) -> &DatabaseMetrics {
        &self.committer.metrics
    }
}

#[async_trait::async_trait]
impl MetadataStore for SqliteStore {
    fn in_place(&self) -> &dyn InPlaceRecords {
        self
    }

    async fn load(&self, id: UploadId) -> Result<Option<Record>, Error> {
        let short = self.read(move |connection| {
            let is_short = !rows::may_be_large(connection, id)?;
            is_short.then(|| rows::load(connection, id)).transpose()
        });
        match short.await? {
            Some(found) => Ok(found),
            None => self.read_long(move |connection| rows::load(connection, id)).await,
        }
    }

    async fn received_parts(&self, id: UploadId) -> Result<Option<Vec<Part>>, Error> {
        self.read(move |connection| rows::received_parts(connection, id)).await
    }

    async fn begin_upload(&self, new: NewUpload, caps: Caps, now: u64) -> Result<Begun, Error> {
        let begun = self.committer.submit(move |tx| steps::begin_upload(tx, &new, caps, now)).await;
        if matches!(begun, Ok(Begun::Begun { evicted: Some(_) })) {
            self.committer.note_forgotten();
        }
        begun
    }

    async fn reserve(&self, of: Generation, bytes: u64, quota: Quota) -> Result<Reserved, Error> {
        self.committer.submit(move |tx| room::reserve(tx, of, bytes, quota)).await
    }

    async fn usage(&self, user: UserId) -> Result<Usage, Error> {
        self.read(move |connection| room::usage(connection, &user)).await
    }

    async fn total_bytes(&self) -> Result<u64, Error> {
        self.read(room::total).await
    }

    async fn record_part(&self, of: Generation, new: NewPart, now: u64) -> Result<Recorded, Error> {
        let record = move |tx: &Connection| steps::record_part(tx, of, &new, now);
        self.committer.enqueue(record, self.durability >= Durability::Chunk).await
    }

    async fn append(
        &self,
        of: Generation,
        new: NewBytes,
        now: u64,
        leased_until: u64,
    ) -> Result<Appended, Error> {
        let append = move |tx: &Connection| append::append(tx, of, &new, now, leased_until);
        self.committer.enqueue(append, self.durability >= Durability::Chunk).await
    }

    async fn join(
        &self,
        new: NewUpload,
        pieces: Vec<UploadId>,
        quota: Quota,
        now: u64,
        leased_until: u64,
    ) -> Result<Joined, Error> {
        let join = move |tx: &Connection| join::join(tx, &new, &pieces, quota, now, leased_until);
        self.committer.enqueue(join, self.durability >= Durability::Chunk).await
    }

    async fn pieces(&self, id: UploadId) -> Result<Vec<UploadId>, Error> {
        self.read(move |connection| join::pieces(connection, id)).await
    }

    async fn is_current(&self, of: Snapshot) -> Result<bool, Error> {
        self.read(move |connection| rows::is_current(connection, of)).await
    }

    async fn restart_upload(
        &self,
        of: Generation,
        next: GenerationId,
        blob: Option<BlobId>,
    ) -> Result<bool, Error> {
        self.make_room(move |tx| steps::restart_upload(tx, of, next, blob)).await
    }

    async fn finish_upload(&self, of: Snapshot, file: NewFile, now: u64) -> Result<bool, Error> {
        let synced = self.durability >= Durability::Finish;
        let finish = move |tx: &Connection| steps::finish_upload(tx, of, &file, synced, now);
        self.committer.enqueue(finish, synced).await
    }

    async fn store_single(&self, new: NewSingle, quota: Quota, now: u64) -> Result<Stored, Error> {
        let synced = self.durability >= Durability::Finish;
        let store = move |tx: &Connection| steps::store_single(tx, &new, quota, synced, now);
        self.committer.enqueue(store, synced).await
    }

    async fn pack(&self, id: UploadId, lease: LeaseId, copy: Extents) -> Result<bool, Error> {
        self.committer.submit_durable(move |tx| join::pack(tx, id, lease, &copy)).await
    }

    async fn end_drawing(
        &self,
        id: UploadId,
        lease: LeaseId,
        picture: Option<NewPicture>,
        now: u64,
    ) -> Result<bool, Error> {
        let synced = self.durability >= Durability::Finish;
        let end = move |tx: &Connection| {
            pictures::end_drawing(tx, id, lease, picture.as_ref(), synced, now)
        };
        self.committer.enqueue(end, synced).await
    }

    async fn name_upload(&self, of: Generation, filename: Filename) -> Result<(), Error> {
        self.committer.submit_durable(move |tx| steps::name_upload(tx, of, &filename)).await
    }

    async fn name_file(&self, id: UploadId, filename: Filename) -> Result<bool, Error> {
        self.committer.submit_durable(move |tx| steps::name_file(tx, id, &filename)).await
    }

    async fn remove(
        &self,
        id: UploadId,
        even_attached: bool,
        now: u64,
        leased_until: u64,
    ) -> Result<Removed, Error> {
        let remove =
            move |tx: &Connection| forget::remove(tx, id, even_attached, now, leased_until);
        let removed = self.make_room(remove).await;
        self.committer.note_forgotten();
        removed
    }

    async fn forget_parts(&self, number: u64) -> Result<bool, Error> {
        self.with_reserve(move |tx| parts::forget_more(tx, number), false).await
    }

    async fn withdraw_upload(&self, of: Generation, now: u64) -> Result<bool, Error> {
        let withdraw = move |tx: &Connection| forget::withdraw_upload(tx, of, now);
        let withdrawn = self.with_reserve(withdraw, false).await;
        self.committer.note_forgotten();
        withdrawn
    }

    async fn unused_uploads(&self, begun_before: u64, limit: u32) -> Result<Vec<UploadId>, Error> {
        self.read_long(move |c| forget::unused_uploads(c, begun_before, limit)).await
    }

    async fn forget_expired(&self, id: UploadId) -> Result<(), Error> {
        self.committer.submit(move |tx| forget::forget_expired(tx, id)).await
    }

    async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Error> {
        self.committer.submit_durable(move |tx| steps::attach(tx, &ids)).await
    }

    async fn find_files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Error> {
        self.read(move |connection| ids.iter().map(|id| rows::find_file(connection, *id)).collect())
            .await
    }

    async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Error> {
        self.read_long(move |connection| rows::list(connection, &user, before, limit)).await
    }

    async fn expire(&self, idle_since: u64, limit: u32, now: u64) -> Result<Vec<UploadId>, Error> {
        // Search on a reading connection first, so that writers wait only if there is something to expire.
        let found = self.read_long(move |c| forget::idle_uploads(c, idle_since, limit)).await?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut expired = Vec::new();
        let mut left = &found[..];
        while !left.is_empty() {
            let some = left[..left.len().min(EXPIRE_BATCH)].to_vec();
            let step = move |tx: &Connection| forget::expire(tx, &some, idle_since, now);
            match self.make_room(step).await {
                Ok((more, checked)) => {
                    expired.extend(more);
                    left = &left[checked..];
                }
                Err(error) if expired.is_empty() => return Err(error),
                Err(_) => break, // the caller must learn which ones have expired; the next call returns the error
            }
        }
        self.committer.note_forgotten();
        Ok(expired)
    }

    async fn unclaimed(&self, blobs: Vec<BlobId>) -> Result<Vec<BlobId>, Error> {
        self.read_long(move |connection| extents::unclaimed(connection, blobs)).await
    }

    async fn link_keys(&self, first: [u8; 32], now: u64) -> Result<Vec<LinkKey>, Error> {
        self.committer.submit_durable(move |tx| steps::link_keys(tx, first, now)).await
    }

    async fn rotate_link_key(
        &self,
        new: [u8; 32],
        accept_old_until: u64,
        now: u64,
    ) -> Result<(), Error> {
        let rotate = move |tx: &Connection| steps::rotate_link_key(tx, new, accept_old_until, now);
        self.committer.submit_durable(rotate).await
    }

    async fn has_uploads(&self) -> Result<bool, Error> {
        let any = "SELECT 1 FROM uploads UNION ALL SELECT 1 FROM erased";
        self.read(|connection| connection.prepare(any)?.exists(())).await
    }

    async fn store_id(&self, fresh: BlobId) -> Result<BlobId, Error> {
        if self.access == Access::ReadOnly {
            return self.read(rows::store_id).await;
        }
        self.committer.submit_durable(move |tx| steps::store_id(tx, fresh)).await
    }

    async fn unattached(&self, unix_secs: u64, limit: u32) -> Result<Vec<Record>, Error> {
        self.read_long(move |connection| rows::unattached(connection, unix_secs, limit)).await
    }

    async fn all(&self, after: Cursor, limit: u32) -> Result<(Vec<Record>, Option<Cursor>), Error> {
        self.read_long(move |connection| rows::all(connection, after, limit)).await
    }

    async fn of_user(&self, user: UserId, limit: u32) -> Result<Vec<Record>, Error> {
        self.read_long(move |connection| rows::of_user(connection, &user, limit)).await
    }

    async fn forget_user(&self, user: UserId) -> Result<Vec<UploadId>, Error> {
        let of = user.clone();
        let tombstones =
            self.read_long(move |connection| rows::tombstones(connection, &of)).await?;
        for some in tombstones.chunks(ERASE_BATCH) {
            let (user, some) = (user.clone(), some.to_vec());
            self.make_room(move |tx| forget::forget_tombstones(tx, &user, &some)).await?;
        }
        self.make_room(move |tx| forget::forget_usage(tx, &user)).await?;
        Ok(tombstones)
    }

    async fn scrub(&self) -> Result<(), Error> {
        let committer = Arc::clone(&self.committer);
        tokio::task::spawn_blocking(move || committer.scrub()).await.map_err(failed)?
    }

    async fn check(&self) -> Result<(), Unready> {
        self.committer.submit(steps::check).await?;
        Unready::unless_free("records", &self.path, space::LEAST)
    }

    async fn close(&self) -> Result<(), Error> {
        let (committer, reserve) = (Arc::clone(&self.committer), Arc::clone(&self.reserve));
        let stop = move || {
            let stopped = loop {
                match committer.stop() {
                    Err(Error::Full(_)) if reserve.release_some() => {}
                    Err(Error::Full(_)) => break committer.keep_log(),
                    stopped => break stopped,
                }
            };
            reserve.renew(0); // for the next start
            stopped
        };
        tokio::task::spawn_blocking(stop).await.map_err(failed)?
    }
}
