//! A byte store in memory that doesn't write in place, like an object store: every write creates a blob, which never
//! changes. Tests with it fail if code relies on properties of disks.

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use haversack::ids::BlobId;
use haversack::media::Patch;
use haversack::storage::{
    self, BlobStore, Error, Extents, Incoming, Listing, Outgoing, ReadAt, Reader, SettleError,
    Source, Target, Unready, WriteError, Written, each_frame,
};

use super::Blobs;

/// Blobs in memory. A clone is the same store, as if opened again.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    blobs: HashMap<BlobId, Blob>,
    /// How many bytes have arrived of blobs that are being written.
    coming: HashMap<BlobId, u64>,
    marker: Option<BlobId>,
}

struct Blob {
    bytes: Bytes,
    written: SystemTime,
}

impl MemoryStore {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no thread panics while it holds the lock")
    }

    /// Returns the lengths of all blobs, in any order.
    pub(crate) fn lengths(&self) -> Vec<u64> {
        self.lock().blobs.values().map(|blob| blob.bytes.len() as u64).collect()
    }

    /// Returns how many bytes have arrived of blobs that are being written.
    pub(crate) fn coming(&self) -> u64 {
        self.lock().coming.values().sum()
    }

    fn find(&self, blob: BlobId) -> Result<Bytes, Error> {
        self.lock().blobs.get(&blob).map(|blob| blob.bytes.clone()).ok_or(Error::NotFound)
    }

    /// Returns an error if the blob exists, like an object store.
    fn put(&self, blob: BlobId, bytes: Bytes) -> Result<(), Error> {
        let new = Blob { bytes, written: SystemTime::now() };
        match self.lock().blobs.insert(blob, new) {
            None => Ok(()),
            Some(_) => Err(Error::other("the blob exists already")),
        }
    }
}

/// A blob that is being written.
struct Coming<'a>(&'a MemoryStore, BlobId);

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.0.lock().coming.remove(&self.1);
    }
}

struct Opened(Bytes);

impl ReadAt for Opened {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (&self.0[usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len())..]).read(buffer)
    }
}

#[async_trait::async_trait]
impl BlobStore for MemoryStore {
    async fn write(
        &self,
        target: Target,
        limit: u64,
        body: Incoming<'_>,
    ) -> Result<Written, WriteError> {
        let Target::Fresh(blob) = target else {
            return Err(Error::other("this store doesn't write in place").into());
        };
        let mut bytes = BytesMut::new();
        let _coming = Coming(self, blob);
        let take = |frame: &[u8], at| {
            bytes.extend_from_slice(frame);
            self.lock().coming.insert(blob, at + frame.len() as u64);
            Ok(())
        };
        let (written, broken_off) = each_frame(limit, body, take).await?;
        self.put(blob, bytes.freeze())?;
        storage::whole(written, broken_off)
    }

    async fn settle(&self, extents: &Extents) -> Result<(), SettleError> {
        for (blob, end) in extents.blobs() {
            let found = self.find(blob).map_err(SettleError::Lost)?;
            if (found.len() as u64) < end {
                return Err(SettleError::Lost(Error::Short));
            }
        }
        Ok(())
    }

    async fn rewrite(&self, extents: &Extents, patches: &[Patch]) -> Result<Extents, Error> {
        let literals = BlobId::random();
        let (patched, bytes) = extents.patched(patches, literals);
        if !bytes.is_empty() {
            self.put(literals, bytes.into())?;
        }
        Ok(patched)
    }

    fn reader(&self, extents: &Extents) -> Result<Box<dyn Source>, Error> {
        Ok(Box::new(Reader::open(extents, |blob| self.find(blob).map(Opened))?))
    }

    async fn read(
        &self,
        extents: &Extents,
        range: Range<u64>,
        piece: usize,
    ) -> Result<Outgoing, Error> {
        let this = self.clone();
        let open = move |blob, range: Range<u64>| {
            let found = this.find(blob);
            async move {
                let (mut left, end) = (found?, range.end as usize);
                if left.len() < end {
                    return Err(Error::Short);
                }
                left = left.slice(range.start as usize..end);
                let pieces = std::iter::from_fn(move || {
                    (!left.is_empty()).then(|| Ok(left.split_to(piece.min(left.len()))))
                });
                Ok(stream::iter(pieces).boxed())
            }
        };
        storage::stream(extents, range, piece, open).await
    }

    async fn delete(&self, blobs: &[BlobId]) -> Result<(), Error> {
        self.lock().blobs.retain(|blob, _| !blobs.contains(blob));
        Ok(())
    }

    async fn size(&self, blob: BlobId) -> Result<Option<u64>, Error> {
        Ok(self.lock().blobs.get(&blob).map(|blob| blob.bytes.len() as u64))
    }

    fn list_older_than(&self, unix_secs: u64) -> Listing {
        let before = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(unix_secs));
        let inner = self.lock();
        let old = inner
            .blobs
            .iter()
            .filter(|(_, blob)| before.is_none_or(|before| blob.written < before));
        let old: Vec<_> = old.map(|(blob, _)| Ok(*blob)).collect();
        stream::iter(old).boxed()
    }

    async fn marker(&self) -> Result<Option<BlobId>, Error> {
        Ok(self.lock().marker)
    }

    async fn mark(&self, id: BlobId) -> Result<(), Error> {
        self.lock().marker = Some(id);
        Ok(())
    }

    async fn check(&self) -> Result<(), Unready> {
        Ok(())
    }
}

impl Blobs for MemoryStore {
    fn open(&self) -> Arc<dyn BlobStore> {
        Arc::new(self.clone())
    }
}

super::on_every_store_of_bytes!(MemoryStore);
