//! Reading records: from rows to the types of [`crate::metadata`]. One statement reads everything that belongs to a
//! record, so that it is consistent.

use std::collections::{BTreeMap, HashMap};

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
use super::query::{self, Values};
use super::values::{Columns, N};
use crate::filename::Filename;
use crate::ids::{BlobId, UploadId, UserId};
use crate::media::{Facts, MediaType, Patch, thumbnail};
use crate::metadata::packed::{
    EXPIRED, FINISHED, PARTIAL, RECEIVING, REPLACED, THUMBNAIL, unpack, unpack_embedded,
    unpack_patches,
};
use crate::metadata::{
    Append, Cursor, Finalizing, Location, NewFile, Record, Role, Snapshot, State, StoredFile,
    Unfinished,
};
use crate::part::{Layout, Part};
use crate::storage::{Extent, Extents};

/// The columns that [`record`] reads, of uploads `u`.
pub(super) const COLUMNS: &str = "u.seq, u.id, u.user_id, u.state, u.role, u.generation, u.blob, u.parent, u.thumbnail,
    u.total_parts, u.total_size, u.even_size, u.epoch, u.reserved, u.filename, u.named, u.declared_type, u.media_type,
    u.duration_secs, u.width, u.height, u.size, u.crc32, u.embedded, u.received_parts, u.received_md5, u.patches,
    u.suspect, u.attached, u.created_at, u.touched_at, u.append, u.wanted_md5, u.partials IS NOT NULL AS joined,
    p.part_idx, p.part_off, p.part_size, p.part_crc32,
    e.extent_at, e.extent_size, e.extent_blob, e.extent_off,
    EXISTS (SELECT 1 FROM jobs WHERE kind = 'thumbnail' AND subject = u.id AND NOT set_aside) AS undrawn";
/// The joins for those columns that are in other tables.
pub(super) const JOINED: &str = "LEFT JOIN LATERAL
    (SELECT array_agg(idx ORDER BY idx) AS part_idx, array_agg(off ORDER BY idx) AS part_off,
            array_agg(size ORDER BY idx) AS part_size, array_agg(crc32 ORDER BY idx) AS part_crc32
     FROM parts WHERE upload = u.seq AND u.state = 0) p ON true
    LEFT JOIN LATERAL
    (SELECT array_agg(at ORDER BY at) AS extent_at, array_agg(size ORDER BY at) AS extent_size,
            array_agg(blob ORDER BY at) AS extent_blob, array_agg(off ORDER BY at) AS extent_off
     FROM extents WHERE upload = u.seq AND u.blob IS NULL AND u.state IN (0, 1)) e ON true";

/// A page of records ends before the upload with which its parts would exceed this number, unless it is the first.
const PAGE_PARTS: u32 = 50_000;

pub(super) async fn load(pg: &Pg, id: UploadId) -> Result<Option<Record>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM uploads u {JOINED} WHERE u.id = $1");
    if let Some(row) = query::row(pg, &sql, &[&id]).await? {
        return record(&row).map(Some);
    }
    let erased = query::exists(pg, "SELECT 1 FROM erased WHERE id = $1", &[&id]).await?;
    Ok(erased.then_some(Record { id, user: None, state: State::Erased }))
}

/// Whether this uuid was ever used. It can be used only once.
pub(super) async fn is_used(pg: &Pg, id: UploadId) -> Result<bool, Error> {
    let used =
        "SELECT 1 FROM uploads WHERE id = $1 UNION ALL SELECT 1 FROM erased WHERE id = $1 LIMIT 1";
    query::exists(pg, used, &[&id]).await
}

/// Returns the oldest records that meet the condition, and where to continue.
pub(super) async fn page(
    pg: &Pg,
    condition: &str,
    values: Values<'_>,
    limit: u32,
) -> Result<(Vec<Record>, Option<Cursor>), Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM
            (SELECT *, sum(parts) FILTER (WHERE state = 0) OVER (ORDER BY seq) AS parts_so_far,
                    row_number() OVER (ORDER BY seq) AS number
             FROM (SELECT * FROM uploads WHERE {condition} ORDER BY seq LIMIT {limit}) found) u
         {JOINED}
         WHERE number = 1 OR coalesce(parts_so_far, 0) <= {PAGE_PARTS} ORDER BY u.seq"
    );
    let rows = pg.query(&sql, values).await?; // not cached as a prepared statement, because limits vary
    let last = rows.last().map(|row| row.number("seq")).transpose()?;
    Ok((rows.iter().map(record).collect::<Result<_, _>>()?, last))
}

/// Returns the Files with these uuids, in order. The uuid of a thumbnail, also of a replaced one, stands for its
/// parent.
pub(super) async fn find_files(
    pg: &Pg,
    ids: &[UploadId],
) -> Result<Vec<Option<StoredFile>>, Error> {
    let named = states(pg, ids).await?;
    let parents: Vec<UploadId> = named.values().filter_map(State::parent).collect();
    let media = states(pg, &parents).await?;
    let find = |id: &UploadId| {
        let state = named.get(id)?;
        let found = match state.parent() {
            Some(parent) => media.get(&parent)?,
            None => state,
        };
        match found {
            State::Finished(file) => Some(file.as_ref().clone()),
            _ => None,
        }
    };
    Ok(ids.iter().map(find).collect())
}

async fn states(pg: &Pg, ids: &[UploadId]) -> Result<HashMap<UploadId, State>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    // Unfinished uploads are left out: they are no Files, and may have very many parts.
    let sql =
        format!("SELECT {COLUMNS} FROM uploads u {JOINED} WHERE u.id = ANY ($1) AND u.state <> 0");
    let rows = query::rows(pg, &sql, &[&ids]).await?;
    let states = rows.iter().map(|row| record(row).map(|record| (record.id, record.state)));
    states.collect()
}

pub(super) async fn received_parts(pg: &Pg, id: UploadId) -> Result<Option<Vec<Part>>, Error> {
    let sql = "SELECT received_parts FROM uploads WHERE id = $1 AND state = 1";
    let Some(row) = query::row(pg, sql, &[&id]).await? else { return Ok(None) };
    Ok(Some(unpack(row.try_get::<_, Option<&[u8]>>(0)?.unwrap_or_default())))
}

pub(super) async fn is_current(pg: &Pg, of: Snapshot) -> Result<bool, Error> {
    let sql =
        "SELECT 1 FROM uploads WHERE id = $1 AND generation = $2 AND state = 0 AND epoch = $3";
    query::exists(pg, sql, &[&of.generation.upload, &of.generation.id, &N::from(of.epoch)]).await
}

pub(super) fn record(row: &Row) -> Result<Record, Error> {
    let id = row.try_get("id")?;
    let user: UserId = row.try_get("user_id")?;
    let state = match state_number(row)? {
        RECEIVING => State::Receiving(Box::new(unfinished(row)?)),
        FINISHED => State::Finished(Box::new(stored_file(row)?)),
        EXPIRED => State::Expired,
        REPLACED => State::Replaced { parent: row.try_get("parent")? },
        _ => State::Removed,
    };
    Ok(Record { id, user: Some(user), state })
}

/// Returns the number of a record's state.
pub(super) fn state_number(row: &Row) -> Result<i64, Error> {
    Ok(row.try_get::<_, i16>("state")?.into())
}

/// Returns the number of a record's role.
pub(super) fn role(row: &Row) -> Result<i64, Error> {
    Ok(row.try_get::<_, i16>("role")?.into())
}

fn unfinished(row: &Row) -> Result<Unfinished, Error> {
    let mut layout = Layout::new(row.small("total_parts")?);
    layout.total_size = row.maybe_number("total_size")?;
    layout.even_size = row.maybe_number("even_size")?;
    let numbers = |name| numbers(row, name);
    let (offsets, sizes) = (numbers("part_off")?, numbers("part_size")?);
    let (indexes, sums) = (small_numbers(row, "part_idx")?, small_numbers(row, "part_crc32")?);
    for (((index, offset), size), crc32) in indexes.into_iter().zip(offsets).zip(sizes).zip(sums) {
        layout.insert(index, Part { offset, size, crc32 });
    }
    let location = match row.try_get("blob")? {
        Some(blob) => Location::InPlace(blob),
        None => Location::Apart(extents(row)?),
    };
    Ok(Unfinished {
        finalizing: finalizing_file(row, &location)?.map(Box::new),
        generation: row.try_get("generation")?,
        location,
        epoch: row.small("epoch")?,
        layout,
        append: row.try_get::<_, bool>("append")?.then(|| append(row)).transpose()?,
        reserved: row.number("reserved")?,
        filename: filename(row)?,
        declared_type: row.try_get("declared_type")?,
        touched_at: row.number("touched_at")?,
        suspect: row.try_get("suspect")?,
    })
}

fn append(row: &Row) -> Result<Append, Error> {
    Ok(Append {
        md5: md5(row, "wanted_md5")?,
        is_partial: role(row)? == PARTIAL,
        is_joined: row.try_get("joined")?,
    })
}

fn numbers(row: &Row, name: &str) -> Result<Vec<u64>, Error> {
    let numbers = row.try_get::<_, Option<Vec<N>>>(name)?.unwrap_or_default();
    Ok(numbers.into_iter().map(|number| number.0).collect())
}

fn small_numbers(row: &Row, name: &str) -> Result<Vec<u32>, Error> {
    let numbers = row.try_get::<_, Option<Vec<super::values::Small>>>(name)?.unwrap_or_default();
    Ok(numbers.into_iter().map(|number| number.0).collect())
}

/// Returns the extents of a row without a blob, by their offset in the file.
fn extents(row: &Row) -> Result<BTreeMap<u64, Extent>, Error> {
    let (starts, sizes) = (numbers(row, "extent_at")?, numbers(row, "extent_size")?);
    let blobs = row.try_get::<_, Option<Vec<Option<BlobId>>>>("extent_blob")?.unwrap_or_default();
    let offsets = numbers(row, "extent_off")?;
    let each = starts.into_iter().zip(sizes).zip(blobs).zip(offsets);
    let extent = |(((at, size), blob), offset)| {
        let stored = |blob| Extent::Stored { blob, offset, size };
        (at, Option::map_or(blob, Extent::Zeros(size), stored))
    };
    Ok(each.map(extent).collect())
}

fn finalizing_file(row: &Row, location: &Location) -> Result<Option<Finalizing>, Error> {
    let Some(Patches(patches)) = row.try_get("patches")? else {
        return Ok(None);
    };
    let facts = facts(row)?;
    let drawable = thumbnail::is_drawable(&facts.media_type);
    let size = row.number("size")?;
    let file = NewFile {
        filename: filename(row)?.unwrap_or_else(|| Filename::made_up(facts.media_type.extension())),
        named: row.try_get("named")?,
        made_up: false,
        facts,
        embedded: unpack_embedded(row.try_get::<_, Option<i16>>("embedded")?.map(i64::from)),
        extents: location.of(0..size),
        size,
        crc32: row.small("crc32")?,
        received_md5: md5(row, "received_md5")?,
        received: unpack(row.try_get("received_parts")?),
        drawable,
    };
    Ok(Some(Finalizing { file, patches }))
}

fn facts(row: &Row) -> Result<Facts, Error> {
    Ok(Facts {
        media_type: MediaType::parse(row.try_get("media_type")?).unwrap_or_default(),
        duration_secs: row.maybe_number("duration_secs")?,
        width: row.maybe_small("width")?,
        height: row.maybe_small("height")?,
    })
}

pub(super) fn stored_file(row: &Row) -> Result<StoredFile, Error> {
    let (facts, size) = (facts(row)?, row.number("size")?);
    let extents = match row.try_get("blob")? {
        Some(blob) => Extents::stored(blob, 0, size),
        None => extents(row)?.into_values().collect(),
    };
    Ok(StoredFile {
        id: row.try_get("id")?,
        user: row.try_get("user_id")?,
        role: if role(row)? == THUMBNAIL { Role::Thumbnail } else { Role::Media },
        extents,
        size,
        crc32: row.small("crc32")?,
        filename: filename(row)?.unwrap_or_else(|| Filename::made_up(facts.media_type.extension())),
        named: row.try_get("named")?,
        facts,
        embedded: unpack_embedded(row.try_get::<_, Option<i16>>("embedded")?.map(i64::from)),
        received_md5: md5(row, "received_md5")?,
        parent: row.try_get("parent")?,
        thumbnail: row.try_get("thumbnail")?,
        attached: row.try_get("attached")?,
        undrawn: row.try_get("undrawn")?,
        created_at: row.number("created_at")?,
    })
}

fn md5(row: &Row, name: &str) -> Result<Option<[u8; 16]>, Error> {
    Ok(row.try_get::<_, Option<&[u8]>>(name)?.and_then(|md5| md5.try_into().ok()))
}

pub(super) fn filename(row: &Row) -> Result<Option<Filename>, Error> {
    Ok(row.try_get::<_, Option<&str>>("filename")?.and_then(Filename::parse))
}

/// Patches as a column.
struct Patches(Vec<Patch>);

impl<'a> tokio_postgres::types::FromSql<'a> for Patches {
    fn from_sql(
        of: &tokio_postgres::types::Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let packed = <&[u8]>::from_sql(of, raw)?;
        unpack_patches(packed).map(Self).ok_or_else(|| "invalid patches".into())
    }

    fn accepts(of: &tokio_postgres::types::Type) -> bool {
        *of == tokio_postgres::types::Type::BYTEA
    }
}
