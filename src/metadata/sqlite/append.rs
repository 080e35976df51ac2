//! Records bytes at the end of uploads whose bytes arrive in order.

use rusqlite::{Connection, OptionalExtension, params};

use super::{extents, jobs};
use crate::metadata::jobs::{JobKind, NewJob};
use crate::metadata::{Appended, Generation, NewBytes};
use crate::part::{Part, PartIndex, appended};

pub(super) fn append(
    tx: &Connection,
    of: Generation,
    new: &NewBytes,
    now: u64,
    leased_until: u64,
) -> rusqlite::Result<Appended> {
    // While an upload is suspect, its end isn't known.
    let receiving: Option<(i64, Option<u64>, bool)> = tx
        .prepare_cached(
            "SELECT seq, total_size, role = 0 FROM uploads
             WHERE id = ? AND generation = ? AND state = 0 AND append = 1 AND partials IS NULL AND suspect = 0
               AND patches IS NULL",
        )?
        .query_row(params![of.upload, of.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((seq, known_total, becomes_file)) = receiving else {
        return Ok(Appended::Refused);
    };
    let last = last_part(tx, seq)?;
    let total_size = known_total.or(new.total_size);
    let is_at_end = last.map_or(0, |(_, part)| part.range().end) == new.part.offset;
    let agrees = new.total_size.is_none_or(|declared| total_size == Some(declared));
    let end = new.part.range().end;
    if !is_at_end || !agrees || total_size.is_some_and(|total| end > total) {
        return Ok(Appended::Refused);
    }
    if known_total != total_size {
        tx.prepare_cached("UPDATE uploads SET total_size = ? WHERE seq = ?")?
            .execute(params![total_size, seq])?;
    }
    let is_complete = total_size == Some(end);
    if new.part.size > 0 || is_complete {
        let (index, part) = appended(last, new.part);
        tx.prepare_cached(
            "INSERT INTO parts (upload, idx, offset, size, crc32, stored_at) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (upload, idx)
             DO UPDATE SET size = excluded.size, crc32 = excluded.crc32, stored_at = excluded.stored_at",
        )?
        .execute(params![seq, index, part.offset, part.size, part.crc32, now])?;
    }
    if let Some(extents) = &new.extents {
        extents::add(tx, of.upload, new.part.offset, extents)?;
    }
    if !is_complete {
        return Ok(Appended::Stored);
    }
    let subject = of.upload.to_bytes();
    let job = if becomes_file {
        jobs::add(tx, &NewJob::at_once(JobKind::Finish, subject))?;
        jobs::lease(tx, JobKind::Finish, subject, leased_until)?
    } else {
        None
    };
    Ok(Appended::Complete { job })
}

fn last_part(tx: &Connection, seq: i64) -> rusqlite::Result<Option<(PartIndex, Part)>> {
    tx.prepare_cached(
        "SELECT idx, offset, size, crc32 FROM parts WHERE upload = ? ORDER BY idx DESC LIMIT 1",
    )?
    .query_row([seq], |row| {
        Ok((row.get(0)?, Part { offset: row.get(1)?, size: row.get(2)?, crc32: row.get(3)? }))
    })
    .optional()
}
