//! Sections 4 and 10: what the server removes by itself.

use haversack::config::Settings;
use haversack::ids::BlobId;
use serde_json::json;

use crate::harness::{DAY, Form, Server, png};
use crate::stores::blobs::fresh;

/// A server that has removed an unfinished upload of user 1, and the upload's uuid.
async fn expired() -> (Server, String) {
    let server = Server::start().await;
    let uuid = server.user(1).begin(2, "abc").await;
    server.skip(8 * DAY + 60);
    server.sweep().await;
    (server, uuid)
}

#[tokio::test]
async fn an_upload_expires_eight_days_after_its_last_stored_chunk() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(3, "abc").await;
    server.skip(7 * DAY);
    user.upload(Form::chunk(1, 3, "def").uuid(&uuid)).await.ok();
    server.skip(8 * DAY - 60);
    server.sweep().await;
    user.status(&uuid).await.ok();
    server.skip(120);
    server.sweep().await;
    user.status(&uuid).await.refused(410, "expired");
}

#[tokio::test]
async fn status_says_when_an_upload_expires() {
    let settings = Settings { upload_ttl: "2d".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let expires = user.status(&uuid).await.ok()["expires"].as_u64().unwrap();
    let left = expires - server.clock.unix_secs();
    server.skip(left - 30);
    server.sweep().await;
    user.status(&uuid).await.ok();
    server.skip(60);
    server.sweep().await;
    user.status(&uuid).await.refused(410, "expired");
}

#[tokio::test]
async fn an_expired_upload_says_reset_once_and_its_next_chunk_begins_afresh() {
    let (server, uuid) = expired().await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, "xyz").uuid(&uuid);
    let refused = user.upload(form.clone()).await.refused(410, "expired");
    assert!(refused.reset && !refused.prevent_retry);
    assert_eq!(user.upload(form).await.ok()["file_uuid"], uuid);
    assert_eq!(user.finish(&uuid).await, "xyz");
}

#[tokio::test]
async fn an_expired_upload_says_reset_once_to_a_chunk_whose_file_comes_first() {
    let (server, uuid) = expired().await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, "xyz").uuid(&uuid).file_first();
    let refused = user.upload(form.clone()).await.refused(410, "expired");
    assert!(refused.reset);
    user.upload(form).await.ok();
}

#[tokio::test]
async fn an_expired_upload_says_reset_once_to_done() {
    let (server, uuid) = expired().await;
    let user = server.user(1);
    let refused = user.done(&uuid).await.refused(410, "expired");
    assert!(refused.reset);
    user.upload(Form::chunk(0, 1, "xyz").uuid(&uuid)).await.ok();
}

#[tokio::test]
async fn an_expired_upload_says_reset_once_to_a_single_file() {
    let (server, uuid) = expired().await;
    let user = server.user(1);
    let form = Form::single("xyz").uuid(&uuid);
    let refused = user.upload(form.clone()).await.refused(410, "expired");
    assert!(refused.reset);
    user.upload(form).await.ok();
}

#[tokio::test]
async fn an_expired_uploads_bytes_are_gone() {
    let (server, _) = expired().await;
    assert!(server.stored().is_empty());
}

#[tokio::test]
async fn an_expired_upload_is_not_listed() {
    let (server, _) = expired().await;
    let list = server.user(1).list("").await.ok();
    assert_eq!(list["results"], json!([]));
}

#[tokio::test]
async fn nothing_expires_in_the_first_hour_after_a_start() {
    let settings = Settings { upload_ttl: "1m".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    server.skip(3500);
    server.sweep().await;
    user.status(&uuid).await.ok();
    server.skip(200);
    server.sweep().await;
    user.status(&uuid).await.refused(410, "expired");
}

#[tokio::test]
async fn an_upload_past_its_time_takes_chunks_until_it_is_swept() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    server.skip(9 * DAY);
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.ok();
    server.sweep().await;
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn an_attached_file_is_left_alone() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    let attach = json!({"uuids": [uuid], "attach": true});
    server.service().files(&attach).await.ok();
    server.skip(200 * DAY);
    server.sweep().await;
    let file = user.file(&uuid).await.ok();
    assert_eq!(user.contents(&file).await, "some bytes");
}

#[tokio::test]
async fn an_attached_files_thumbnail_is_left_alone() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.store_any().await;
    user.upload(Form::thumbnail(&uuid, png())).await.ok();
    let attach = json!({"uuids": [uuid], "attach": true});
    server.service().files(&attach).await.ok();
    server.skip(200 * DAY);
    server.sweep().await;
    assert_eq!(server.stored().len(), 2);
}

#[tokio::test]
async fn an_orphaned_thumbnail_is_collected() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.begin(2, "abc").await;
    user.upload(Form::thumbnail(&parent, png())).await.ok();
    for _ in 0..2 {
        server.skip(9 * DAY); // its upload expires, and then it has been orphaned for just as long
        server.sweep().await;
    }
    assert!(server.stored().is_empty());
}

#[tokio::test]
async fn files_that_no_message_shows_are_removed_where_the_operator_says_so() {
    let settings = Settings { unattached_ttl: "7d".parse().unwrap(), ..Settings::default() };
    for (settings, left) in [(settings, 1), (Settings::default(), 2)] {
        let server = Server::with(settings).await;
        let user = server.user(1);
        let (shown, unshown) = (user.store_any().await, user.store_any().await);
        let attach = json!({"uuids": [shown], "attach": true});
        server.service().files(&attach).await.ok();
        server.skip(7 * DAY - 60);
        server.sweep().await;
        assert_eq!(server.stored().len(), 2);
        server.skip(120);
        server.sweep().await;
        assert_eq!(server.stored().len(), left);
        user.file(&shown).await.ok();
        if left == 1 {
            user.file(&unshown).await.refused(410, "gone");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_set_forward_collects_no_upload_and_no_file_that_is_in_use() {
    let settings = Settings {
        upload_ttl: "1h".parse().unwrap(),
        unattached_ttl: "1h".parse().unwrap(),
        ..Settings::default()
    };
    for jump in [3600, 30 * DAY] {
        let server = Server::with(settings.clone()).await;
        server.skip(3601); // past the first hour, in which nothing expires
        let user = server.user(1);
        let (uuid, file) = (user.begin(3, "abc").await, user.store_any().await);
        server.clock.set_forward(std::time::Duration::from_secs(jump));
        server.sweep().await;
        let user = server.user(1); // with a token of the new time
        user.upload(Form::chunk(1, 3, "def").uuid(&uuid)).await.ok();
        server.skip(3000);
        server.sweep().await;
        user.file(&file).await.ok();
        user.upload(Form::chunk(2, 3, "ghi").uuid(&uuid)).await.ok();
        assert_eq!(user.finish(&uuid).await, "abcdefghi");
    }
}

#[tokio::test]
async fn what_is_abandoned_after_a_clock_was_set_forward_expires_by_the_new_time() {
    let server = Server::start().await;
    server.clock.set_forward(std::time::Duration::from_secs(30 * DAY));
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    server.skip(8 * DAY - 60);
    server.sweep().await;
    user.status(&uuid).await.ok();
    server.skip(120);
    server.sweep().await;
    user.status(&uuid).await.refused(410, "expired");
}

#[tokio::test]
async fn what_is_stored_after_a_clock_that_was_behind_is_put_right_expires_in_time() {
    let settings = Settings { unattached_ttl: "2h".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    server.clock.set_forward(std::time::Duration::from_secs(56 * 365 * DAY));
    let user = server.user(1);
    let (file, uuid) = (user.store_any().await, user.begin(2, "abc").await);
    server.skip(2 * 3600 + 60);
    server.sweep().await;
    user.file(&file).await.refused(410, "gone");
    user.status(&uuid).await.ok();
    server.skip(8 * DAY);
    server.sweep().await;
    user.status(&uuid).await.refused(410, "expired");
}

#[tokio::test]
async fn a_clock_that_is_set_forward_lets_no_upload_make_room_for_another() {
    let settings = Settings { max_unfinished: 1, ..Settings::default() };
    let server = Server::with(settings).await;
    let uuid = server.user(1).begin(2, "abc").await;
    server.clock.set_forward(std::time::Duration::from_secs(DAY));
    let user = server.user(1); // with a token of the new time
    let another = user.upload(Form::chunk(0, 2, "abc")).await;
    another.refused(429, "too_many_unfinished_uploads");
    user.status(&uuid).await.ok();
}

/// Bytes that no record claims.
async fn stray(server: &Server) -> BlobId {
    let (_, blobs) = server.app.stores();
    fresh(blobs, b"on its way, or left over").await.single_blob().unwrap()
}

async fn is_there(server: &Server, blob: BlobId) -> bool {
    let (_, blobs) = server.app.stores();
    blobs.size(blob).await.unwrap().is_some()
}

#[tokio::test]
async fn a_clock_that_is_set_forward_makes_nothing_older() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let stray = stray(&server).await;
    server.skip(3601); // past the first hour, in which nothing expires
    for days in [1, 30, 365] {
        server.clock.set_forward(std::time::Duration::from_secs(days * DAY));
        server.sweep().await;
        haversack::fsck::repair(&server.app, false, false).await.unwrap();
    }
    assert!(is_there(&server, stray).await);
    let user = server.user(1); // with a token of the new time
    assert_eq!(user.status(&uuid).await.ok()["received"], 3);
}

#[tokio::test]
async fn bytes_that_no_record_claims_are_removed_when_they_are_old() {
    let server = Server::start().await;
    let stray = stray(&server).await;
    server.skip(2 * 3600 - 60); // the longest body time-out and an hour
    server.sweep().await;
    assert!(is_there(&server, stray).await);
    server.skip(120);
    server.sweep().await;
    assert!(!is_there(&server, stray).await);
}

#[tokio::test]
async fn bytes_of_files_and_of_unfinished_uploads_are_never_taken_for_strays() {
    let server = Server::start().await;
    let user = server.user(1);
    user.begin(2, "abc").await;
    user.store_any().await;
    server.skip(7 * DAY);
    server.sweep().await;
    assert_eq!(server.stored().len(), 2);
}
