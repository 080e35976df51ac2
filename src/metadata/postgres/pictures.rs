//! Steps of thumbnails: which ones are to be made, and which one a media shows.

use tokio_postgres::Error;

use super::attempts::Pg;
use super::begin::insert;
use super::locked::{self, Locked};
use super::values::N;
use super::{extents, forget, jobs, query};
use crate::ids::{BlobId, LeaseId, UploadId};
use crate::media::privacy::EmbeddedMetadata;
use crate::metadata::jobs::JobKind;
use crate::metadata::packed::{FINISHED, REPLACED, pack_embedded};
use crate::metadata::{NewPicture, Role};

pub(super) async fn end_drawing(
    pg: &Pg,
    id: UploadId,
    lease: LeaseId,
    picture: Option<&NewPicture>,
    synced: bool,
    now: u64,
) -> Result<bool, Error> {
    let found = locked::record(pg, id).await?;
    if !jobs::forget(pg, JobKind::Thumbnail, id.to_bytes(), Some(lease)).await? {
        delete_picture(pg, picture).await?;
        return Ok(false);
    }
    let Some(file) = found.filter(|file| file.state == FINISHED) else {
        delete_picture(pg, picture).await?;
        return Ok(true);
    };
    match (file.role, file.parent, picture) {
        (Role::Thumbnail, Some(parent), _) => {
            finish_sent(pg, &file, parent, picture, synced, now).await?;
        }
        (Role::Media, _, Some(picture)) if file.thumbnail.is_none() => {
            add_thumbnail(pg, &file, picture, synced, now).await?;
        }
        _ => delete_picture(pg, picture).await?,
    }
    Ok(true)
}

/// Replaces older thumbnails with one that a client sent. If a picture was made of it, the media shows the picture
/// instead of any earlier thumbnail. Otherwise only thumbnails that were sent before it are replaced. If a message
/// shows the media with a thumbnail, that stays, and the sent one is removed.
async fn finish_sent(
    pg: &Pg,
    sent: &Locked,
    parent: UploadId,
    picture: Option<&NewPicture>,
    synced: bool,
    now: u64,
) -> Result<(), Error> {
    let frozen = "SELECT 1 FROM uploads WHERE id = $1 AND attached AND thumbnail IS NOT NULL";
    if query::exists(pg, frozen, &[&parent]).await? {
        forget::forget_bytes(pg, sent, REPLACED, now).await?;
        return delete_picture(pg, picture).await;
    }
    let Some(picture) = picture else {
        let older = older(pg, parent, sent.id, Older::Sent).await?;
        return replace(pg, &older, now).await;
    };
    set_picture(pg, sent.id, sent.number(), sent.blob, picture, synced).await?;
    let older = older(pg, parent, sent.id, Older::All).await?;
    replace(pg, &older, now).await?;
    show(pg, parent, sent.id).await
}

async fn show(pg: &Pg, media: UploadId, thumbnail: UploadId) -> Result<(), Error> {
    let show = "UPDATE uploads SET thumbnail = $2 WHERE id = $1";
    query::execute(pg, show, &[&media, &thumbnail]).await.map(drop)
}

async fn delete_picture(pg: &Pg, picture: Option<&NewPicture>) -> Result<(), Error> {
    let Some(picture) = picture else { return Ok(()) };
    let blobs: Vec<BlobId> = picture.extents.blobs().into_iter().map(|(blob, _)| blob).collect();
    extents::delete(pg, &blobs, picture.id).await
}

/// Records a picture that was made of a media as the media's thumbnail.
async fn add_thumbnail(
    pg: &Pg,
    of: &Locked,
    picture: &NewPicture,
    synced: bool,
    now: u64,
) -> Result<(), Error> {
    let upload = picture.upload(of.user.clone(), of.id);
    let Some(seq) = insert(pg, &upload, Role::Thumbnail, now).await? else {
        return delete_picture(pg, Some(picture)).await; // never happens: random uuids are unique
    };
    let made = "UPDATE uploads SET state = 1, generation = NULL WHERE seq = $1";
    query::execute(pg, made, &[&seq]).await?;
    set_picture(pg, picture.id, seq, upload.blob, picture, synced).await?;
    show(pg, of.id, picture.id).await
}

/// Replaces the bytes of a thumbnail with a picture.
async fn set_picture(
    pg: &Pg,
    id: UploadId,
    seq: N,
    blob: Option<BlobId>,
    picture: &NewPicture,
    synced: bool,
) -> Result<(), Error> {
    extents::replace(pg, id, seq, blob, &picture.extents).await?;
    let sql = "UPDATE uploads
               SET size = $2, crc32 = $3, media_type = $4, width = $5, height = $6, unsynced = $7, embedded = $8,
                   filename = NULL, reserved = 0
               WHERE seq = $1";
    let embedded = pack_embedded(EmbeddedMetadata::None); // the picture was encoded by the server
    query::execute(
        pg,
        sql,
        &[
            &seq,
            &N(picture.size),
            &N::from(picture.crc32),
            &picture.facts.media_type.as_str(),
            &picture.facts.width.map(N::from),
            &picture.facts.height.map(N::from),
            &!synced,
            &embedded.and_then(|number| i16::try_from(number).ok()),
        ],
    )
    .await
    .map(drop)
}

/// Which thumbnails a new one replaces.
#[derive(Clone, Copy, Debug)]
pub(super) enum Older {
    /// Those that a client sent, except the one that the media shows.
    SentAndHidden,
    /// Those that a client sent.
    Sent,
    /// All, also those that the server made.
    All,
}

/// Locks and returns the thumbnails of a locked media that `id` replaces.
pub(super) async fn older(
    pg: &Pg,
    parent: UploadId,
    id: UploadId,
    which: Older,
) -> Result<Vec<Locked>, Error> {
    let which = match which {
        Older::SentAndHidden => {
            "received_parts IS NOT NULL
             AND id IS DISTINCT FROM (SELECT media.thumbnail FROM uploads media WHERE media.id = $1)"
        }
        Older::Sent => "received_parts IS NOT NULL",
        Older::All => "true",
    };
    let mut older = locked::thumbnails(pg, parent, &format!("state = 1 AND {which}")).await?;
    older.retain(|thumbnail| thumbnail.id != id);
    Ok(older)
}

/// Marks these thumbnails as replaced, and removes them from their media.
pub(super) async fn replace(pg: &Pg, thumbnails: &[Locked], now: u64) -> Result<(), Error> {
    for thumbnail in thumbnails {
        forget::forget_bytes(pg, thumbnail, REPLACED, now).await?;
        let hide = "UPDATE uploads SET thumbnail = NULL WHERE id = $1 AND thumbnail = $2";
        query::execute(pg, hide, &[&thumbnail.parent, &thumbnail.id]).await?;
    }
    Ok(())
}
