//! Records and forgets parts. An upload may have very many, so they are deleted in batches.

use tokio_postgres::Error;
use uuid::Uuid;

use super::attempts::Pg;
use super::extents::ExtentColumns;
use super::pool::is_constraint_violation;
use super::values::N;
use super::{jobs, query};
use crate::metadata::jobs::NewJob;
use crate::metadata::{Generation, NewPart, Recorded};
use crate::storage::Extents;

/// Maximum number of parts that are deleted by the step that ends the upload.
const INLINE_BATCH: u32 = 100;
/// Maximum number of parts that the job deletes in one transaction.
const JOB_BATCH: u32 = 1000;

/// Records a part. Everything on which its placement relied is a column of the row that this statement locks. The
/// constraints of the table ensure that parts don't overlap and that their offsets ascend. There is no `ON CONFLICT`,
/// which would keep the changed sums.
const RECORD: &str = "
    WITH changed AS (
        UPDATE uploads
        SET parts = parts + 1, received = received + $5, max_end = greatest(max_end, $4::bigint + $5::bigint),
            total_size = coalesce(total_size, $8), even_size = coalesce(even_size, $9),
            min_even = CASE WHEN $3 = total_parts - 1 THEN min_even ELSE least(min_even, $5) END,
            max_even = CASE WHEN $3 = total_parts - 1 THEN max_even ELSE greatest(max_even, $5) END,
            touched_at = greatest(touched_at, $10)
        WHERE id = $1 AND generation = $2 AND state = 0 AND NOT append AND $3 < total_parts
          AND coalesce(total_size = $8, true) AND coalesce(even_size = $9, true)
          AND coalesce(greatest(max_end, $4::bigint + $5::bigint) <= coalesce(total_size, $8), true)
          AND ($3 = total_parts - 1 OR coalesce(coalesce(even_size, $9) = $5, true))
          AND coalesce(min_even = coalesce(even_size, $9), true) AND coalesce(max_even = coalesce(even_size, $9), true)
        RETURNING seq),
    part AS (
        INSERT INTO parts (upload, idx, off, size, crc32, attempt) SELECT seq, $3, $4, $5, $6::bigint, $7::uuid FROM changed),
    new_extents AS (
        INSERT INTO extents (upload, at, size, blob, off)
        SELECT changed.seq, e.* FROM changed, unnest($11::bigint[], $12::bigint[], $13::uuid[], $14::bigint[]) e)
    SELECT 1 FROM changed";

/// Records a part. `attempt` identifies this call. `again` is whether an earlier attempt may have been committed.
pub(super) async fn record(
    pg: &Pg,
    of: Generation,
    new: &NewPart,
    attempt: Uuid,
    again: bool,
    now: u64,
) -> Result<Recorded, Error> {
    let index = N::from(new.index);
    let new_extents =
        ExtentColumns::new(new.part.offset, new.extents.as_ref().unwrap_or(&Extents::default()));
    let recorded = query::exists(
        pg,
        RECORD,
        &[
            &of.upload,
            &of.id,
            &index,
            &N(new.part.offset),
            &N(new.part.size),
            &N::from(new.part.crc32),
            &attempt,
            &new.total_size.map(N),
            &new.even_size.map(N),
            &N(now),
            &new_extents.starts,
            &new_extents.sizes,
            &new_extents.blobs,
            &new_extents.offsets,
        ],
    )
    .await;
    match recorded {
        Ok(true) => return Ok(Recorded::Stored),
        Ok(false) => {}
        Err(error) if is_constraint_violation(&error) => {}
        Err(error) => return Err(error),
    }
    // This attempt has not recorded it, but an earlier one may have, whose reply was lost.
    let own = "SELECT 1 FROM parts JOIN uploads ON seq = upload
               WHERE id = $1 AND generation = $2 AND idx = $3 AND attempt = $4";
    let values: query::Values<'_> = &[&of.upload, &of.id, &index, &attempt];
    let is_own = again && query::exists(pg, own, values).await?;
    Ok(if is_own { Recorded::Stored } else { Recorded::Refused })
}

/// Forgets the parts of an upload that is no longer receiving, now or by a job.
pub(super) async fn forget(pg: &Pg, seq: u64) -> Result<(), Error> {
    if forget_some(pg, seq, INLINE_BATCH).await? {
        jobs::add(pg, &NewJob::forget_parts(seq)).await?;
    }
    Ok(())
}

/// Forgets more parts of an upload, unless it is receiving. Returns whether some are left.
pub(super) async fn forget_more(pg: &Pg, seq: u64) -> Result<bool, Error> {
    let is_receiving = "SELECT 1 FROM uploads WHERE seq = $1 AND state = 0";
    Ok(!query::exists(pg, is_receiving, &[&N(seq)]).await?
        && forget_some(pg, seq, JOB_BATCH).await?)
}

/// Forgets all parts of an upload that starts over with the same row.
pub(super) async fn forget_all(pg: &Pg, seq: N) -> Result<(), Error> {
    query::execute(pg, "DELETE FROM parts WHERE upload = $1", &[&seq]).await.map(drop)
}

async fn forget_some(pg: &Pg, seq: u64, limit: u32) -> Result<bool, Error> {
    let delete = "DELETE FROM parts WHERE upload = $1 AND idx <=
        (SELECT max(idx) FROM (SELECT idx FROM parts WHERE upload = $1 ORDER BY idx LIMIT $2) few)";
    let deleted = query::execute(pg, delete, &[&N(seq), &N::from(limit)]).await?;
    let left = "SELECT 1 FROM parts WHERE upload = $1 LIMIT 1";
    Ok(deleted == u64::from(limit) && query::exists(pg, left, &[&N(seq)]).await?)
}
