//! Blobs as files in one folder: each part is written at its final offset in the file's final place, so
//! that sealing moves no bytes.
//!
//! Names are made from [`BlobId`]s alone: `blobs/ab/ab…`, folders 0700, files 0600; for a group that may read
//! them, 0710 and 0640.

mod access;
mod home;
mod pool;
mod reading;
mod writeback;

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::{
    Blob, BlobStore, Durability, Incoming, Outgoing, SealError, Unready, WriteError, Written,
    each_frame,
};
use crate::crash::{self, Point};
use crate::ids::BlobId;
use crate::media::Patch;
use crate::part::Part;
use crate::space;
pub use access::{Gid, make_private_dir, make_private_file};
use access::{SHARED, make_private, share, share_shard};
use home::Home;
use pool::blocking;
use writeback::Writeback;

/// How often a part that is being written looks whether the disk still has room, and lets what it wrote be synced,
/// in bytes of its own.
const LOOK_EVERY: u64 = 1 << 20;

/// The disk store. One process at a time; the caller holds the data directory's lock.
#[derive(Debug)]
pub struct DiskStore {
    home: Arc<Home>,
    /// The folder, opened, if its file system is to keep bytes free.
    watched: Option<File>,
    options: DiskOptions,
    writeback: Writeback,
}

/// How a disk store keeps its files.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskOptions {
    /// Blobs that this group may read, those that are there already included; of the folders above them it can
    /// only go through.
    pub group: Option<Gid>,
    /// What is synced when.
    pub durability: Durability,
    /// Bytes of the disk that parts leave free, about: a few more may go while several are written.
    pub min_free: u64,
}

impl DiskStore {
    /// Opens the store below `data_dir`, making its 256 folders on first use.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        Self::open_with(data_dir, DiskOptions::default())
    }

    /// [`DiskStore::open`], with other options than the default ones.
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
        let home = Arc::new(Home::new(folder));
        Ok(Self { home, watched, options, writeback: Writeback::default() })
    }

    /// The store below `data_dir` as it is, to be looked at.
    pub fn at(data_dir: &Path) -> Self {
        Self {
            home: Arc::new(Home::new(data_dir.join("blobs"))),
            watched: None,
            options: DiskOptions::default(),
            writeback: Writeback::default(),
        }
    }

    /// Bytes that parts may still take. A look at the file system's counters, which waits for nothing.
    fn free(&self) -> io::Result<u64> {
        let Some(folder) = &self.watched else {
            return Ok(u64::MAX); // the disk itself says when it is full
        };
        Ok(space::free_around(folder)?.saturating_sub(self.options.min_free))
    }

    fn keep_some_free(&self) -> io::Result<()> {
        match self.free()? {
            0 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    /// Notes what was written; it goes to the disk before the end of the file, if only that will be synced.
    fn wrote(&self, blob: BlobId, file: &Arc<File>, bytes: u64) {
        if self.options.durability == Durability::Finish {
            self.writeback.wrote(blob, file, bytes);
        }
    }

    /// Runs file work in its folder on the blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Home) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let home = Arc::clone(&self.home);
        blocking(move || work(&home)).await
    }
}

#[async_trait::async_trait]
impl BlobStore for DiskStore {
    async fn write_part(
        &self,
        blob: BlobId,
        offset: u64,
        limit: u64,
        stored: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError> {
        let mut options = OpenOptions::new();
        // Where there are bytes already, another file would have holes in their place.
        let is_new = stored == 0;
        let options = options.write(true).create(is_new).truncate(false).mode(0o600);
        let path = self.home.path(blob);
        let file = Arc::new(self.home.find(|| options.open(&path))?);
        let mut reserved = self.writeback.reserve(blob, &file, offset, stored);
        let mut looked_at = 0;
        // Written inline: into the page cache this costs less than handing the frame to another thread.
        crash::point(Point::BlobOpened);
        let write = |frame: &[u8], at| {
            if at >= looked_at + LOOK_EVERY {
                self.keep_some_free()?;
                if reserved < offset + at + LOOK_EVERY {
                    reserved = self.writeback.reserve(blob, &file, offset + at, stored + at);
                }
                self.wrote(blob, &file, at - looked_at);
                looked_at = at;
            }
            file.write_all_at(frame, offset + at)?;
            crash::point(Point::FrameWritten);
            Ok(())
        };
        let written = each_frame(limit, body, write).await?;
        crash::point(Point::PartWritten);
        self.wrote(blob, &file, written.size - looked_at);
        self.writeback.keep_up(blob, &file).await;
        if self.options.durability == Durability::Chunk {
            self.blocking(move |home| {
                file.sync_data()?;
                File::open(home.shard(blob))?.sync_all() // its name may be new
            })
            .await?;
        }
        Ok(written)
    }

    async fn seal(&self, blob: BlobId, parts: &[Part]) -> Result<(), SealError> {
        let size = parts.last().map_or(0, |last| last.range().end);
        let options = self.options;
        if self.writeback.end(blob).await {
            return Err(SealError::Lost(io::Error::other("an earlier sync failed")));
        }
        self.blocking(move |home| Ok(seal(home, blob, size, options))).await?
    }

    async fn patch(&self, blob: BlobId, patches: &[Patch]) -> io::Result<()> {
        let patches = patches.to_vec();
        self.blocking(move |home| {
            let path = home.path(blob);
            let file = home.find(|| OpenOptions::new().write(true).open(&path))?;
            for (at, bytes) in patches.iter().flat_map(Patch::pieces) {
                file.write_all_at(bytes, at)?;
                crash::point(Point::PatchWritten);
            }
            Ok(())
        })
        .await
    }

    fn reader(&self, blob: BlobId) -> io::Result<Box<dyn Blob>> {
        let path = self.home.path(blob);
        Ok(Box::new(self.home.find(|| File::open(&path))?))
    }

    async fn read(&self, blob: BlobId, range: Range<u64>, piece: usize) -> io::Result<Outgoing> {
        let open = move |home: &Home| {
            let path = home.path(blob);
            home.find(|| File::open(&path))
        };
        let file = self.blocking(open).await?;
        Ok(reading::pieces(file, range, piece))
    }

    fn local_path(&self, blob: BlobId) -> Option<String> {
        let name = blob.to_string();
        Some(format!("{}/{name}", &name[..2]))
    }

    async fn room(&self) -> io::Result<u64> {
        self.free()
    }

    async fn delete(&self, blob: BlobId) -> io::Result<bool> {
        self.writeback.forget(blob);
        self.blocking(move |home| match home.find(|| std::fs::remove_file(home.path(blob))) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    async fn size(&self, blob: BlobId) -> io::Result<Option<u64>> {
        self.blocking(move |home| match home.find(|| std::fs::metadata(home.path(blob))) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn list_older_than(&self, unix_secs: u64) -> io::Result<Vec<BlobId>> {
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(unix_secs)); // none: the end of time
        let is_older = move |metadata: &Metadata| {
            end.is_none_or(|end| metadata.modified().is_ok_and(|written| written < end))
        };
        self.blocking(move |home| {
            home.check()?; // another store's blobs would all be nobody's
            let mut found = Vec::new();
            for shard in std::fs::read_dir(home.folder())? {
                let shard = shard?;
                if !shard.file_type()?.is_dir() {
                    continue;
                }
                for entry in std::fs::read_dir(shard.path())? {
                    let entry = entry?;
                    let Some(blob) = entry.file_name().to_str().and_then(BlobId::parse) else {
                        continue; // not ours
                    };
                    match entry.metadata() {
                        Ok(metadata) if is_older(&metadata) => found.push(blob),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    async fn marker(&self) -> io::Result<Option<BlobId>> {
        self.blocking(Home::marker).await
    }

    async fn mark(&self, id: BlobId) -> io::Result<()> {
        self.blocking(move |home| home.mark(id)).await
    }

    async fn is_itself(&self) -> io::Result<()> {
        self.blocking(Home::check).await
    }

    async fn check(&self) -> Result<(), Unready> {
        self.is_itself().await.map_err(Unready::NotMounted)?;
        let keep = self.options.min_free.max(space::LEAST);
        Unready::unless_free("stored files", space::free(&self.home.folder())?, keep)?;
        self.blocking(|home| {
            let probe = home.folder().join("probe");
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
            match std::fs::remove_file(probe) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()), // a probe at the same time may have removed it
            }
        })
        .await?;
        Ok(())
    }
}

fn seal(home: &Home, blob: BlobId, size: u64, options: DiskOptions) -> Result<(), SealError> {
    home.check()?; // what another disk keeps is nothing durable
    let (path, shard) = (home.path(blob), File::open(home.shard(blob))?);
    let file = match home.find(|| OpenOptions::new().read(true).write(true).open(&path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SealError::Lost(error));
        }
        opened => opened?,
    };
    crash::point(Point::SealBegun);
    let length = file.metadata()?.len();
    if length < size {
        let message = format!("the blob has {length} bytes of {size}");
        let error = io::Error::new(io::ErrorKind::UnexpectedEof, message);
        return Err(SealError::Lost(error));
    }
    file.set_len(size)?; // also gives back what was reserved behind the end, or left there by a sender cut off
    crash::point(Point::BlobCut);
    if let Some(group) = options.group {
        fchown(&file, None, Some(group.0))?;
        file.set_permissions(Permissions::from_mode(0o640))?;
    }
    if options.durability == Durability::Process {
        return Ok(());
    }
    file.sync_all().map_err(SealError::Lost)?;
    crash::point(Point::BlobSynced);
    shard.sync_all().map_err(SealError::Lost)?;
    crash::point(Point::NameSynced);
    Ok(())
}
