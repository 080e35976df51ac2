//! Records in PostgreSQL, 14 or newer. Equivalent to the SQLite store, but over a network and for several servers.
//!
//! Each step is one statement, or one transaction at READ COMMITTED that first locks the rows on which its decision
//! depends (`locked`). Recording a part is one statement. If the database can't be reached, a step is retried for a
//! limited time; after a lost reply, it is checked whether the step was committed (`attempts`). Commits are
//! synchronous: which of them are durable depends on the database's own settings.

mod append;
mod attempts;
mod begin;
mod check;
mod clock;
mod extents;
mod finish;
mod forget;
mod import;
mod in_place;
mod jobs;
mod join;
mod links;
mod list;
mod locked;
mod migrate;
mod options;
mod parts;
mod pictures;
mod pool;
mod query;
mod queue;
mod room;
mod rows;
mod trust;
mod values;

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
use crate::storage::{Durability, Extents, Unready};
use attempts::{Database, statement, step};
pub use check::{Finding, check};
pub use import::{Imported, Progress, import};
use jobs::Holder;
pub use options::{DatabaseUrl, PostgresOptions, UrlError};
use pool::failed;
use values::N;

/// Maximum number of tombstones of an erased user that are removed in one transaction.
const ERASE_BATCH: usize = 100;
/// Maximum number of connections that run long queries, so that short queries needn't wait for them.
const MAX_LONG_READERS: usize = 2;

/// The PostgreSQL store.
pub struct PostgresStore {
    database: Database,
    durability: Durability,
    /// Limits the number of long queries, and with it their memory.
    long_reader_permits: Semaphore,
}

impl PostgresStore {
    /// Connects, and brings the tables up to date.
    pub async fn open(options: PostgresOptions, durability: Durability) -> Result<Self, Error> {
        let store = Self::with_options(options, durability, false)?;
        store.require_utf8().await?;
        migrate::run(&store.database.pool).await?;
        let ended: Result<(), Error> =
            statement!(write, &store.database, |pg, _again| jobs::end_leases(
                pg,
                &store.database.options.node
            ));
        ended?;
        Ok(store)
    }

    /// Connects for reading, also while servers are running. Returns an error if no server has created the tables.
    pub async fn open_read_only(options: PostgresOptions) -> Result<Self, Error> {
        let store = Self::with_options(options, Durability::default(), true)?;
        migrate::verify(&store.database.pool).await?;
        Ok(store)
    }

    fn with_options(
        options: PostgresOptions,
        durability: Durability,
        read_only: bool,
    ) -> Result<Self, Error> {
        let pool = pool::make(&options)?;
        Ok(Self {
            database: Database { pool, options, metrics: DatabaseMetrics::default(), read_only },
            durability,
            long_reader_permits: Semaphore::new(MAX_LONG_READERS),
        })
    }

    /// Returns an error unless the encoding is UTF-8: names are compared byte by byte, and stored as clients sent them.
    async fn require_utf8(&self) -> Result<(), Error> {
        let sql = "SELECT current_setting('server_encoding')";
        let encoding: Result<String, Error> =
            statement!(read, &self.database, |pg, _again| async move {
                pg.query_one(sql, &[]).await?.try_get(0)
            });
        match encoding?.as_str() {
            "UTF8" => Ok(()),
            other => Err(failed(format!("the database's encoding is {other}; it must be UTF8"))),
        }
    }

    fn synced(&self) -> bool {
        self.durability >= Durability::Finish
    }

    fn holder(&self, until: u64) -> Holder<'_> {
        Holder { node: &self.database.options.node, until }
    }

    /// Whether the clocks of the database and of this machine agree well enough to tell what is old.
    async fn clocks_agree(&self) -> Result<bool, Error> {
        let difference: Result<u64, Error> =
            statement!(read, &self.database, |pg, _again| clock::difference_secs(pg));
        let difference_secs = difference?;
        let agree = difference_secs <= clock::MAX_DIFFERENCE_SECS;
        if !agree {
            tracing::error!(
                difference_secs,
                "the clocks of the database and of this machine differ: nothing expires until both are right (NTP)"
            );
        }
        Ok(agree)
    }

    /// Returns records that meet the condition, oldest first, and where to continue.
    async fn page(
        &self,
        condition: &str,
        values: query::Values<'_>,
        limit: u32,
    ) -> Result<(Vec<Record>, Option<Cursor>), Error> {
        let _permit = self.long_reader_permits.acquire().await.map_err(failed)?;
        statement!(read, &self.database, |pg, _again| rows::page(pg, condition, values, limit))
    }

    /// Returns the metrics of the database.
    pub fn metrics(&self) -> &DatabaseMetrics {
        &self.database.metrics
    }
}

#[async_trait::async_trait]
impl MetadataStore for PostgresStore {
    fn in_place(&self) -> &dyn InPlaceRecords {
        self
    }

    async fn load(&self, id: UploadId) -> Result<Option<Record>, Error> {
        statement!(read, &self.database, |pg, _again| rows::load(pg, id))
    }

    async fn received_parts(&self, id: UploadId) -> Result<Option<Vec<Part>>, Error> {
        statement!(read, &self.database, |pg, _again| rows::received_parts(pg, id))
    }

    async fn begin_upload(&self, new: NewUpload, caps: Caps, now: u64) -> Result<Begun, Error> {
        step!(&self.database, tx => begin::begin_upload(tx, &new, caps, now))
    }

    async fn reserve(&self, of: Generation, bytes: u64, quota: Quota) -> Result<Reserved, Error> {
        step!(&self.database, tx => room::reserve(tx, of, bytes, quota))
    }

    async fn usage(&self, user: UserId) -> Result<Usage, Error> {
        statement!(read, &self.database, |pg, _again| room::usage(pg, &user))
    }

    async fn total_bytes(&self) -> Result<u64, Error> {
        statement!(read, &self.database, |pg, _again| room::total(pg))
    }

    async fn record_part(&self, of: Generation, new: NewPart, now: u64) -> Result<Recorded, Error> {
        let attempt = uuid::Uuid::new_v4();
        statement!(write, &self.database, |pg, again| parts::record(
            pg, of, &new, attempt, again, now
        ))
    }

    async fn append(
        &self,
        of: Generation,
        new: NewBytes,
        now: u64,
        leased_until: u64,
    ) -> Result<Appended, Error> {
        step!(&self.database, tx => append::append(tx, of, &new, now, self.holder(leased_until)))
    }

    async fn join(
        &self,
        new: NewUpload,
        pieces: Vec<UploadId>,
        quota: Quota,
        now: u64,
        leased_until: u64,
    ) -> Result<Joined, Error> {
        step!(&self.database, tx => join::join(tx, &new, &pieces, quota, now, self.holder(leased_until)))
    }

    async fn pieces(&self, id: UploadId) -> Result<Vec<UploadId>, Error> {
        statement!(read, &self.database, |pg, _again| join::pieces(pg, id))
    }

    async fn is_current(&self, of: Snapshot) -> Result<bool, Error> {
        statement!(read, &self.database, |pg, _again| rows::is_current(pg, of))
    }

    async fn restart_upload(
        &self,
        of: Generation,
        next: GenerationId,
        blob: Option<BlobId>,
    ) -> Result<bool, Error> {
        step!(&self.database, tx => begin::restart_upload(tx, of, next, blob))
    }

    async fn finish_upload(&self, of: Snapshot, file: NewFile, now: u64) -> Result<bool, Error> {
        step!(&self.database, tx => finish::finish_upload(tx, of, &file, self.synced(), now))
    }

    async fn pack(&self, id: UploadId, lease: LeaseId, copy: Extents) -> Result<bool, Error> {
        step!(&self.database, tx => join::pack(tx, id, lease, &copy))
    }

    async fn store_single(&self, new: NewSingle, quota: Quota, now: u64) -> Result<Stored, Error> {
        step!(&self.database, tx => finish::store_single(tx, &new, quota, self.synced(), now))
    }

    async fn end_drawing(
        &self,
        id: UploadId,
        lease: LeaseId,
        picture: Option<NewPicture>,
        now: u64,
    ) -> Result<bool, Error> {
        let picture = picture.as_ref();
        step!(&self.database, tx => pictures::end_drawing(tx, id, lease, picture, self.synced(), now))
    }

    async fn name_upload(&self, of: Generation, filename: Filename) -> Result<(), Error> {
        statement!(write, &self.database, |pg, _again| begin::name_upload(pg, of, &filename))
    }

    async fn name_file(&self, id: UploadId, filename: Filename) -> Result<bool, Error> {
        step!(&self.database, tx => finish::name_file(tx, id, &filename))
    }

    async fn remove(
        &self,
        id: UploadId,
        even_attached: bool,
        now: u64,
        leased_until: u64,
    ) -> Result<Removed, Error> {
        step!(&self.database, tx => forget::remove(tx, id, even_attached, now, self.holder(leased_until)))
    }

    async fn forget_parts(&self, number: u64) -> Result<bool, Error> {
        statement!(write, &self.database, |pg, _again| parts::forget_more(pg, number))
    }

    async fn withdraw_upload(&self, of: Generation, now: u64) -> Result<bool, Error> {
        step!(&self.database, tx => forget::withdraw_upload(tx, of, now))
    }

    async fn unused_uploads(&self, begun_before: u64, limit: u32) -> Result<Vec<UploadId>, Error> {
        if !self.clocks_agree().await? {
            return Ok(Vec::new());
        }
        statement!(read, &self.database, |pg, _again| forget::unused_uploads(
            pg,
            begun_before,
            limit
        ))
    }

    async fn forget_expired(&self, id: UploadId) -> Result<(), Error> {
        statement!(write, &self.database, |pg, _again| forget::forget_expired(pg, id))
    }

    async fn attach(&self, ids: Vec<UploadId>) -> Result<(), Error> {
        statement!(write, &self.database, |pg, _again| finish::attach(pg, &ids))
    }

    async fn find_files(&self, ids: Vec<UploadId>) -> Result<Vec<Option<StoredFile>>, Error> {
        statement!(read, &self.database, |pg, _again| rows::find_files(pg, &ids))
    }

    async fn list(
        &self,
        user: UserId,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<Cursor>), Error> {
        statement!(read, &self.database, |pg, _again| list::list(pg, &user, before, limit))
    }

    async fn expire(&self, idle_since: u64, limit: u32, now: u64) -> Result<Vec<UploadId>, Error> {
        if !self.clocks_agree().await? {
            return Ok(Vec::new());
        }
        let found: Result<Vec<UploadId>, Error> =
            statement!(read, &self.database, |pg, _again| forget::idle_uploads(
                pg, idle_since, limit
            ));
        loop {
            let deleted: Result<bool, Error> =
                statement!(write, &self.database, |pg, _again| attempts::delete_old_steps(pg));
            if !deleted? {
                break;
            }
        }
        let mut expired = Vec::new();
        for id in found? {
            let has_expired: Result<bool, Error> =
                step!(&self.database, tx => forget::expire(tx, id, idle_since, now));
            match has_expired {
                Ok(true) => expired.push(id),
                Ok(false) => {}
                Err(error) if expired.is_empty() => return Err(error),
                Err(_) => break, // the caller must learn which ones have expired; the next call returns the error
            }
        }
        Ok(expired)
    }

    async fn unclaimed(&self, blobs: Vec<BlobId>) -> Result<Vec<BlobId>, Error> {
        statement!(read, &self.database, |pg, _again| extents::unclaimed(pg, &blobs))
    }

    async fn link_keys(&self, first: [u8; 32], now: u64) -> Result<Vec<LinkKey>, Error> {
        step!(&self.database, tx => links::keys(tx, first, now))
    }

    async fn rotate_link_key(
        &self,
        new: [u8; 32],
        accept_old_until: u64,
        now: u64,
    ) -> Result<(), Error> {
        step!(&self.database, tx => links::rotate(tx, new, accept_old_until, now))
    }

    async fn has_uploads(&self) -> Result<bool, Error> {
        let any = "SELECT 1 FROM uploads UNION ALL SELECT 1 FROM erased LIMIT 1";
        statement!(read, &self.database, |pg, _again| query::exists(pg, any, &[]))
    }

    async fn store_id(&self, fresh: BlobId) -> Result<BlobId, Error> {
        if self.database.read_only {
            return statement!(read, &self.database, |pg, _again| trust::known_store_id(pg));
        }
        statement!(write, &self.database, |pg, _again| trust::store_id(pg, fresh))
    }

    async fn unattached(&self, unix_secs: u64, limit: u32) -> Result<Vec<Record>, Error> {
        if !self.clocks_agree().await? {
            return Ok(Vec::new());
        }
        let condition = "state = 1 AND role = 0 AND NOT attached AND changed_at < $1";
        Ok(self.page(condition, &[&N(unix_secs)], limit).await?.0)
    }

    async fn all(&self, after: Cursor, limit: u32) -> Result<(Vec<Record>, Option<Cursor>), Error> {
        self.page("seq > $1 AND state IN (0, 1)", &[&N(after)], limit).await
    }

    async fn of_user(&self, user: UserId, limit: u32) -> Result<Vec<Record>, Error> {
        Ok(self.page("user_id = $1 AND state IN (0, 1)", &[&user], limit).await?.0)
    }

    async fn forget_user(&self, user: UserId) -> Result<Vec<UploadId>, Error> {
        let tombstones: Result<Vec<UploadId>, Error> =
            statement!(read, &self.database, |pg, _again| forget::tombstones(pg, &user));
        let tombstones = tombstones?;
        for some in tombstones.chunks(ERASE_BATCH) {
            let forgotten: Result<(), Error> =
                step!(&self.database, tx => forget::forget_tombstones(tx, &user, some));
            forgotten?;
        }
        let forgotten: Result<(), Error> =
            step!(&self.database, tx => forget::forget_usage(tx, &user));
        forgotten?;
        Ok(tombstones)
    }

    async fn scrub(&self) -> Result<(), Error> {
        let connection = self.database.pool.get().await.map_err(failed)?;
        // Take the connection out of the pool, so that others don't get it with these timeouts.
        let connection = deadpool_postgres::Object::take(connection);
        connection
            .batch_execute("SET statement_timeout = 0; SET lock_timeout = 0")
            .await
            .map_err(failed)?;
        for table in ["uploads", "parts", "extents", "usage", "jobs", "erased"] {
            connection.batch_execute(&format!("VACUUM (FULL) {table}")).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), Unready> {
        // Changes nothing, but fails soon if nothing can be changed, as on a standby.
        let nothing = "UPDATE link_keys SET created_at = created_at WHERE false";
        let database = self.database.with_short_timeouts();
        let checked: Result<u64, Error> =
            statement!(write, &database, |pg, _again| query::execute(pg, nothing, &[]));
        checked?;
        // Then a real commit, which fails if the disk is full, and hangs while a synchronous standby is missing. There is no
        // timeout, because the database would continue to wait, and keep a connection for each check that timed out.
        let commit = "INSERT INTO steps (name) VALUES (gen_random_uuid())";
        let database = self.database.without_timeouts();
        let committed: Result<u64, Error> =
            statement!(write, &database, |pg, _again| query::execute(pg, commit, &[]));
        committed?;
        Ok(())
    }

    async fn close(&self) -> Result<(), Error> {
        self.database.pool.close();
        Ok(())
    }
}
