//! Rows that are locked until the end of the transaction. A step that changes several rows of a media and its
//! thumbnails locks the media's row first, so that no two steps wait for each other.

use tokio_postgres::{Error, Row};

use super::attempts::Pg;
use super::values::{Columns, N};
use super::{query, rows};
use crate::ids::{BlobId, UploadId, UserId};
use crate::metadata::packed::{FINISHED, MEDIA, RECEIVING, THUMBNAIL};
use crate::metadata::{Generation, Role};

const COLUMNS: &str = "seq, id, user_id, state, role, blob, parent, thumbnail, reserved, attached";

/// A record whose row is locked.
#[derive(Clone)]
pub(super) struct Locked {
    pub(super) id: UploadId,
    pub(super) seq: u64,
    pub(super) user: UserId,
    pub(super) state: i64,
    pub(super) role: Role,
    /// Whether it is a file of its own, or will become one.
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

    /// Returns its number as a parameter.
    pub(super) fn number(&self) -> N {
        N(self.seq)
    }

    /// Whether it is an upload that is receiving, or a File.
    pub(super) fn is_alive(&self) -> bool {
        matches!(self.state, RECEIVING | FINISHED)
    }
}

/// Locks a record. If it is a thumbnail, locks its media first, if there is a record of that.
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

/// Locks an upload, if it is receiving and this is its generation.
pub(super) async fn receiving(pg: &Pg, of: Generation) -> Result<Option<Locked>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM uploads WHERE id = $1 AND generation = $2 AND state = 0 FOR UPDATE"
    );
    query::row(pg, &sql, &[&of.upload, &of.id]).await?.as_ref().map(Locked::of).transpose()
}

/// Locks the thumbnails of a locked media that meet the condition, oldest first.
pub(super) async fn thumbnails(
    pg: &Pg,
    media: UploadId,
    condition: &str,
) -> Result<Vec<Locked>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM uploads WHERE parent = $1 AND role = 1 AND {condition} ORDER BY seq FOR UPDATE"
    );
    query::rows(pg, &sql, &[&media]).await?.iter().map(Locked::of).collect()
}

/// Locks the first upload that meets the condition and isn't locked by others.
pub(super) async fn first_free(
    pg: &Pg,
    condition: &str,
    values: query::Values<'_>,
) -> Result<Option<Locked>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM uploads WHERE {condition} ORDER BY created_at, seq LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    query::row(pg, &sql, values).await?.as_ref().map(Locked::of).transpose()
}
