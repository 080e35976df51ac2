//! Section 4: a chunk that begins an upload and is refused, or breaks off, leaves nothing behind that counts.

use haversack::config::Settings;
use haversack::ids::{GenerationId, UploadId, UserId};
use haversack::metadata::quota::Quota;
use haversack::metadata::{Caps, NewUpload};
use serde_json::json;

use super::hangups::hanging;
use crate::harness::{Form, Server, eventually, new_uuid};

/// Room for one unfinished upload, and for one file of 1000 bytes.
async fn narrow() -> Server {
    let limits =
        Settings { max_unfinished: 1, user_quota: "1000".parse().unwrap(), ..Settings::default() };
    Server::with(limits).await
}

fn first(bytes: &str) -> Form {
    Form::chunk(0, 2, bytes).field("totalfilesize", 1000)
}

#[tokio::test]
async fn a_refused_first_chunk_does_not_count() {
    let server = narrow().await;
    let user = server.user(1);
    let refused = [
        ("too long", first("abc").field("chunksize", 2)),
        ("too short", first("abc").field("chunksize", 4)),
        ("contradicted", first("abc").after("chunksize", 4)),
        ("malformed", first("abc").after("partbyteoffset", "x")),
        ("two files", first("abc").after("totalparts", 3)),
        ("empty", first("").field("chunksize", 0)),
        ("beyond the total", first("abc").after("partbyteoffset", 999)),
    ];
    for (why, form) in refused {
        for form in [form.clone(), form.file_first()] {
            let uuid = new_uuid();
            let reply = user.upload(form.uuid(&uuid)).await;
            assert_eq!(reply.status, 400, "{why}");
            user.status(&uuid).await.refused(404, "not_found");
            assert_eq!(user.list("").await.ok()["results"], json!([]), "{why}");
        }
    }
    user.upload(first("abc")).await.ok();
}

#[tokio::test]
async fn a_first_chunk_that_breaks_off_does_not_count() {
    let server = narrow().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let sender = hanging(&server, &user, first(&"x".repeat(100)).uuid(&uuid)).await;
    assert_eq!(user.list("").await.ok()["results"], json!([]), "there is no upload yet");
    user.upload(first("abc")).await.refused(413, "quota_exceeded");
    drop(sender);
    eventually("it is forgotten", async || user.status(&uuid).await.status == 404).await;
    user.upload(first("abc")).await.ok();
    server.settled().await;
    assert_eq!(server.stored().len(), 1, "its bytes are deleted");
}

#[tokio::test]
async fn a_refused_chunk_takes_nothing_from_another_that_is_on_its_way() {
    let server = narrow().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let sized = first(&"x".repeat(100)).field("chunksize", 100);
    let mut sender = hanging(&server, &user, sized.uuid(&uuid)).await;
    let refused = Form::chunk(1, 2, "def").uuid(&uuid).field("partbyteoffset", 500);
    let reply = user.upload(refused.field("chunksize", 4)).await;
    reply.refused(400, "size_mismatch");
    super::hangups::complete(&mut sender, "x").await;
    assert_eq!(sender.reply().await.ok()["file_uuid"], json!(uuid));
    assert_eq!(user.status(&uuid).await.ok()["received"], 100);
}

#[tokio::test]
async fn after_a_refused_first_chunk_the_upload_may_begin_otherwise() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let refused = Form::chunk(0, 3, "abc").uuid(&uuid).field("chunksize", 4);
    user.upload(refused).await.refused(400, "size_mismatch");
    user.upload(Form::chunk(0, 1, "abc").uuid(&uuid)).await.ok();
    assert_eq!(user.finish(&uuid).await, "abc");
}

/// Its place depends on its size, so its bytes are stored apart, and its upload has no chunk in the meantime.
#[tokio::test]
async fn an_upload_whose_first_chunk_is_placed_late_is_not_withdrawn() {
    let server = Server::with(Settings { max_unfinished: 1000, ..Settings::default() }).await;
    let user = server.user(1);
    for _ in 0..300 {
        let last = Form::chunk(2, 3, "abcdefghi").uuid(&new_uuid()).field("totalfilesize", 27);
        user.upload(last).await.ok();
    }
}

#[tokio::test]
async fn what_a_crash_leaves_without_chunks_is_withdrawn_within_hours() {
    let server = narrow().await;
    let (records, _) = server.app.stores();
    let new = NewUpload {
        id: UploadId::random(),
        user: UserId::from(1),
        generation: GenerationId::random(),
        blob: None,
        total_parts: 2,
        append: None,
        reserved: 1000,
        filename: None,
        declared_type: None,
        parent: None,
    };
    let caps = Caps { max_unfinished: 1, idle_since: 0, quota: Quota::NONE };
    records.begin_upload(new, caps, server.clock.unix_secs()).await.unwrap();
    let user = server.user(1);
    server.skip(2 * 3600);
    server.sweep().await;
    user.upload(first("abc")).await.ok();
}

#[tokio::test]
async fn an_upload_created_by_tus_is_listed_and_stays_without_bytes() {
    let server = narrow().await;
    let user = server.user(1);
    let url = user.created(900).await;
    server.skip(2 * 3600);
    server.sweep().await;
    let list = user.list("").await.ok();
    assert_eq!(list["results"][0]["received"], 0);
    assert!(url.ends_with(list["results"][0]["file_uuid"].as_str().unwrap()), "{list}");
}
