//! Rows held until the end of the transaction. Whoever changes more than one row of a media and its thumbnails holds the
//! media's first: so no two steps wait for each other.

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
use super::values::{Columns, N};
use super::{query, rows};
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::packed::{FINISHED, MEDIA, RECEIVING, THUMBNAIL};
use crate::metadata::{Generation, Role};

const COLUMNS: &str = "seq, id, user_id, state, role, blob, parent, thumbnail, reserved, attached";

/// A record whose row is held.
#[derive(Clone)]
pub(super) struct Locked {
    pub(super) id: UploadId,
    pub(super) seq: u64,
    pub(super) user: UserId,
    pub(super) state: i64,
    pub(super) role: Role,
    /// Whether it is a file of its own, or becomes one.
    pub(super) is_media: bool,
    pub(super) blob: Option<BlobId>,
    pub(super) parent: Option<UploadId>,
    pub(super) thumbnail: Option<UploadId>,
    pub(super) reserved: u64,
    pub(super) attached: bool,
}

impl Locked {
    fn of(row: &Row) -> Result<Self, Error> {
        let role = rows::role(row)?;
        Ok(Self {
            id: row.try_get("id")?,
            seq: row.number("seq")?,
            user: row.try_get("user_id")?,
            state: rows::state_number(row)?,
            role: if role == THUMBNAIL { Role::Thumbnail } else { Role::Media },
            is_media: role == MEDIA,
            blob: row.try_get("blob")?,
            parent: row.try_get("parent")?,
            thumbnail: row.try_get("thumbnail")?,
            reserved: row.number("reserved")?,
            attached: row.try_get("attached")?,
        })
    }

    /// Its number, as a value.
    pub(super) fn number(&self) -> N {
        N(self.seq)
    }

    /// Whether it is an upload that receives, or a File.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.state, RECEIVING | FINISHED)
    }
}

/// Holds a record; of a thumbnail, its media first, if that is on record.
pub(super) async fn record(pg: &Pg, id: UploadId) -> Result<Option<Locked>, Error> {
    let family = format!(
        "SELECT {COLUMNS} FROM uploads
         WHERE id IN ($1, (SELECT parent FROM uploads WHERE id = $1 AND role = 1))
         ORDER BY role FOR UPDATE"
    );
    let rows = query::rows(pg, &family, &[&id]).await?;
    let found = rows.iter().map(Locked::of).collect::<Result<Vec<_>, _>>()?;
    Ok(found.into_iter().find(|locked| locked.id == id))
}

/// Holds an upload, if this life of it receives.
pub(super) async fn receiving(pg: &Pg, of: Generation) -> Result<Option<Locked>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM uploads WHERE id = $1 AND generation = $2 AND state = 0 FOR UPDATE"
    );
    query::row(pg, &sql, &[&of.upload, &of.id]).await?.as_ref().map(Locked::of).transpose()
}

/// Holds the thumbnails of a media that is held, of which this is so, oldest first.
pub(super) async fn thumbnails(pg: &Pg, media: UploadId, so: &str) -> Result<Vec<Locked>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM uploads WHERE parent = $1 AND role = 1 AND {so} ORDER BY seq FOR UPDATE"
    );
    query::rows(pg, &sql, &[&media]).await?.iter().map(Locked::of).collect()
}

/// Holds the first upload of which this is so, and which nobody else holds.
pub(super) async fn first_free(
    pg: &Pg,
    so: &str,
    values: query::Values<'_>,
) -> Result<Option<Locked>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM uploads WHERE {so} ORDER BY created_at, seq LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    query::row(pg, &sql, values).await?.as_ref().map(Locked::of).transpose()
}
