//! Records bytes at the end of uploads whose bytes arrive in order.

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
use super::extents::ExtentColumns;
use super::values::{Columns, N};
use super::{jobs, query};
use crate::metadata::jobs::{JobKind, NewJob};
use crate::metadata::{Appended, Generation, NewBytes};
use crate::part::{Part, PartIndex, appended};
use crate::storage::Extents;

/// Locks the upload. While an upload is suspect, its end isn't known.
const RECEIVING: &str = "
    SELECT seq, total_size, max_end, role = 0 AS becomes_file FROM uploads
    WHERE id = $1 AND generation = $2 AND state = 0 AND append AND partials IS NULL AND NOT suspect AND patches IS NULL
    FOR UPDATE";

/// Records the last part, which is new or has grown, and updates the sums.
const RECORD: &str = "
    WITH part AS (
        INSERT INTO parts (upload, idx, off, size, crc32, attempt) VALUES ($1, $2, $3, $4, $5, gen_random_uuid())
        ON CONFLICT (upload, idx) DO UPDATE SET size = excluded.size, crc32 = excluded.crc32),
    new_extents AS (
        INSERT INTO extents (upload, at, size, blob, off)
        SELECT $1, * FROM unnest($6::bigint[], $7::bigint[], $8::uuid[], $9::bigint[]))
    UPDATE uploads
    SET parts = parts + $10, received = received + $11, max_end = $3::bigint + $4::bigint, total_size = $12,
        touched_at = greatest(touched_at, $13)
    WHERE seq = $1";

pub(super) async fn append(
    pg: &Pg,
    of: Generation,
    new: &NewBytes,
    now: u64,
    holder: jobs::Holder<'_>,
) -> Result<Appended, Error> {
    let Some(row) = query::row(pg, RECEIVING, &[&of.upload, &of.id]).await? else {
        return Ok(Appended::Refused);
    };
    let (seq, known_total) = (N(row.number("seq")?), row.maybe_number("total_size")?);
    let total_size = known_total.or(new.total_size);
    let is_at_end = row.number("max_end")? == new.part.offset;
    let agrees = new.total_size.is_none_or(|declared| total_size == Some(declared));
    let end = new.part.range().end;
    if !is_at_end || !agrees || total_size.is_some_and(|total| end > total) {
        return Ok(Appended::Refused);
    }
    let is_complete = total_size == Some(end);
    if new.part.size > 0 || is_complete {
        record(pg, seq, new, total_size, now).await?;
    } else if known_total != total_size {
        let total = "UPDATE uploads SET total_size = $2 WHERE seq = $1";
        query::execute(pg, total, &[&seq, &total_size.map(N)]).await?;
    }
    if !is_complete {
        return Ok(Appended::Stored);
    }
    let subject = of.upload.to_bytes();
    let job = if row.try_get("becomes_file")? {
        jobs::add(pg, &NewJob::at_once(JobKind::Finish, subject)).await?;
        jobs::lease(pg, JobKind::Finish, subject, holder).await?
    } else {
        None
    };
    Ok(Appended::Complete { job })
}

async fn record(
    pg: &Pg,
    seq: N,
    new: &NewBytes,
    total_size: Option<u64>,
    now: u64,
) -> Result<(), Error> {
    let last = last_part(pg, seq).await?;
    let (index, part) = appended(last, new.part);
    let is_new = last.is_none_or(|(last, _)| last != index);
    let new_extents =
        ExtentColumns::new(new.part.offset, new.extents.as_ref().unwrap_or(&Extents::default()));
    query::execute(
        pg,
        RECORD,
        &[
            &seq,
            &N::from(index),
            &N(part.offset),
            &N(part.size),
            &N::from(part.crc32),
            &new_extents.starts,
            &new_extents.sizes,
            &new_extents.blobs,
            &new_extents.offsets,
            &N(u64::from(is_new)),
            &N(new.part.size),
            &total_size.map(N),
            &N(now),
        ],
    )
    .await
    .map(drop)
}

async fn last_part(pg: &Pg, seq: N) -> Result<Option<(PartIndex, Part)>, Error> {
    let sql = "SELECT idx, off, size, crc32 FROM parts WHERE upload = $1 ORDER BY idx DESC LIMIT 1";
    let read = |row: Row| Ok((row.small("idx")?, part(&row)?));
    query::row(pg, sql, &[&seq]).await?.map(read).transpose()
}

/// Reads a part from a row with these columns.
pub(super) fn part(row: &Row) -> Result<Part, Error> {
    let (offset, size) = (row.number("off")?, row.number("size")?);
    Ok(Part { offset, size, crc32: row.small("crc32")? })
}
