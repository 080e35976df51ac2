//! What only a store on a disk needs: bytes that an earlier boot of the machine left unsynced are suspect until they
//! are compared.

use tokio_postgres::Error;

use super::attempts::{Failure, Pg};
use super::values::{Columns, N};
use super::{extents, jobs, locked, query};
use crate::ids::{BlobId, UploadId};
use crate::metadata::Generation;
use crate::metadata::jobs::{JobKind, NewJob, PERIODIC};
use crate::part::{Part, PartIndex};

pub(super) async fn store_id(pg: &Pg, fresh: BlobId) -> Result<BlobId, Error> {
    query::execute(pg, "INSERT INTO store (id) VALUES ($1) ON CONFLICT DO NOTHING", &[&fresh])
        .await?;
    known_store_id(pg).await
}

pub(super) async fn known_store_id(pg: &Pg) -> Result<BlobId, Error> {
    query::one(pg, "SELECT id FROM store", &[]).await?.try_get(0)
}

/// Only a byte store that writes in place has boots. Its bytes are in the data directory of one server, so the first
/// server that calls this stays the only one.
pub(super) async fn begin_boot(pg: &Pg, boot: &str, node: &str) -> Result<(), Failure> {
    let claim = "UPDATE store SET node = $1 WHERE node IS NULL OR node = $1";
    if query::execute(pg, claim, &[&node]).await? == 0 {
        return Err(Failure::OtherDirectory);
    }
    let sql = "UPDATE store SET boot = $1 WHERE boot IS DISTINCT FROM $1";
    if query::execute(pg, sql, &[&boot]).await? > 0 {
        let doubt = "UPDATE uploads SET suspect = true WHERE state = 0 OR unsynced";
        query::execute(pg, doubt, &[]).await?;
        jobs::add(pg, &NewJob::at_once(JobKind::Compare, PERIODIC)).await?;
    }
    Ok(())
}

pub(super) async fn doubt(pg: &Pg, of: Generation) -> Result<(), Error> {
    let sql = "UPDATE uploads SET suspect = true WHERE id = $1 AND generation = $2 AND state = 0";
    query::execute(pg, sql, &[&of.upload, &of.id]).await?;
    jobs::add(pg, &NewJob::at_once(JobKind::Compare, PERIODIC)).await
}

pub(super) async fn believe_upload(
    pg: &Pg,
    of: Generation,
    lost: &[(PartIndex, Part)],
) -> Result<(), Error> {
    let Some(upload) = locked::receiving(pg, of).await? else { return Ok(()) };
    let seq = upload.number();
    let believe = "UPDATE uploads SET suspect = false WHERE seq = $1 AND suspect RETURNING patches IS NOT NULL";
    match query::row(pg, believe, &[&seq]).await? {
        Some(row) if !row.try_get::<_, bool>(0)? && !lost.is_empty() => {}
        _ => return Ok(()),
    }
    let indexes: Vec<N> = lost.iter().map(|(index, _)| N::from(*index)).collect();
    let offsets: Vec<N> = lost.iter().map(|(_, part)| N(part.offset)).collect();
    let sums: Vec<N> = lost.iter().map(|(_, part)| N::from(part.crc32)).collect();
    let forget = "DELETE FROM parts p USING unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS lost (idx, off, crc32)
                  WHERE p.upload = $1 AND p.idx = lost.idx AND p.off = lost.off AND p.crc32 = lost.crc32
                  RETURNING p.off, p.size";
    let forgotten = query::rows(pg, forget, &[&seq, &indexes, &offsets, &sums]).await?;
    let range = |row: &tokio_postgres::Row| {
        let offset = row.number("off")?;
        Ok(offset..offset + row.number("size")?)
    };
    let ranges = forgotten.iter().map(range).collect::<Result<Vec<_>, Error>>()?;
    let blobs: Vec<BlobId> = extents::take(pg, seq, &ranges).await?.into_iter().collect();
    extents::delete(pg, &blobs, of.upload).await?;
    // Compute the sums of the remaining parts.
    let sum = "
        UPDATE uploads
        SET epoch = epoch + 1, parts = left_over.parts, received = left_over.received, max_end = left_over.max_end,
            min_even = left_over.min_even, max_even = left_over.max_even
        FROM (SELECT count(*) AS parts, coalesce(sum(size), 0)::bigint AS received,
                     coalesce(max(off + size), 0) AS max_end,
                     min(size) FILTER (WHERE idx < last) AS min_even, max(size) FILTER (WHERE idx < last) AS max_even
              FROM parts, (SELECT total_parts - 1 AS last FROM uploads WHERE seq = $1) of_upload
              WHERE upload = $1) left_over
        WHERE seq = $1";
    query::execute(pg, sum, &[&seq]).await.map(drop)
}

pub(super) async fn believe_file(pg: &Pg, id: UploadId) -> Result<(), Error> {
    let sql = "UPDATE uploads SET suspect = false, unsynced = false
               WHERE id = $1 AND state <> 0 AND suspect";
    query::execute(pg, sql, &[&id]).await.map(drop)
}
