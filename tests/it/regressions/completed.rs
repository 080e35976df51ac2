//! A request that completes an upload without bytes records that once. When it did so twice, the second time was refused
//! if the upload had become a File in between.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::stream;
use haversack::metadata::MetadataStore;
use haversack::metadata::sqlite::SqliteStore;
use haversack::storage::disk::DiskStore;
use haversack::uploads::{Algorithm, AppendRequest, Checksum, Creation};

use super::{USER, uploads};
use crate::doubles::{HookedRecords, RecordHooks};

/// Counts appends.
#[derive(Default)]
struct Counts(AtomicU32);

#[async_trait::async_trait]
impl RecordHooks for Counts {
    async fn before_append(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_its_length_completes_is_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let records = SqliteStore::open(dir.path()).unwrap();
    let counted = Arc::new(HookedRecords { records, hooks: Counts::default() });
    let blobs = Arc::new(DiskStore::open(dir.path()).unwrap());
    let uploads = uploads(blobs, Arc::clone(&counted) as Arc<dyn MetadataStore>);
    let of_nothing = || Checksum::new(Algorithm::Crc32, vec![0; 4]);
    for (is_partial, checksum) in
        [(false, None), (false, of_nothing()), (true, None), (true, of_nothing())]
    {
        let creation = Creation {
            user: USER.into(),
            total_size: None,
            filename: None,
            declared_type: None,
            md5: None,
            is_partial,
        };
        let id = uploads.create(creation).await.unwrap();
        counted.hooks.0.store(0, Ordering::SeqCst);
        let request = AppendRequest {
            user: USER.into(),
            id,
            offset: 0,
            total_size: Some(0),
            length: Some(0),
            checksum,
        };
        let progress = uploads.append(request, pin!(stream::empty())).await.unwrap();
        assert_eq!((progress.total_size, progress.file.is_none()), (Some(0), is_partial));
        assert_eq!(counted.hooks.0.load(Ordering::SeqCst), 1, "{is_partial}");
    }
}
