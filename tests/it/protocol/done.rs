//! Section 5: done.

use std::time::Duration;

use futures_util::future::join_all;
use haversack::ids::{UploadId, UserId};
use haversack::uploads::DoneRequest;
use serde_json::{Value, json};

use crate::harness::{Form, Server, eventually, mp4, new_uuid};

const MD5_OF_ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

#[tokio::test]
async fn missing_chunks_are_named_and_the_upload_is_kept() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(4, "abc").await;
    let form = Form::chunk(2, 4, "ghi").uuid(&uuid);
    user.upload(form).await.ok();
    let refused = user.done(&uuid).await.refused(400, "chunks_missing");
    assert_eq!(refused.json["missing"], json!([1, 3]));
    assert!(refused.reset && !refused.prevent_retry);
    refused.saying(&["1, 3"]);
    for (index, bytes) in [(1, "def"), (3, "j")] {
        let form = Form::chunk(index, 4, bytes).uuid(&uuid);
        user.upload(form).await.ok();
    }
    assert_eq!(user.finish(&uuid).await, "abcdefghij");
}

#[tokio::test]
async fn many_missing_chunks_are_named_as_ranges() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1000, "abc").await;
    let form = Form::chunk(500, 1000, "xyz").uuid(&uuid);
    user.upload(form).await.ok();
    let refused = user.done(&uuid).await.refused(400, "chunks_missing");
    assert_eq!(refused.json["missing"], json!([[1, 499], [501, 999]]));
}

#[tokio::test]
async fn the_chunks_totalparts_counts_and_not_dones() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let fields = [("uuid", &*uuid), ("totalparts", "1")];
    let reply = user.done_urlencoded(&fields).await;
    reply.refused(400, "chunks_missing");
    let whole = user.begin(1, "abc").await;
    let fields = [("uuid", &*whole), ("totalparts", "7")];
    user.done_urlencoded(&fields).await.ok();
}

#[tokio::test]
async fn chunks_that_leave_a_gap_are_refused_by_the_first_one() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    for (index, offset) in [(0, 0), (1, 10), (2, 20)] {
        let form = Form::chunk(index, 3, "abc").uuid(&uuid);
        user.upload(form.field("partbyteoffset", offset)).await.ok();
    }
    let refused = user.done(&uuid).await.refused(400, "parts_not_contiguous");
    refused.saying(&["chunk 1", "byte 10", "at byte 3"]);
    user.status(&uuid).await.ok();
}

#[tokio::test]
async fn chunks_that_do_not_begin_at_byte_0_are_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, "abc").field("partbyteoffset", 5);
    let reply = user.upload(form).await.ok();
    let uuid = reply["file_uuid"].as_str().unwrap();
    let refused = user.done(uuid).await.refused(400, "parts_not_contiguous");
    refused.saying(&["chunk 0"]);
}

#[tokio::test]
async fn chunks_that_end_before_the_declared_total_are_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = Form::chunk(0, 1, "abc").uuid(&uuid);
    user.upload(form.field("totalfilesize", 5)).await.ok();
    let refused = user.done(&uuid).await.refused(400, "size_mismatch");
    refused.of_field("totalfilesize").saying(&["5", "3"]);
}

#[tokio::test]
async fn dones_total_size_is_verified_and_a_mismatch_keeps_the_upload() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    for wrong in ["2", "4", "0"] {
        let fields = [("uuid", &*uuid), ("totalfilesize", wrong)];
        let refused = user.done_urlencoded(&fields).await;
        let refused = refused.refused(400, "size_mismatch");
        assert!(refused.prevent_retry);
        refused.of_field("totalfilesize").saying(&[wrong, "3"]);
    }
    let fields = [("uuid", &*uuid), ("totalfilesize", "3")];
    user.done_urlencoded(&fields).await.ok();
}

#[tokio::test]
async fn dones_md5_is_verified_and_a_mismatch_keeps_the_upload() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    let wrong = "0".repeat(32);
    let fields = [("uuid", &*uuid), ("md5", &wrong)];
    let refused = user.done_urlencoded(&fields).await;
    let refused = refused.refused(400, "md5_mismatch").of_field("md5");
    refused.saying(&[&wrong, MD5_OF_ABC]);
    let fields = [("uuid", &*uuid), ("md5", MD5_OF_ABC)];
    user.done_urlencoded(&fields).await.ok();
}

#[tokio::test]
async fn dones_md5_is_that_of_the_whole_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(3, "a").await;
    for (index, bytes) in [(2, "c"), (1, "b")] {
        let form = Form::chunk(index, 3, bytes).uuid(&uuid);
        user.upload(form).await.ok();
    }
    let fields = [("qquuid", &*uuid), ("qqmd5", MD5_OF_ABC)];
    user.done_urlencoded(&fields).await.ok();
}

#[tokio::test]
async fn a_repeated_done_answers_the_same_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    let fields = [("uuid", &*uuid), ("filename", "a.txt")];
    let first = user.done_urlencoded(&fields).await.ok();
    let again = user.done_urlencoded(&fields).await.ok();
    assert_eq!(without_links(again), without_links(first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dones_in_parallel_answer_the_same_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    user.upload(Form::chunk(1, 2, "def").uuid(&uuid)).await.ok();
    let names: Vec<_> = (0..64).map(|i| format!("{i}.txt")).collect();
    let dones = names.iter().map(async |name| {
        let fields = [("uuid", &*uuid), ("filename", name)];
        without_links(user.done_urlencoded(&fields).await.ok())
    });
    let files = join_all(dones).await;
    assert!(files.iter().all(|file| *file == files[0]), "{files:?}");
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn one_upload_makes_one_file_however_often_done_comes() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    for _ in 0..3 {
        user.done(&uuid).await.ok();
    }
    let list = user.list("").await.ok();
    assert_eq!(list["results"].as_array().unwrap().len(), 1);
    assert_eq!(server.written(), 3);
}

#[tokio::test]
async fn a_done_completes_although_its_caller_hangs_up() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    let request = DoneRequest {
        user: UserId::from(1),
        id: UploadId::parse(&uuid).unwrap(),
        filename: None,
        total_size: None,
        md5: None,
    };
    // Like a connection that ends while its request is handled: the future is polled and then
    // dropped.
    let done = server.app.uploads.done(request);
    let ended = tokio::time::timeout(Duration::ZERO, done).await;
    assert!(ended.is_err(), "it was dropped in the middle");
    eventually("the file is there", async || user.file(&uuid).await.status == 200).await;
}

#[tokio::test]
async fn the_first_dones_filename_is_final() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(1, "abc").await;
    for name in ["first.txt", "second.txt"] {
        let fields = [("uuid", &*uuid), ("filename", name)];
        let file = user.done_urlencoded(&fields).await.ok();
        assert_eq!(file["filename"], "first.txt");
    }
}

#[tokio::test]
async fn dones_filename_wins_over_the_chunks() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, "abc").field("filename", "chunk.txt");
    let reply = user.upload(form).await.ok();
    let uuid = reply["file_uuid"].as_str().unwrap();
    let fields = [("uuid", uuid), ("filename", "done.txt")];
    let file = user.done_urlencoded(&fields).await.ok();
    assert_eq!(file["filename"], "done.txt");
}

#[tokio::test]
async fn without_dones_filename_the_chunks_counts() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, "abc").field("filename", "chunk.txt");
    let reply = user.upload(form).await.ok();
    let file = user.done(reply["file_uuid"].as_str().unwrap()).await.ok();
    assert_eq!(file["filename"], "chunk.txt");
}

#[tokio::test]
async fn the_first_done_of_a_single_file_may_still_name_it_and_no_later_one() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store("sent.txt", "abc").await;
    let uuid = file["uuid"].as_str().unwrap();
    for name in ["first.txt", "second.txt"] {
        let fields = [("uuid", uuid), ("filename", name)];
        let file = user.done_urlencoded(&fields).await.ok();
        assert_eq!(file["filename"], "first.txt");
    }
}

#[tokio::test]
async fn a_done_without_uuid_is_refused_by_its_name() {
    let server = Server::start().await;
    let user = server.user(1);
    for reply in [
        user.done_urlencoded(&[]).await,
        user.done_json(&json!({})).await,
        user.done_form(Form::new().field("totalparts", 1)).await,
    ] {
        reply.refused(400, "required").of_field("uuid");
    }
}

#[tokio::test]
async fn a_done_of_an_unknown_upload_is_404() {
    let server = Server::start().await;
    let reply = server.user(1).done(&new_uuid()).await;
    reply.refused(404, "not_found");
}

#[tokio::test]
async fn a_done_of_a_thumbnail_answers_its_parent() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store_any().await;
    let form = Form::thumbnail(&parent, crate::harness::png());
    let thumbnail = user.upload(form).await.ok();
    let done = user.done(thumbnail["file_uuid"].as_str().unwrap()).await;
    assert_eq!(done.ok()["uuid"], parent);
}

#[tokio::test]
async fn the_link_plays_as_soon_as_done_answers() {
    let server = Server::start().await;
    let user = server.user(1);
    let reply = user.upload(Form::chunk(0, 1, mp4())).await.ok();
    let file = user.done(reply["file_uuid"].as_str().unwrap()).await.ok();
    let player = server.anonymous().with("range", "bytes=0-7");
    let reply = player.get(file["file_url"].as_str().unwrap()).await;
    assert_eq!(reply.status, 206);
    assert_eq!(reply.header("content-type"), "video/mp4");
    assert_eq!(reply.body, mp4()[..8]);
}

/// A File without what changes at midnight.
fn without_links(mut file: Value) -> Value {
    for link in ["file_url", "url", "thumbnail"] {
        file.as_object_mut().unwrap().remove(link);
    }
    file
}
