//! Blobs as files in one folder. Each part is written at its final offset in the final file, so settling moves no
//! bytes.
//!
//! File names are made from [`BlobId`]s alone: `blobs/ab/ab…`. Folders have mode 0700 and files 0600; with a group that
//! may read them, 0710 and 0640.

mod access;
mod folder;
mod pool;
mod reading;
mod writeback;

use std::collections::HashMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    BlobStore, Claims, Durability, Error, Extent, Extents, Incoming, Listing, Outgoing, ReadAt,
    Reader, SettleError, Source, Target, Unready, WriteError, Written, each_frame, whole,
};
use crate::crash::{self, Point};
use crate::ids::BlobId;
use crate::media::Patch;
use crate::metrics::Histogram;
use crate::space;
pub use access::{Gid, make_private_dir, make_private_file};
use access::{SHARED, make_private, share, share_shard};
use folder::StoreFolder;
use pool::blocking;
use writeback::Writeback;

/// After how many bytes of a part its writer checks whether the disk still has room, and lets what it wrote be synced.
const CHECK_INTERVAL: u64 = 1 << 20;

/// The disk store. Only one process may use it at a time; the caller holds the lock of the data directory.
#[derive(Debug)]
pub struct DiskStore {
    folder: Arc<StoreFolder>,
    /// The folder, opened, if its file system must keep bytes free.
    watched: Option<File>,
    options: DiskOptions,
    writeback: Writeback,
    claims: Arc<Claims>,
}

/// How a disk store keeps its files.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskOptions {
    /// A group that may read blobs, including existing ones. It may only traverse the folders above them.
    pub group: Option<Gid>,
    /// What is synced, and when.
    pub durability: Durability,
    /// Number of bytes that parts leave free on the disk, approximately: parts written in parallel may use a few more.
    pub min_free: u64,
}

impl DiskStore {
    /// Opens the store below `data_dir`. Creates its 256 folders on first use.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        Self::open_with(data_dir, DiskOptions::default())
    }

    /// Like [`DiskStore::open`], with the given options.
    pub fn open_with(data_dir: &Path, options: DiskOptions) -> io::Result<Self> {
        let folder = data_dir.join("blobs");
        make_private_dir(&folder)?;
        if let Some(group) = options.group {
            share(data_dir, group, SHARED)?;
            share(&folder, group, SHARED)?;
        } else {
            make_private(&folder)?;
        }
        for shard in 0..=u8::MAX {
            let shard = folder.join(format!("{shard:02x}"));
            make_private_dir(&shard)?;
            match options.group {
                Some(group) => share_shard(&shard, group)?,
                None => make_private(&shard)?,
            }
        }
        let opened = File::open(&folder)?;
        opened.sync_all()?;
        let watched = (options.min_free > 0).then_some(opened);
        let folder = Arc::new(StoreFolder::new(folder));
        let (writeback, claims) = (Writeback::default(), Arc::default());
        Ok(Self { folder, watched, options, writeback, claims })
    }

    /// Times the syncs of growing files there. Those of finished files are operations of the store.
    #[must_use]
    pub fn timed(mut self, syncs: Histogram) -> Self {
        self.writeback.syncs = Some(syncs);
        self
    }

    /// The store below `data_dir` as it is, for inspection.
    pub fn at(data_dir: &Path) -> Self {
        Self {
            folder: Arc::new(StoreFolder::new(data_dir.join("blobs"))),
            watched: None,
            options: DiskOptions::default(),
            writeback: Writeback::default(),
            claims: Arc::default(),
        }
    }

    /// Number of bytes that parts may still use. Only reads the file system's counters, which doesn't block.
    fn free(&self) -> io::Result<u64> {
        let Some(folder) = &self.watched else {
            return Ok(u64::MAX); // the disk itself reports when it is full
        };
        Ok(space::free_around(folder)?.saturating_sub(self.options.min_free))
    }

    fn check_min_free(&self) -> io::Result<()> {
        match self.free()? {
            0 => {
                let full = "free disk space is down to --min-free-space";
                Err(io::Error::new(io::ErrorKind::StorageFull, full))
            }
            _ => Ok(()),
        }
    }

    /// Notes what was written. If it will be synced only at the end of the file, this starts syncing it now.
    fn wrote(&self, blob: BlobId, file: &Arc<File>, bytes: u64) {
        if self.options.durability == Durability::Finish {
            self.writeback.wrote(blob, file, bytes);
        }
    }

    /// Implements [`BlobStore::write`].
    async fn take(
        &self,
        target: Target,
        limit: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError> {
        let (blob, offset, stored) = match target {
            Target::Fresh(blob) => (blob, 0, 0),
            Target::At { blob, offset, stored } => (blob, offset, stored),
        };
        let mut options = OpenOptions::new();
        // If the blob already has bytes, creating a new file would leave holes in their place.
        let is_new = stored == 0;
        let options = options.write(true).create(is_new).truncate(false).mode(0o600);
        let path = self.folder.path(blob);
        let file = Arc::new(self.folder.find(|| options.open(&path))?);
        let mut reserved = self.writeback.reserve(blob, &file, offset, stored);
        let mut checked_at = 0;
        // Written on the async thread: writing to the page cache costs less than passing the frame to another thread.
        crash::point(Point::BlobOpened);
        let write = |frame: &[u8], at| {
            if at >= checked_at + CHECK_INTERVAL {
                self.check_min_free()?;
                if reserved < offset + at + CHECK_INTERVAL {
                    reserved = self.writeback.reserve(blob, &file, offset + at, stored + at);
                }
                self.wrote(blob, &file, at - checked_at);
                checked_at = at;
            }
            file.write_all_at(frame, offset + at)?;
            crash::point(Point::FrameWritten);
            Ok(())
        };
        let (written, broken_off) = each_frame(limit, body, write).await?;
        crash::point(Point::PartWritten);
        self.wrote(blob, &file, written.size - checked_at);
        self.writeback.throttle(blob, &file).await;
        if self.options.durability == Durability::Chunk {
            self.blocking(move |folder| {
                file.sync_data()?;
                File::open(folder.shard(blob))?.sync_all() // the file may be new in its folder
            })
            .await?;
        }
        whole(written, broken_off)
    }

    /// Runs file operations in its folder on the blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&StoreFolder) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let folder = Arc::clone(&self.folder);
        Ok(blocking(move || work(&folder)).await?)
    }
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

#[async_trait::async_trait]
impl BlobStore for DiskStore {
    fn claims(&self) -> Option<&Arc<Claims>> {
        Some(&self.claims)
    }

    async fn write(
        &self,
        target: Target,
        limit: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError> {
        self.take(target, limit, body).await.map_err(|error| match error {
            WriteError::Store(Error::Full(error)) => {
                WriteError::Store(Error::Full(space::explain(error, &self.folder.root())))
            }
            other => other,
        })
    }

    async fn settle(&self, extents: &Extents) -> Result<(), SettleError> {
        let options = self.options;
        for (blob, end) in extents.blobs() {
            if self.writeback.end(blob).await {
                return Err(SettleError::Lost(Error::other("an earlier sync failed")));
            }
            let settled =
                self.blocking(move |folder| Ok(settle(folder, blob, end, options))).await?;
            if matches!(settled, Err(SettleError::Lost(_))) {
                self.writeback.failed(blob);
            }
            settled?;
        }
        Ok(())
    }

    async fn rewrite(&self, extents: &Extents, patches: &[Patch]) -> Result<Extents, Error> {
        let (rewritten, patches) = (extents.clone(), patches.to_vec());
        self.blocking(move |folder| {
            overwrite(folder, &rewritten, &patches)?;
            Ok(rewritten)
        })
        .await
    }

    fn reader(&self, extents: &Extents) -> Result<Box<dyn Source>, Error> {
        let open = |blob| {
            let path = self.folder.path(blob);
            Ok(self.folder.find(|| File::open(&path))?)
        };
        Ok(Box::new(Reader::open(extents, open)?))
    }

    async fn read(
        &self,
        extents: &Extents,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, Error> {
        // Several blobs are all opened now: a job may copy them into one and delete them while they are read.
        let blobs = extents.slice(range.clone()).blobs();
        let opened = if blobs.len() < 2 {
            HashMap::new()
        } else {
            self.blocking(move |folder| open_all(folder, &blobs)).await?
        };
        let folder = Arc::clone(&self.folder);
        let open = move |blob, range| {
            let (folder, opened) = (Arc::clone(&folder), opened.get(&blob).map(File::try_clone));
            let open = move || {
                let path = folder.path(blob);
                opened.unwrap_or_else(|| folder.find(|| File::open(&path)))
            };
            async move { Ok(reading::pieces(blocking(open).await?, range, piece)) }
        };
        super::stream(extents, range, piece, open).await
    }

    fn proxy_path(&self, extents: &Extents) -> Option<String> {
        let name = extents.single_blob()?.to_string();
        Some(format!("{}/{name}", &name[..2]))
    }

    async fn room(&self) -> Result<u64, Error> {
        Ok(self.free()?)
    }

    async fn delete(&self, blobs: &[BlobId]) -> Result<(), Error> {
        for blob in blobs {
            self.claims.released(*blob).await;
            self.writeback.forget(*blob);
        }
        let blobs = blobs.to_vec();
        self.blocking(move |folder| {
            for blob in blobs {
                match folder.find(|| std::fs::remove_file(folder.path(blob))) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    async fn size(&self, blob: BlobId) -> Result<Option<u64>, Error> {
        self.blocking(move |folder| match folder.find(|| std::fs::metadata(folder.path(blob))) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    fn list_older_than(&self, unix_secs: u64) -> Listing {
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(unix_secs)); // `None` means no limit
        let folder = Arc::clone(&self.folder);
        let shards = stream::iter(0..=u8::MAX).then(move |shard| {
            let folder = Arc::clone(&folder);
            async move {
                Ok::<_, Error>(stream::iter(
                    blocking(move || older_than(&folder, shard, end)).await?,
                ))
            }
        });
        shards.map_ok(|blobs| blobs.map(Ok)).try_flatten().boxed()
    }

    async fn marker(&self) -> Result<Option<BlobId>, Error> {
        self.blocking(StoreFolder::marker).await
    }

    async fn mark(&self, id: BlobId) -> Result<(), Error> {
        self.blocking(move |folder| folder.mark(id)).await
    }

    async fn is_itself(&self) -> Result<(), Error> {
        self.blocking(StoreFolder::check).await
    }

    async fn check(&self) -> Result<(), Unready> {
        self.is_itself().await.map_err(Unready::NotMounted)?;
        let keep = self.options.min_free.max(space::LEAST);
        Unready::unless_free("stored files", &self.folder.root(), keep)?;
        Unready::unless_inodes("stored files", &self.folder.root())?;
        self.blocking(|folder| {
            let probe = folder.root().join("probe");
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
            match std::fs::remove_file(probe) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()), // a concurrent probe may have removed it
            }
        })
        .await?;
        Ok(())
    }
}

fn settle(
    folder: &StoreFolder,
    blob: BlobId,
    size: u64,
    options: DiskOptions,
) -> Result<(), SettleError> {
    folder.check()?; // nothing is durable if another disk is mounted here
    let (path, shard) = (folder.path(blob), File::open(folder.shard(blob))?);
    let file = match folder.find(|| OpenOptions::new().read(true).write(true).open(&path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SettleError::Lost(error.into()));
        }
        opened => opened?,
    };
    crash::point(Point::SealBegun);
    if file.metadata()?.len() < size {
        return Err(SettleError::Lost(Error::Short));
    }
    file.set_len(size)?; // also frees blocks reserved after the end, and bytes that an interrupted sender left there
    crash::point(Point::BlobCut);
    if let Some(group) = options.group {
        fchown(&file, None, Some(group.0))?;
        file.set_permissions(Permissions::from_mode(0o640))?;
    }
    if options.durability == Durability::Process {
        return Ok(());
    }
    let lost = |error: io::Error| SettleError::Lost(error.into());
    file.sync_all().map_err(lost)?;
    crash::point(Point::BlobSynced);
    shard.sync_all().map_err(lost)?;
    crash::point(Point::NameSynced);
    Ok(())
}

fn open_all(folder: &StoreFolder, blobs: &[(BlobId, u64)]) -> io::Result<HashMap<BlobId, File>> {
    let open = |(blob, _): &(BlobId, u64)| {
        let path = folder.path(*blob);
        Ok((*blob, folder.find(|| File::open(&path))?))
    };
    blobs.iter().map(open).collect()
}

/// Writes each patch over the bytes that it replaces.
fn overwrite(folder: &StoreFolder, extents: &Extents, patches: &[Patch]) -> io::Result<()> {
    let mut files = HashMap::new();
    for (blob, _) in extents.blobs() {
        let path = folder.path(blob);
        files.insert(blob, folder.find(|| OpenOptions::new().write(true).open(&path))?);
    }
    for (at, mut bytes) in patches.iter().flat_map(Patch::pieces) {
        for extent in &extents.slice(at..at + bytes.len() as u64) {
            let (now, later) = bytes.split_at(usize::try_from(extent.size()).unwrap_or(usize::MAX));
            match extent {
                Extent::Stored { blob, offset, .. } => files[blob].write_all_at(now, *offset)?,
                Extent::Zeros(_) if now.iter().all(|byte| *byte == 0) => {}
                Extent::Zeros(_) => return Err(io::ErrorKind::Unsupported.into()),
            }
            bytes = later;
        }
        crash::point(Point::PatchWritten);
    }
    Ok(())
}

/// Lists the blobs of one shard that were last written before `end`.
fn older_than(folder: &StoreFolder, shard: u8, end: Option<SystemTime>) -> io::Result<Vec<BlobId>> {
    folder.check()?; // otherwise all blobs of another store would look unclaimed
    let mut found = Vec::new();
    let shard = folder.root().join(format!("{shard:02x}"));
    let entries = match std::fs::read_dir(shard) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(blob) = entry.file_name().to_str().and_then(BlobId::parse) else {
            continue; // not a blob
        };
        match entry.metadata().and_then(|metadata| metadata.modified()) {
            Ok(written) if end.is_none_or(|end| written < end) => found.push(blob),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
