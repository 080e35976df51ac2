//! Where bytes are stored: in the blob of the record's row, from its beginning, or, without a blob, in rows of extents.

use std::collections::HashSet;
use std::ops::Range;

use tokio_postgres::Error;

use super::attempts::Pg;
use super::values::N;
use super::{jobs, query};
use crate::ids::{BlobId, UploadId};
use crate::metadata::jobs::NewJob;
use crate::storage::{Extent, Extents};

/// Extents as one array per column, in order.
pub(super) struct ExtentColumns {
    pub(super) starts: Vec<N>,
    pub(super) sizes: Vec<N>,
    pub(super) blobs: Vec<Option<BlobId>>,
    pub(super) offsets: Vec<N>,
}

impl ExtentColumns {
    /// Creates the arrays for bytes that begin at `at` in the file.
    pub(super) fn new(mut at: u64, extents: &Extents) -> Self {
        let mut packed =
            Self { starts: Vec::new(), sizes: Vec::new(), blobs: Vec::new(), offsets: Vec::new() };
        for extent in extents {
            let (blob, offset) = match *extent {
                Extent::Stored { blob, offset, .. } => (Some(blob), offset),
                Extent::Zeros(_) => (None, 0),
            };
            packed.starts.push(N(at));
            packed.sizes.push(N(extent.size()));
            packed.blobs.push(blob);
            packed.offsets.push(N(offset));
            at += extent.size();
        }
        packed
    }
}

/// Adds the extents of bytes that begin at `at` in the file.
pub(super) async fn add(pg: &Pg, seq: N, at: u64, extents: &Extents) -> Result<(), Error> {
    let ExtentColumns { starts, sizes, blobs, offsets } = ExtentColumns::new(at, extents);
    let sql = "INSERT INTO extents (upload, at, size, blob, off)
               SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::bigint[])";
    query::execute(pg, sql, &[&seq, &starts, &sizes, &blobs, &offsets]).await.map(drop)
}

/// Replaces the extents of a locked record with this blob in its row. The deletion of blobs that no longer contain
/// bytes of it becomes a job.
pub(super) async fn replace(
    pg: &Pg,
    id: UploadId,
    seq: N,
    blob: Option<BlobId>,
    extents: &Extents,
) -> Result<(), Error> {
    let before = blobs(pg, seq, blob).await?;
    let next = extents.single_blob();
    if next.is_some_and(|next| before == [next]) {
        return Ok(());
    }
    drop_extents(pg, seq, blob).await?;
    query::execute(pg, "UPDATE uploads SET blob = $2 WHERE seq = $1", &[&seq, &next]).await?;
    if next.is_none() {
        add(pg, seq, 0, extents).await?;
    }
    let kept: HashSet<BlobId> = extents.blobs().into_iter().map(|(blob, _)| blob).collect();
    let left: Vec<BlobId> = before.into_iter().filter(|blob| !kept.contains(blob)).collect();
    delete(pg, &left, id).await
}

/// Forgets the extents of a record, and returns their blobs. The caller clears the blob in the record's row.
pub(super) async fn forget(pg: &Pg, seq: N, blob: Option<BlobId>) -> Result<Vec<BlobId>, Error> {
    let blobs = blobs(pg, seq, blob).await?;
    drop_extents(pg, seq, blob).await?;
    Ok(blobs)
}

/// Forgets the extents in these ranges of the file, and returns their blobs. The record must not have a blob in its
/// row.
pub(super) async fn take(pg: &Pg, seq: N, ranges: &[Range<u64>]) -> Result<HashSet<BlobId>, Error> {
    let (starts, ends): (Vec<N>, Vec<N>) =
        ranges.iter().map(|range| (N(range.start), N(range.end))).unzip();
    let sql = "DELETE FROM extents USING unnest($2::bigint[], $3::bigint[]) AS range (first, past)
               WHERE upload = $1 AND at >= range.first AND at < range.past RETURNING blob";
    let rows = query::rows(pg, sql, &[&seq, &starts, &ends]).await?;
    let blobs =
        rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Option<BlobId>>, _>>()?;
    Ok(blobs.into_iter().flatten().collect())
}

/// Adds jobs that delete blobs of an upload.
pub(super) async fn delete(pg: &Pg, blobs: &[BlobId], of: UploadId) -> Result<(), Error> {
    for job in NewJob::deletions(blobs, of) {
        jobs::add(pg, &job).await?;
    }
    Ok(())
}

/// Returns those of these blobs in which no record has bytes.
pub(super) async fn unclaimed(pg: &Pg, blobs: &[BlobId]) -> Result<Vec<BlobId>, Error> {
    let sql = "SELECT asked.blob FROM unnest($1::uuid[]) WITH ORDINALITY AS asked (blob, number)
               WHERE NOT EXISTS (SELECT 1 FROM uploads WHERE blob = asked.blob)
                 AND NOT EXISTS (SELECT 1 FROM extents WHERE blob = asked.blob)
               ORDER BY number";
    query::rows(pg, sql, &[&blobs]).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Returns the blobs that contain bytes of a record, or will.
async fn blobs(pg: &Pg, seq: N, blob: Option<BlobId>) -> Result<Vec<BlobId>, Error> {
    if let Some(blob) = blob {
        return Ok(vec![blob]);
    }
    let sql = "SELECT DISTINCT blob FROM extents WHERE upload = $1 AND blob IS NOT NULL";
    query::rows(pg, sql, &[&seq]).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Deletes the extents of a record. A row with a blob has none.
async fn drop_extents(pg: &Pg, seq: N, blob: Option<BlobId>) -> Result<(), Error> {
    if blob.is_none() {
        query::execute(pg, "DELETE FROM extents WHERE upload = $1", &[&seq]).await?;
    }
    Ok(())
}
