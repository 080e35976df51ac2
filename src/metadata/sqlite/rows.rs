//! Reading records: from rows to the types of [`crate::metadata`].

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::extents;
use crate::filename::Filename;
use crate::ids::{BlobId, GenerationId, JobId, LeaseId, UploadId, UserId};
use crate::media::privacy::EmbeddedMetadata;
use crate::media::{Facts, MediaType, thumbnail};
use crate::metadata::packed::{
    EXPIRED, FINISHED, PARTIAL, RECEIVING, REPLACED, THUMBNAIL, unpack, unpack_embedded,
    unpack_patches,
};
use crate::metadata::{
    Append, Cursor, Finalizing, Listed, Location, NewFile, Record, Role, Snapshot, State,
    StoredFile, Summary, Unfinished,
};
use crate::part::{Layout, Part};
use crate::storage::Extents;

/// The columns that [`record`] reads.
const COLUMNS: &str = "seq, id, user_id, state, role, generation, blob, parent, thumbnail, total_parts, total_size, \
     even_size, epoch, reserved, filename, named, declared_type, media_type, duration_secs, width, height, size, crc32, embedded, received, \
     received_md5, patches, suspect, attached, created_at, append, wanted_md5, partials IS NOT NULL AS joined, \
     EXISTS (SELECT 1 FROM jobs WHERE kind = 'thumbnail' AND subject = uploads.id AND set_aside = 0) AS undrawn";

/// Number of parts above which an upload is read as a long query.
const MANY_PARTS: u32 = 1000;
/// A page of records ends with the upload with which its parts reach this number, the default limit of parts per
/// upload.
const PAGE_PARTS: usize = 50_000;

pub(super) fn store_id(connection: &Connection) -> rusqlite::Result<BlobId> {
    connection.query_row("SELECT id FROM store", (), |row| row.get(0))
}

pub(super) fn load(connection: &Connection, id: UploadId) -> rusqlite::Result<Option<Record>> {
    let sql = format!("SELECT {COLUMNS} FROM uploads WHERE id = ?");
    let found = connection
        .prepare_cached(&sql)?
        .query_row([id], |row| record(connection, row))
        .optional()?;
    if found.is_some() {
        return Ok(found);
    }
    let erased = connection.prepare_cached("SELECT 1 FROM erased WHERE id = ?")?.exists([id])?;
    Ok(erased.then_some(Record { id, user: None, state: State::Erased }))
}

/// Whether this uuid was ever used. It can be used only once.
pub(super) fn is_used(connection: &Connection, id: UploadId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM uploads WHERE id = ?1 UNION ALL SELECT 1 FROM erased WHERE id = ?1",
        )?
        .exists([id])
}

/// Returns the tombstones of a user.
pub(super) fn tombstones(
    connection: &Connection,
    user: &UserId,
) -> rusqlite::Result<Vec<UploadId>> {
    connection
        .prepare_cached("SELECT id FROM uploads WHERE user_id = ? AND state NOT IN (0, 1)")?
        .query_map([user], |row| row.get(0))?
        .collect()
}

/// Whether this is an unfinished upload that may have very many parts.
pub(super) fn may_be_large(connection: &Connection, id: UploadId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM uploads WHERE id = ? AND state = 0 AND total_parts > ?")?
        .exists((id, MANY_PARTS))
}

pub(super) fn suspects(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<Record>> {
    records(connection, "suspect = 1", (), limit)
}

pub(super) fn all(
    connection: &Connection,
    after: Cursor,
    limit: u32,
) -> rusqlite::Result<(Vec<Record>, Option<Cursor>)> {
    page(connection, "seq > ? AND state IN (0, 1)", [after], limit)
}

pub(super) fn of_user(
    connection: &Connection,
    user: &UserId,
    limit: u32,
) -> rusqlite::Result<Vec<Record>> {
    records(connection, "user_id = ? AND state IN (0, 1)", [user], limit)
}

pub(super) fn unattached(
    connection: &Connection,
    before: u64,
    limit: u32,
) -> rusqlite::Result<Vec<Record>> {
    let condition = "state = 1 AND role = 0 AND attached = 0 AND changed_at < ?";
    records(connection, condition, [before], limit)
}

/// Returns the oldest records that meet the condition.
fn records(
    connection: &Connection,
    condition: &str,
    values: impl Params,
    limit: u32,
) -> rusqlite::Result<Vec<Record>> {
    Ok(page(connection, condition, values, limit)?.0)
}

/// Returns the oldest records that meet the condition, and where to continue.
fn page(
    connection: &Connection,
    condition: &str,
    values: impl Params,
    limit: u32,
) -> rusqlite::Result<(Vec<Record>, Option<Cursor>)> {
    let sql = format!("SELECT {COLUMNS} FROM uploads WHERE {condition} ORDER BY seq LIMIT {limit}");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(values)?;
    let (mut records, mut parts, mut last) = (Vec::new(), 0, None);
    while parts < PAGE_PARTS
        && let Some(row) = rows.next()?
    {
        let record = record(connection, row)?;
        if let State::Receiving(unfinished) = &record.state {
            parts += unfinished.layout.parts().len();
        }
        last = Some(row.get("seq")?);
        records.push(record);
    }
    Ok((records, last))
}

pub(super) fn list(
    connection: &Connection,
    user: &UserId,
    before: Option<Cursor>,
    limit: u32,
) -> rusqlite::Result<(Vec<Listed>, Option<Cursor>)> {
    let sql = format!(
        "SELECT {COLUMNS} FROM uploads
         WHERE user_id = ? AND state IN (0, 1) AND role = 0 AND seq < ?
           AND (state = 1 OR append = 1 OR epoch > 0 OR EXISTS (SELECT 1 FROM parts WHERE upload = seq))
         ORDER BY seq DESC LIMIT ?"
    );
    let before = before.and_then(|cursor| i64::try_from(cursor).ok()).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut entries = statement
        .query_map((user, before, i64::from(limit) + 1), |row| {
            Ok((row.get::<_, u64>("seq")?, listed(connection, row)?))
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| more).map(|(seq, _)| *seq);
    Ok((entries.into_iter().map(|(_, entry)| entry).collect(), next))
}

fn listed(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Listed> {
    let id = row.get("id")?;
    if row.get::<_, i64>("state")? == FINISHED {
        let file = stored_file(connection, id, row.get("user_id")?, row)?;
        return Ok(Listed::File(Box::new(file)));
    }
    let (received_bytes, stored_at): (u64, u64) = connection
        .prepare_cached(
            "SELECT coalesce(sum(size), 0), coalesce(max(stored_at), 0) FROM parts WHERE upload = ?",
        )?
        .query_row([row.get::<_, i64>("seq")?], |sums| Ok((sums.get(0)?, sums.get(1)?)))?;
    Ok(Listed::Unfinished(Summary {
        id,
        filename: filename(row)?,
        total_parts: row.get("total_parts")?,
        total_size: row.get("total_size")?,
        received_bytes,
        touched_at: stored_at.max(row.get("created_at")?),
    }))
}

/// Returns the File with this uuid. The uuid of a thumbnail, also of a replaced one, stands for its parent.
pub(super) fn find_file(
    connection: &Connection,
    id: UploadId,
) -> rusqlite::Result<Option<StoredFile>> {
    let parent = match load(connection, id)?.map(|record| record.state) {
        Some(State::Finished(file)) => match (file.role, file.parent) {
            (Role::Thumbnail, Some(parent)) => parent,
            _ => return Ok(Some(*file)),
        },
        Some(State::Replaced { parent }) => parent,
        _ => return Ok(None),
    };
    match load(connection, parent)?.map(|record| record.state) {
        Some(State::Finished(file)) => Ok(Some(*file)),
        _ => Ok(None),
    }
}

pub(super) fn received_parts(
    connection: &Connection,
    id: UploadId,
) -> rusqlite::Result<Option<Vec<Part>>> {
    let packed: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT received FROM uploads WHERE id = ? AND state = 1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(packed.map(|packed| unpack(&packed.unwrap_or_default())))
}

pub(super) fn is_current(connection: &Connection, of: Snapshot) -> rusqlite::Result<bool> {
    let Snapshot { generation, epoch } = of;
    connection
        .prepare_cached(
            "SELECT 1 FROM uploads WHERE id = ? AND generation = ? AND state = 0 AND epoch = ?",
        )?
        .exists((generation.upload, generation.id, epoch))
}

fn record(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Record> {
    let id = row.get("id")?;
    let user: UserId = row.get("user_id")?;
    let state = match row.get::<_, i64>("state")? {
        RECEIVING => State::Receiving(Box::new(unfinished(connection, row)?)),
        FINISHED => State::Finished(Box::new(stored_file(connection, id, user.clone(), row)?)),
        EXPIRED => State::Expired,
        REPLACED => State::Replaced { parent: row.get("parent")? },
        _ => State::Removed,
    };
    Ok(Record { id, user: Some(user), state })
}

fn unfinished(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Unfinished> {
    let mut layout = Layout::new(row.get("total_parts")?);
    layout.total_size = row.get("total_size")?;
    layout.even_size = row.get("even_size")?;
    let mut touched_at = row.get("created_at")?;
    let mut statement = connection
        .prepare_cached("SELECT idx, offset, size, crc32, stored_at FROM parts WHERE upload = ?")?;
    let mut parts = statement.query([row.get::<_, i64>("seq")?])?;
    while let Some(part) = parts.next()? {
        let (offset, size, crc32) = (part.get(1)?, part.get(2)?, part.get(3)?);
        layout.insert(part.get(0)?, Part { offset, size, crc32 });
        touched_at = part.get::<_, u64>(4)?.max(touched_at);
    }
    let location = match row.get("blob")? {
        Some(blob) => Location::InPlace(blob),
        None => Location::Apart(extents::of_row(connection, row.get("seq")?)?),
    };
    let append = row.get::<_, bool>("append")?.then(|| append(row)).transpose()?;
    Ok(Unfinished {
        finalizing: finalizing_file(row, &location)?.map(Box::new),
        generation: row.get("generation")?,
        location,
        epoch: row.get("epoch")?,
        layout,
        append,
        reserved: row.get("reserved")?,
        filename: filename(row)?,
        declared_type: row.get("declared_type")?,
        touched_at,
        suspect: row.get("suspect")?,
    })
}

fn append(row: &Row<'_>) -> rusqlite::Result<Append> {
    Ok(Append {
        md5: row.get("wanted_md5")?,
        is_partial: row.get::<_, i64>("role")? == PARTIAL,
        is_joined: row.get("joined")?,
    })
}

fn finalizing_file(row: &Row<'_>, location: &Location) -> rusqlite::Result<Option<Finalizing>> {
    let Some(patches) = row.get::<_, Option<Vec<u8>>>("patches")? else {
        return Ok(None);
    };
    let patches = unpack_patches(&patches).ok_or(FromSqlError::InvalidType)?;
    let facts = facts(row)?;
    let drawable = thumbnail::is_drawable(&facts.media_type);
    let size = row.get("size")?;
    let file = NewFile {
        filename: filename(row)?.unwrap_or_else(|| Filename::made_up(facts.media_type.extension())),
        named: row.get("named")?,
        made_up: false,
        facts,
        embedded: embedded(row)?,
        extents: location.of(0..size),
        size,
        crc32: row.get("crc32")?,
        received_md5: row.get("received_md5")?,
        received: unpack(&row.get::<_, Vec<u8>>("received")?),
        drawable,
    };
    Ok(Some(Finalizing { file, patches }))
}

fn facts(row: &Row<'_>) -> rusqlite::Result<Facts> {
    Ok(Facts {
        media_type: MediaType::parse(&row.get::<_, String>("media_type")?).unwrap_or_default(),
        duration_secs: row.get("duration_secs")?,
        width: row.get("width")?,
        height: row.get("height")?,
    })
}

fn embedded(row: &Row<'_>) -> rusqlite::Result<EmbeddedMetadata> {
    Ok(unpack_embedded(row.get("embedded")?))
}

fn stored_file(
    connection: &Connection,
    id: UploadId,
    user: UserId,
    row: &Row<'_>,
) -> rusqlite::Result<StoredFile> {
    let (facts, size) = (facts(row)?, row.get("size")?);
    let extents = match row.get("blob")? {
        Some(blob) => Extents::stored(blob, 0, size),
        None => extents::of_row(connection, row.get("seq")?)?.into_values().collect(),
    };
    Ok(StoredFile {
        id,
        user,
        role: if row.get::<_, i64>("role")? == THUMBNAIL { Role::Thumbnail } else { Role::Media },
        extents,
        size,
        crc32: row.get("crc32")?,
        filename: filename(row)?.unwrap_or_else(|| Filename::made_up(facts.media_type.extension())),
        named: row.get("named")?,
        facts,
        embedded: embedded(row)?,
        received_md5: row.get("received_md5")?,
        parent: row.get("parent")?,
        thumbnail: row.get("thumbnail")?,
        attached: row.get("attached")?,
        undrawn: row.get("undrawn")?,
        created_at: row.get("created_at")?,
    })
}

fn filename(row: &Row<'_>) -> rusqlite::Result<Option<Filename>> {
    Ok(row.get::<_, Option<String>>("filename")?.and_then(|name| Filename::parse(&name)))
}

macro_rules! stored_as_bytes {
    ($($id:ident),*) => {
        $(impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.to_bytes().to_vec().into())
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                id_bytes(value).map(Self::from_bytes)
            }
        })*
    };
}
stored_as_bytes!(UploadId, BlobId, GenerationId, JobId, LeaseId);

impl ToSql for UserId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.as_str().into())
    }
}

impl FromSql for UserId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::parse(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

fn id_bytes(value: ValueRef<'_>) -> FromSqlResult<[u8; 16]> {
    value.as_blob()?.try_into().map_err(|_| FromSqlError::InvalidType)
}
