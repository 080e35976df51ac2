//! Two `Uploads` over the same stores, as two nodes would be: neither knows what the other one remembers, receives or
//! finishes. The records keep what they acknowledge apart, and in place the store's claims keep their writers apart. All
//! send the same bytes: in place, one that doesn't know yet what the other has recorded writes it once more.
//!
//! `HAVERSACK_TEST_SEED` repeats a run as far as its threads do.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use haversack::ids::{UploadId, UserId};
use haversack::media::privacy::EmbeddedMetadata;
use haversack::metadata::{MetadataStore, State, StoredFile};
use haversack::storage::disk::DiskStore;
use haversack::storage::{self, BlobStore, BodyError, crc32};
use haversack::uploads::{DoneRequest, Refusal, Uploads};
use md5::{Digest, Md5};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::faults::seed;
use crate::measured::setting;
use crate::media::without_metadata;
use crate::process::ledger::Random;
use crate::regressions::{USER, bytes_in, done, send_all, send_bytes, uploads};
use crate::stores::{MemoryStore, records_of_two_servers};

/// A picture with metadata to overwrite, of which no thumbnail can be made.
const PICTURE: &[u8] = include_bytes!("../../media/gps/exif.heic");
/// A file that is kept as it is sent.
const PLAIN: &[u8] = &[b'x'; 4500];
const CHUNK: usize = 1000;
/// Chunks of `PLAIN`.
const CHUNKS: u64 = PLAIN.len().div_ceil(CHUNK) as u64;
/// Senders of each upload.
const SENDERS: usize = 4;

/// Number of rounds of each test: 25, or as many as `HAVERSACK_TEST_PAIRS` says.
fn rounds() -> usize {
    setting("HAVERSACK_TEST_PAIRS").unwrap_or(25)
}

pub(super) struct Two {
    _dir: TempDir,
    pub(super) records: Arc<dyn MetadataStore>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) servers: [Arc<Uploads>; 2],
}

/// How an upload ends, beside by a done.
#[derive(Clone, Copy, Debug)]
enum End {
    Cancel,
    Expire,
    Erase,
}

impl Two {
    /// One pair over a store that writes in place, and one over a store that doesn't.
    pub(super) async fn over_each_store() -> [Arc<Self>; 2] {
        let over = async |blobs: fn(&Path) -> Arc<dyn BlobStore>| {
            let dir = tempfile::tempdir().unwrap();
            let records = records_of_two_servers(dir.path()).await;
            let blobs = blobs(dir.path());
            let servers = records.clone().map(|records| uploads(blobs.clone(), records));
            let [records, _] = records;
            Arc::new(Self { _dir: dir, records, blobs, servers })
        };
        [
            over(|dir| Arc::new(DiskStore::open(dir).unwrap())).await,
            over(|_| Arc::new(MemoryStore::default())).await,
        ]
    }

    /// Sends all chunks in some order through either server until each is confirmed, then a done; counts in `confirmed`.
    /// `None` when the upload was ended.
    async fn upload(
        &self,
        id: UploadId,
        mut random: Random,
        confirmed: &watch::Sender<u64>,
    ) -> Option<StoredFile> {
        let chunks: Vec<&[u8]> = PLAIN.chunks(CHUNK).collect();
        let mut left: Vec<usize> = (0..chunks.len()).collect();
        random.shuffle(&mut left);
        let total = chunks.len() as u32;
        let mut refusals = BTreeMap::<String, u32>::new();
        for _ in 0..1000 {
            let server = &self.servers[usize::from(random.flip())];
            let refusal = if let Some(index) = left.last().copied() {
                let place = (index as u32, total);
                let offset = (index * CHUNK) as u64;
                match send_bytes(server, id, place, offset, chunks[index].to_vec()).await {
                    Ok(_) => {
                        left.pop();
                        confirmed.send_modify(|chunks| *chunks += 1);
                        continue;
                    }
                    Err(refusal) => refusal,
                }
            } else {
                match done(server, id).await {
                    Ok(file) => return Some(file),
                    Err(refusal) => refusal,
                }
            };
            *refusals.entry(format!("{refusal:?}")).or_default() += 1;
            match refusal {
                Refusal::Raced | Refusal::Verifying => {}
                // As clients do: senders that repeat a part at once could replace each other for ever.
                Refusal::Body(BodyError::Superseded) => {
                    tokio::time::sleep(Duration::from_millis(random.below(20))).await;
                }
                Refusal::Removed => return None,
                // It begins anew, as its client would.
                Refusal::Expired | Refusal::NotFound | Refusal::MissingParts { .. } => {
                    left = (0..chunks.len()).collect();
                }
                // The other server deleted what it ended while this one read it.
                Refusal::Internal(error)
                    if error
                        .downcast_ref::<storage::Error>()
                        .is_some_and(storage::Error::is_lost) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("no end: {refusals:?}")
    }

    /// Ends the upload in some of the moments before all its chunks are confirmed.
    async fn end(
        self: Arc<Self>,
        id: UploadId,
        how: End,
        mut random: Random,
        mut confirmed: watch::Receiver<u64>,
    ) {
        let moment = random.below(CHUNKS);
        // Fails when all senders are done: an erasure of the other upload took this one, too.
        let _ = confirmed.wait_for(|chunks| *chunks >= moment).await;
        let server = &self.servers[usize::from(random.flip())];
        match how {
            End::Cancel => match server.remove(id, Some(USER.into())).await {
                Ok(_) | Err(Refusal::NotFound | Refusal::Removed | Refusal::Expired) => {}
                Err(refusal) => panic!("{refusal:?}"),
            },
            End::Expire => {
                self.records.expire(u64::MAX >> 1, 10, 1).await.unwrap();
                server.delete_forgotten().await.unwrap();
            }
            // What the other server began meanwhile may stay.
            End::Erase => drop(server.erase(&USER.into()).await),
        }
    }

    /// Sees that the record and the bytes of an upload of `sent` are whole, and are `kept` once it is a File.
    async fn check(&self, id: UploadId, sent: &[u8], kept: &[u8]) -> Option<StoredFile> {
        match self.records.load(id).await.unwrap()?.state {
            State::Finished(file) => {
                let bytes = bytes_in(self.blobs.as_ref(), &file).await;
                assert!(bytes == kept, "{id}: other bytes");
                assert_eq!(file.crc32, crc32fast::hash(&bytes), "{id}");
                let parts = self.records.received_parts(id).await.unwrap().unwrap();
                let sums = parts.iter().map(|part| part.crc32);
                assert!(sums.eq(sent.chunks(CHUNK).map(crc32fast::hash)), "{id}: other parts");
                Some(*file)
            }
            State::Receiving(upload) => {
                assert!(upload.finalizing.is_none(), "{id}: nobody finishes it");
                for (_, part) in upload.layout.parts() {
                    let extents = upload.location.of(part.range());
                    let found = crc32(self.blobs.as_ref(), &extents).await;
                    assert_eq!(found.unwrap(), Some(part.crc32), "{id}: a part without its bytes");
                }
                None
            }
            _ => None,
        }
    }
}

/// Several senders of the same file at once through both servers: each makes it the same File.
#[tokio::test(flavor = "multi_thread")]
async fn senders_through_two_servers_make_one_file() {
    for two in Two::over_each_store().await {
        let mut random = Random(seed());
        for _ in 0..rounds() {
            let id = UploadId::random();
            let senders = (0..SENDERS).map(|_| {
                let (two, random) = (Arc::clone(&two), Random(random.next()));
                tokio::spawn(async move { two.upload(id, random, &watch::Sender::default()).await })
            });
            let files = join_all(senders).await.into_iter().map(|sender| sender.unwrap().unwrap());
            let found = two.check(id, PLAIN, PLAIN).await.expect("it is a File");
            for file in files {
                assert_eq!((&file.extents, file.crc32), (&found.extents, found.crc32));
            }
        }
    }
}

/// Several dones at once through both servers, of a file in which something is overwritten.
#[tokio::test(flavor = "multi_thread")]
async fn dones_through_two_servers_make_one_file() {
    for two in Two::over_each_store().await {
        let cleaned = without_metadata(PICTURE);
        let md5: [u8; 16] = Md5::digest(PICTURE).into();
        for _ in 0..rounds() {
            let id = UploadId::random();
            send_all(&two.servers[0], id, PICTURE).await;
            let dones = (0..SENDERS).map(|sender| {
                let server = Arc::clone(&two.servers[sender % 2]);
                let md5 = Some(md5).filter(|_| sender > 1);
                let request =
                    DoneRequest { user: USER.into(), id, filename: None, total_size: None, md5 };
                tokio::spawn(async move { server.done(request).await.unwrap() })
            });
            let files = join_all(dones).await;
            let found = two.check(id, PICTURE, &cleaned).await.expect("it is a File");
            for file in files {
                let file = file.unwrap();
                assert_eq!((&file.extents, file.crc32), (&found.extents, found.crc32));
                assert_eq!(file.embedded, EmbeddedMetadata::Removed);
            }
        }
    }
}

/// Senders through both servers while their uploads are cancelled, expire or are erased.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_end_what_the_other_receives_mix_nothing_up() {
    for two in Two::over_each_store().await {
        let mut random = Random(seed());
        let (mut files, mut ended) = (0, 0);
        for round in 0..rounds() {
            let ids = [(); 2].map(|()| UploadId::random());
            let mut tasks = Vec::new();
            for id in ids {
                let confirmed = watch::Sender::new(0);
                for _ in 0..SENDERS / 2 {
                    let (two, random) = (Arc::clone(&two), Random(random.next()));
                    let confirmed = confirmed.clone();
                    tasks.push(tokio::spawn(async move {
                        two.upload(id, random, &confirmed).await;
                    }));
                }
                let how = match random.below(8) {
                    0 if round % 5 == 0 => End::Erase,
                    0..3 => End::Cancel,
                    _ => End::Expire,
                };
                let (two, random) = (Arc::clone(&two), Random(random.next()));
                tasks.push(tokio::spawn(two.end(id, how, random, confirmed.subscribe())));
            }
            for task in join_all(tasks).await {
                task.unwrap();
            }
            for id in ids {
                match two.check(id, PLAIN, PLAIN).await {
                    Some(_) => files += 1,
                    None => ended += 1,
                }
            }
        }
        assert!(files > 0 && ended > 0, "{files} files, {ended} ended");
        // Nothing of it counts for another user.
        let others = two.records.usage(UserId::from(2)).await.unwrap();
        assert_eq!((others.user_bytes, others.user_files), (0, 0));
    }
}
