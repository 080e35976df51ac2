//! Joins partial uploads. No bytes are moved: the extents of the new upload are those of the partial uploads.

use std::collections::HashMap;

use tokio_postgres::{Error, Row};

use super::attempts::{Failure, Pg};
use super::locked::{self, Locked};
use super::values::{Columns, N, number};
use super::{append, begin, extents, jobs, parts, query, room};
use crate::ids::{BlobId, LeaseId, UploadId};
use crate::metadata::jobs::{JobKind, NewJob};
use crate::metadata::packed::{FINISHED, PARTIAL, RECEIVING, REPLACED, pack_pieces, unpack_pieces};
use crate::metadata::quota::Quota;
use crate::metadata::{Joined, NewUpload, Role};
use crate::part::{self, Part};
use crate::storage::Extents;

/// A locked partial upload of the user.
struct Piece {
    id: UploadId,
    seq: u64,
    blob: Option<BlobId>,
    size: u64,
    reserved: u64,
    is_complete: bool,
}

pub(super) async fn join(
    pg: &Pg,
    new: &NewUpload,
    pieces: &[UploadId],
    quota: Quota,
    now: u64,
    holder: jobs::Holder<'_>,
) -> Result<Joined, Failure> {
    let mut locked_pieces = lock_partials(pg, new, pieces).await?;
    if let Some(before) = joined_before(pg, new, pieces).await? {
        return Ok(Joined::Before(before));
    }
    let mut found = Vec::new();
    for id in pieces {
        match locked_pieces.remove(id) {
            Some(piece) if piece.is_complete => found.push(piece),
            Some(_) => return Ok(Joined::Incomplete(*id)),
            None => return Ok(Joined::NotAPiece(*id)),
        }
    }
    let size = found.iter().map(|piece| piece.size).sum();
    let reserved = found.iter().map(|piece| piece.reserved).sum();
    let usage = room::lock_usage(pg, &new.user).await?.usage.without(reserved);
    if let Err(over) = quota.check(usage, size, 1) {
        return Ok(Joined::Over(over));
    }
    let mut joined = NewUpload { reserved: size, ..new.clone() };
    joined.append.get_or_insert_default().total_size = Some(size);
    let upload = begin::insert(pg, &joined, Role::Media, now).await?.ok_or(Failure::UuidUsed)?;
    add_parts(pg, upload, &found).await?;
    let of =
        "UPDATE uploads SET partials = $2, parts = $3, received = $4, max_end = $4 WHERE seq = $1";
    let count = N(found.len() as u64);
    query::execute(pg, of, &[&upload, &pack_pieces(pieces), &count, &N(size)]).await?;
    let mut at = 0;
    for piece in &found {
        take_over(pg, &joined, upload, piece, at, now).await?;
        at += piece.size;
    }
    let subject = new.id.to_bytes();
    jobs::add(pg, &NewJob::at_once(JobKind::Finish, subject)).await?;
    Ok(Joined::Joined { job: jobs::lease(pg, JobKind::Finish, subject, holder).await? })
}

pub(super) async fn pieces(pg: &Pg, id: UploadId) -> Result<Vec<UploadId>, Error> {
    let sql = "SELECT partials FROM uploads WHERE id = $1 AND partials IS NOT NULL";
    let row = query::row(pg, sql, &[&id]).await?;
    row.map_or(Ok(Vec::new()), |row| row.try_get(0).map(unpack_pieces))
}

/// Adds the job that copies a File into one blob, if the File was joined and has several.
pub(super) async fn add_packing(pg: &Pg, of: &Locked, extents: &Extents) -> Result<(), Error> {
    let joined = "SELECT 1 FROM uploads WHERE seq = $1 AND partials IS NOT NULL";
    if extents.blobs().len() < 2 || !query::exists(pg, joined, &[&of.number()]).await? {
        return Ok(());
    }
    jobs::add(pg, &NewJob::pack(of.id, of.user.clone())).await
}

pub(super) async fn pack(
    pg: &Pg,
    id: UploadId,
    lease: LeaseId,
    copy: &Extents,
) -> Result<bool, Error> {
    let found = locked::record(pg, id).await?.filter(|file| file.state == FINISHED);
    let is_held = jobs::forget(pg, JobKind::Pack, id.to_bytes(), Some(lease)).await?;
    let condition = "SELECT 1 FROM uploads WHERE seq = $1 AND size = $2";
    if let Some(file) = found.filter(|_| is_held)
        && query::exists(pg, condition, &[&file.number(), &N(copy.size())]).await?
    {
        extents::replace(pg, id, file.number(), file.blob, copy).await?;
        return Ok(true);
    }
    let blobs: Vec<BlobId> = copy.blobs().into_iter().map(|(blob, _)| blob).collect();
    extents::delete(pg, &blobs, id).await?;
    Ok(false)
}

/// Locks those of these uploads that are partial uploads of this user, unless they are suspect, so that their sizes
/// aren't known. Locks them in the order of their uuids, so that another step that joins the same ones waits.
async fn lock_partials(
    pg: &Pg,
    new: &NewUpload,
    pieces: &[UploadId],
) -> Result<HashMap<UploadId, Piece>, Error> {
    let sql = "SELECT id, seq, blob, received, reserved, coalesce(parts > 0 AND received = total_size, false) AS complete
               FROM uploads WHERE id = ANY ($1) AND user_id = $2 AND state = $3 AND role = $4 AND NOT suspect
               ORDER BY id FOR UPDATE";
    let values: query::Values<'_> = &[&pieces, &new.user, &number(RECEIVING), &number(PARTIAL)];
    let read = |row: &Row| {
        let id = row.try_get("id")?;
        let piece = Piece {
            id,
            seq: row.number("seq")?,
            blob: row.try_get("blob")?,
            size: row.number("received")?,
            reserved: row.number("reserved")?,
            is_complete: row.try_get("complete")?,
        };
        Ok((id, piece))
    };
    query::rows(pg, sql, values).await?.iter().map(read).collect()
}

/// Returns the upload of this user into which the same partial uploads were joined.
async fn joined_before(
    pg: &Pg,
    new: &NewUpload,
    pieces: &[UploadId],
) -> Result<Option<UploadId>, Error> {
    let Some(first) = pieces.first() else { return Ok(None) };
    let sql = "SELECT whole.id FROM uploads piece JOIN uploads whole ON whole.id = piece.parent
               WHERE piece.id = $1 AND piece.state = $4 AND piece.role = $5 AND whole.user_id = $2 AND whole.partials = $3";
    let (replaced, partial) = (number(REPLACED), number(PARTIAL));
    let values: query::Values<'_> = &[first, &new.user, &pack_pieces(pieces), &replaced, &partial];
    query::row(pg, sql, values).await?.map(|row| row.try_get(0)).transpose()
}

/// Adds one part for each partial upload, which combines all of its parts.
async fn add_parts(pg: &Pg, upload: N, pieces: &[Piece]) -> Result<(), Error> {
    let numbers: Vec<N> = pieces.iter().map(|piece| N(piece.seq)).collect();
    let read =
        "SELECT upload, off, size, crc32 FROM parts WHERE upload = ANY ($1) ORDER BY upload, idx";
    let mut combined: HashMap<u64, Part> = HashMap::new();
    for row in query::rows(pg, read, &[&numbers]).await? {
        let more = append::part(&row)?;
        let entry = combined.entry(row.number("upload")?);
        entry.and_modify(|part| *part = part::joined(*part, more)).or_insert(more);
    }
    let (mut offsets, mut sums, mut at) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        offsets.push(N(at));
        sums.push(N::from(combined.get(&piece.seq).map_or(0, |part| part.crc32)));
        at += piece.size;
    }
    let sizes: Vec<N> = pieces.iter().map(|piece| N(piece.size)).collect();
    let add = "INSERT INTO parts (upload, idx, off, size, crc32, attempt)
               SELECT $1, number - 1, off, size, crc32, gen_random_uuid()
               FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS part (off, size, crc32, number)
               ORDER BY number";
    query::execute(pg, add, &[&upload, &offsets, &sizes, &sums]).await.map(drop)
}

/// Moves the bytes of a locked partial upload to the upload that it is joined into, where they begin at `at`. Its uuid
/// stands for that upload from now on.
async fn take_over(
    pg: &Pg,
    new: &NewUpload,
    upload: N,
    piece: &Piece,
    at: u64,
    now: u64,
) -> Result<(), Error> {
    parts::forget(pg, piece.seq).await?;
    let seq = N(piece.seq);
    let end = "UPDATE uploads
               SET state = $2, changed_at = $3, parent = $4, blob = NULL, generation = NULL, filename = NULL,
                   declared_type = NULL, wanted_md5 = NULL, total_size = NULL, reserved = 0, parts = 0, received = 0,
                   max_end = 0
               WHERE seq = $1";
    query::execute(pg, end, &[&seq, &number(REPLACED), &N(now), &new.id]).await?;
    match piece.blob {
        Some(blob) if piece.size > 0 => {
            extents::add(pg, upload, at, &Extents::stored(blob, 0, piece.size)).await
        }
        Some(blob) => extents::delete(pg, &[blob], piece.id).await,
        None => {
            let give = "UPDATE extents SET upload = $2, at = at + $3 WHERE upload = $1";
            query::execute(pg, give, &[&seq, &upload, &N(at)]).await.map(drop)
        }
    }
}
