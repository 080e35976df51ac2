//! Section 6: thumbnails.

use std::io::Cursor;

use futures_util::future::join_all;
use haversack::config::{OrNone, Settings};
use haversack::ids::{UploadId, UserId};
use haversack::metadata::jobs::NewJob;
use serde_json::{Value, json};

use crate::harness::{
    Client, Form, HTML, PDF, SVG, Server, dimensions, eventually, jpeg, mp4, new_uuid, png,
};

/// Sends a thumbnail. Returns its uuid.
async fn thumbnail(user: &Client, parent: &str, bytes: impl AsRef<[u8]>) -> String {
    let reply = user.upload(Form::thumbnail(parent, bytes)).await.ok();
    reply["file_uuid"].as_str().unwrap().to_owned()
}

/// Width and height of what a File's thumbnail link shows.
async fn shown(user: &Client, file: &Value) -> (u32, u32) {
    let file = match &file["thumbnail"] {
        Value::Null => user.illustrated(file["uuid"].as_str().unwrap()).await,
        _ => file.clone(),
    };
    let reply = user.get(file["thumbnail"].as_str().unwrap()).await;
    assert_eq!(reply.status, 200);
    dimensions(&reply.body)
}

/// The sizes by which the two pictures are told apart.
const PNG: (u32, u32) = (12, 20);
const JPEG: (u32, u32) = (24, 16);

#[tokio::test]
async fn a_thumbnail_is_shown_by_its_link_and_by_its_files() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let reply = user.upload(Form::thumbnail(&parent, png())).await.ok();
    let link = reply["file_url"].as_str().unwrap();
    assert_eq!(dimensions(&server.anonymous().get(link).await.body), PNG);
    let file = user.file(&parent).await.ok();
    assert_eq!(shown(&server.anonymous(), &file).await, PNG);
}

#[tokio::test]
async fn a_thumbnail_is_made_small_and_anew_whatever_was_sent() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let mut large = Vec::new();
    let picture = image::RgbImage::from_pixel(1500, 750, image::Rgb([200, 100, 50]));
    picture.write_to(&mut Cursor::new(&mut large), image::ImageFormat::Jpeg).unwrap();
    large.extend(b"what hides behind the end of a picture");
    thumbnail(&user, &parent, &large).await;
    eventually("its picture is made", async || {
        user.file(&parent).await.ok()["thumbnail"].is_string()
    })
    .await;
    let file = user.file(&parent).await.ok();
    let reply = user.get(file["thumbnail"].as_str().unwrap()).await;
    assert_eq!(reply.header("content-type"), "image/jpeg");
    assert_eq!(dimensions(&reply.body), (512, 256));
    server.settled().await;
    assert!(!server.stored().contains(&(large.len() as u64)), "what was sent is gone");
}

#[tokio::test]
async fn a_reply_waits_for_no_thumbnail_while_many_of_its_users_are_to_be_made() {
    let server = Server::start().await;
    let (records, _) = server.app.stores();
    let in_an_hour = server.clock.unix_secs() + 3600;
    for _ in 0..9 {
        let job = NewJob::thumbnail(UploadId::random(), UserId::from(1));
        records.add_job(NewJob { run_at: in_an_hour, ..job }).await.unwrap();
    }
    let user = server.user(1);
    let chunk = user.upload(Form::chunk(0, 1, png())).await.ok();
    let uuid = chunk["file_uuid"].as_str().unwrap();
    let file = user.done(uuid).await.ok();
    assert_eq!(file["thumbnail"], Value::Null, "it did not wait");
    user.illustrated(uuid).await; // which takes no longer than with others
}

#[tokio::test]
async fn a_picture_gets_a_thumbnail_without_one_being_sent() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store("photo.jpg", jpeg()).await;
    assert_eq!(shown(&server.anonymous(), &file).await, JPEG);
    let chunk = user.upload(Form::chunk(0, 1, png())).await.ok();
    let uuid = chunk["file_uuid"].as_str().unwrap().to_owned();
    let file = user.done(&uuid).await.ok();
    assert_eq!(shown(&server.anonymous(), &file).await, PNG);
    assert_eq!(shown(&server.anonymous(), &user.done(&uuid).await.ok()).await, PNG);
}

#[tokio::test]
async fn a_sent_thumbnail_takes_the_place_of_the_one_made_here() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store_picture("photo.jpg", jpeg()).await;
    let parent = file["uuid"].as_str().unwrap();
    thumbnail(&user, parent, png()).await;
    eventually("the sent one is shown", async || {
        user.file(parent).await.ok()["thumbnail"] != file["thumbnail"]
    })
    .await;
    assert_eq!(shown(&user, &user.file(parent).await.ok()).await, PNG);
    user.get(file["thumbnail"].as_str().unwrap()).await.refused(410, "gone");
    server.settled().await;
    assert_eq!(server.stored().len(), 2, "the file and one thumbnail");
}

#[tokio::test]
async fn a_picture_that_can_not_be_decoded_is_delivered_without_a_thumbnail() {
    let server = Server::start().await;
    let user = server.user(1);
    let broken = b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0 and no more".to_vec();
    let file = user.store("photo.jpg", broken.clone()).await;
    assert_eq!(file["mimetype"], "image/jpeg");
    assert_eq!(file["thumbnail"], Value::Null);
    assert_eq!(user.get(file["url"].as_str().unwrap()).await.body, broken);
}

#[tokio::test]
async fn a_sent_thumbnail_that_can_not_be_decoded_changes_nothing() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store_picture("photo.jpg", jpeg()).await;
    let parent = file["uuid"].as_str().unwrap();
    let broken = b"GIF89a\x01\0\x01\0\0\0\0;".to_vec();
    let reply = user.upload(Form::thumbnail(parent, broken.clone())).await.ok();
    assert_eq!(user.file(parent).await.ok()["thumbnail"], file["thumbnail"]);
    let uuid = reply["file_uuid"].as_str().unwrap();
    assert_eq!(user.file(uuid).await.ok()["uuid"], parent, "it stands for the file all the same");
    assert_eq!(user.get(reply["file_url"].as_str().unwrap()).await.body, broken);
}

#[tokio::test]
async fn a_thumbnail_may_come_before_its_file_is_finished() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.begin(1, "abc").await;
    thumbnail(&user, &parent, png()).await;
    let file = user.done(&parent).await.ok();
    assert_eq!(shown(&user, &file).await, PNG);
}

#[tokio::test]
async fn bytes_that_begin_like_an_image_are_taken_even_if_they_are_none() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    for bytes in [jpeg(), png(), b"GIF89a\x01\0\x01\0\0\0\0;".to_vec()] {
        thumbnail(&user, &parent, bytes).await;
    }
}

#[tokio::test]
async fn anything_else_as_a_thumbnail_is_refused_by_the_files_name() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    for bytes in [b"text".to_vec(), SVG.into(), HTML.into(), PDF.into(), mp4(), Vec::new()] {
        let form = Form::thumbnail(&parent, bytes).named("image.png");
        let refused = user.upload(form).await.refused(415, "not_an_image");
        assert!(refused.prevent_retry);
        refused.of_field("file").saying(&["image"]);
    }
    assert_eq!(user.file(&parent).await.ok()["thumbnail"], Value::Null);
}

#[tokio::test]
async fn a_thumbnails_md5_is_verified() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let form = Form::thumbnail(&parent, png()).field("md5", "0".repeat(32));
    user.upload(form).await.refused(400, "md5_mismatch");
    assert_eq!(user.file(&parent).await.ok()["thumbnail"], Value::Null);
}

#[tokio::test]
async fn a_second_thumbnail_replaces_the_first() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    thumbnail(&user, &parent, png()).await;
    thumbnail(&user, &parent, jpeg()).await;
    let file = user.file(&parent).await.ok();
    assert_eq!(shown(&user, &file).await, JPEG);
    server.settled().await;
    assert_eq!(server.stored().len(), 2, "the file and one thumbnail");
}

#[tokio::test]
async fn a_replaced_thumbnails_link_is_gone() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let first = user.upload(Form::thumbnail(&parent, png())).await.ok();
    thumbnail(&user, &parent, jpeg()).await;
    let link = first["file_url"].as_str().unwrap();
    user.get(link).await.refused(410, "gone");
}

#[tokio::test]
async fn old_and_new_thumbnails_uuids_stand_for_the_parent() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let parent = user.store_any().await;
    let first = thumbnail(&user, &parent, png()).await;
    let second = thumbnail(&user, &parent, jpeg()).await;
    for uuid in [&first, &second] {
        assert_eq!(user.file(uuid).await.ok()["uuid"], parent);
        assert_eq!(user.done(uuid).await.ok()["uuid"], parent);
        let files = service.files(&json!({"uuids": [uuid]})).await.ok();
        assert_eq!(files[0]["uuid"], parent);
    }
}

#[tokio::test]
async fn attaching_a_replaced_thumbnails_uuid_attaches_the_parent() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let first = thumbnail(&user, &parent, png()).await;
    thumbnail(&user, &parent, jpeg()).await;
    let attach = json!({"uuids": [first], "attach": true});
    server.service().files(&attach).await.ok();
    user.delete(&parent).await.refused(409, "attached");
}

#[tokio::test]
async fn deleting_a_thumbnail_leaves_its_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let uuid = thumbnail(&user, &parent, png()).await;
    user.delete(&uuid).await.ok();
    let file = user.file(&parent).await.ok();
    assert_eq!(file["thumbnail"], Value::Null);
    assert_eq!(user.contents(&file).await, "some bytes");
    user.delete(&uuid).await.refused(410, "gone");
}

#[tokio::test]
async fn a_file_whose_thumbnail_was_deleted_takes_a_new_one() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let uuid = thumbnail(&user, &parent, png()).await;
    user.delete(&uuid).await.ok();
    thumbnail(&user, &parent, jpeg()).await;
    let file = user.file(&parent).await.ok();
    assert_eq!(shown(&user, &file).await, JPEG);
}

#[tokio::test]
async fn a_deleted_files_thumbnail_is_gone_with_it() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let uuid = thumbnail(&user, &parent, png()).await;
    user.delete(&parent).await.ok();
    user.file(&uuid).await.refused(410, "gone");
}

#[tokio::test]
async fn a_thumbnail_of_a_thumbnail_belongs_to_the_same_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let first = thumbnail(&user, &parent, png()).await;
    let form = Form::thumbnail(&first, jpeg());
    let reply = user.upload(form).await.ok();
    assert_eq!(reply["parent_file_uuid"], parent);
}

#[tokio::test]
async fn a_thumbnail_of_nothing_is_refused_by_the_parents_name() {
    let server = Server::start().await;
    let user = server.user(1);
    let someone_elses = server.user(2).store_any().await;
    for parent in [new_uuid(), someone_elses] {
        let reply = user.upload(Form::thumbnail(&parent, png())).await;
        reply.refused(404, "not_found").of_field("parentuuid");
    }
}

#[tokio::test]
async fn a_thumbnail_with_the_bytes_of_its_image_stands_for_the_image() {
    let server = Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let image = user.store("photo.jpg", jpeg()).await;
    let parent = image["file_uuid"].as_str().unwrap();
    let uuid = thumbnail(&user, parent, jpeg()).await;
    assert_ne!(uuid, parent);
    let message = json!({"uuids": [uuid], "attach": true, "user_id": 1});
    let files = service.files(&message).await.ok();
    assert_eq!(files[0]["uuid"], parent);
    assert_eq!(files[0]["filename"], "photo.jpg");
}

#[tokio::test]
async fn a_thumbnail_repeated_under_its_uuid_is_the_same() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let uuid = thumbnail(&user, &parent, png()).await;
    let again = |bytes| Form::thumbnail(&parent, bytes).uuid(&uuid);
    assert_eq!(user.upload(again(png())).await.ok()["file_uuid"], uuid);
    let reply = user.upload(again(jpeg())).await;
    reply.refused(409, "file_conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_thumbnails_in_parallel_one_is_left() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let sent = (0..8).map(|_| thumbnail(&user, &parent, png()));
    let uuids = join_all(sent).await;
    for uuid in &uuids {
        assert_eq!(user.file(uuid).await.ok()["uuid"], parent);
    }
    server.settled().await;
    assert_eq!(server.stored().len(), 2, "the file and one thumbnail");
}

/// A picture that the server can't decode.
fn heic() -> Vec<u8> {
    include_bytes!("../../media/durations/plain.heic").to_vec()
}

async fn user_bytes(server: &Server) -> u64 {
    server.app.stores().0.usage(UserId::from(1)).await.expect("no error").user_bytes
}

#[tokio::test]
async fn a_thumbnail_that_can_not_be_decoded_replaces_the_one_before_it() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let mut links = Vec::new();
    for bytes in [heic(), png(), heic(), heic()] {
        let reply = user.upload(Form::thumbnail(&parent, bytes)).await.ok();
        links.push(reply["file_url"].as_str().unwrap().to_owned());
    }
    let kept = links.pop().unwrap();
    for replaced in links {
        user.get(&replaced).await.refused(410, "gone");
    }
    assert_eq!(user.get(&kept).await.body, heic());
    assert_eq!(user.file(&parent).await.ok()["thumbnail"], Value::Null);
    server.settled().await;
    assert_eq!(server.stored().len(), 2, "the file and the last picture");
}

#[tokio::test]
async fn of_many_pictures_that_can_not_be_decoded_one_is_kept_and_counted() {
    let settings = Settings { user_max_files: OrNone(Some(2)), ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let parent = user.store("a.txt", "8 bytes.").await["uuid"].as_str().unwrap().to_owned();
    let first = thumbnail(&user, &parent, heic()).await;
    for _ in 1..50 {
        thumbnail(&user, &parent, heic()).await;
    }
    let size = heic().len() as u64;
    server.settled().await;
    assert_eq!(server.stored().len(), 2, "the file and the last picture");
    assert_eq!(user_bytes(&server).await, 8 + size);
    assert_eq!(user.file(&first).await.ok()["uuid"], parent);
    let erased = server.app.uploads.erase(&UserId::from(1)).await.expect("erased");
    assert_eq!((erased.files, erased.thumbnails, erased.bytes), (1, 1, 8 + size));
    assert!(server.stored().is_empty());
    assert_eq!(user_bytes(&server).await, 0);
}

#[tokio::test]
async fn the_bytes_of_a_picture_that_can_not_be_decoded_are_reported_as_it_goes() {
    let server = Server::start().await;
    let user = server.user(1);
    let size = heic().len();
    let parent = user.store("a.txt", "8 bytes.").await["uuid"].as_str().unwrap().to_owned();
    let uuid = thumbnail(&user, &parent, heic()).await;
    let removed = user.delete(&uuid).await.ok()["removed"].clone();
    assert_eq!((&removed["thumbnails"], &removed["bytes"]), (&json!(1), &json!(size)));
    thumbnail(&user, &parent, heic()).await;
    let removed = user.delete(&parent).await.ok()["removed"].clone();
    assert_eq!((&removed["thumbnails"], &removed["bytes"]), (&json!(1), &json!(size + 8)));
}

#[tokio::test]
async fn a_picture_for_which_the_one_it_replaces_makes_room_is_taken() {
    let quota = (8 + heic().len()).to_string().parse().unwrap();
    let server = Server::with(Settings { user_quota: quota, ..Settings::default() }).await;
    let user = server.user(1);
    let parent = user.store("a.txt", "8 bytes.").await["uuid"].as_str().unwrap().to_owned();
    for _ in 0..3 {
        thumbnail(&user, &parent, heic()).await;
    }
    server.settled().await;
    assert_eq!(server.stored().len(), 2);
}
