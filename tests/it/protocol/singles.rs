//! Sections 4 and 5: files that come in one request.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Form, Server, eventually, jpeg, new_uuid};

const MD5_OF_ABC: &str = "900150983cd24fb0d6963f7d28e17f72";

#[tokio::test]
async fn a_single_file_repeated_under_its_uuid_is_the_same_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = Form::single("abc").uuid(&uuid).field("filename", "a.txt");
    let first = user.upload(form).await.ok();
    let again = Form::single("abc").uuid(&uuid).field("filename", "b.txt");
    let again = user.upload(again.file_first()).await.ok();
    assert_eq!(again["file_uuid"], uuid);
    assert_eq!(again["filename"], first["filename"]);
    eventually("one copy is left", async || server.written() == 3).await;
}

#[tokio::test]
async fn other_bytes_under_a_single_files_uuid_are_a_conflict() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    user.upload(Form::single("abc").uuid(&uuid)).await.ok();
    for other in ["xyz", "ab", "abcd", ""] {
        let reply = user.upload(Form::single(other).uuid(&uuid)).await;
        assert!(reply.refused(409, "file_conflict").prevent_retry);
    }
    let file = user.file(&uuid).await.ok();
    assert_eq!(user.contents(&file).await, "abc");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_file_sent_in_parallel_under_one_uuid_is_one_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let sent = (0..8).map(|_| user.upload(Form::single("abc").uuid(&uuid)));
    for reply in join_all(sent).await {
        assert_eq!(reply.ok()["file_uuid"], uuid);
    }
    eventually("one copy is left", async || server.written() == 3).await;
}

#[tokio::test]
async fn a_single_file_under_an_unfinished_uploads_uuid_is_a_conflict() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let reply = user.upload(Form::single("abc").uuid(&uuid)).await;
    reply.refused(409, "file_conflict");
    user.status(&uuid).await.ok();
}

#[tokio::test]
async fn a_single_files_md5_is_verified() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let wrong = Form::single("abd").uuid(&uuid).field("md5", MD5_OF_ABC);
    for form in [wrong.clone(), wrong.file_first()] {
        let refused = user.upload(form).await.refused(400, "md5_mismatch");
        refused.of_field("md5").saying(&[MD5_OF_ABC]);
    }
    user.file(&uuid).await.refused(404, "not_found");
    eventually("nothing is left", async || server.stored().is_empty()).await;
    let right = Form::single("abc").uuid(&uuid).field("md5", MD5_OF_ABC);
    user.upload(right).await.ok();
}

#[tokio::test]
async fn a_single_files_announced_size_must_be_its_own() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::single("abc");
    for wrong in [
        form.clone().field("totalfilesize", 2),
        form.clone().field("totalfilesize", 4),
        form.clone().field("chunksize", 4),
        form.clone().content_range("bytes 0-1/2"),
        form.clone().content_range("bytes 0-2/4"),
    ] {
        for form in [wrong.clone(), wrong.file_first()] {
            let reply = user.upload(form).await;
            assert_eq!(reply.status, 400);
        }
    }
    assert_eq!(user.list("").await.ok()["results"], json!([]));
}

#[tokio::test]
async fn the_first_done_of_a_single_file_verifies_what_it_says() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store("a.txt", "abd").await;
    let uuid = file["uuid"].as_str().unwrap();
    for (field, wrong, code) in
        [("totalfilesize", "7", "size_mismatch"), ("md5", MD5_OF_ABC, "md5_mismatch")]
    {
        let fields = [("uuid", uuid), (field, wrong)];
        let reply = user.done_urlencoded(&fields).await;
        reply.refused(400, code).of_field(field);
    }
}

#[tokio::test]
async fn a_single_file_may_be_empty() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store("empty.txt", "").await;
    assert_eq!(file["filesize"], 0);
    assert_eq!(user.contents(&file).await, "");
    assert!(file["mimetype"].is_string());
}

#[tokio::test]
async fn a_single_files_fields_may_stand_behind_it() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = Form::single("abc")
        .after("uuid", &uuid)
        .after("filename", "a.txt")
        .after("duration", "2.6")
        .after("totalfilesize", 3);
    let file = user.upload(form).await.ok();
    assert_eq!(file["uuid"], uuid);
    assert_eq!(file["filename"], "a.txt");
    assert_eq!(file["duration"], 3);
}

#[tokio::test]
async fn a_file_without_a_name_gets_one_with_the_extension_of_its_type() {
    let server = Server::start().await;
    let user = server.user(1);
    for (bytes, name) in [(jpeg(), "file.jpg"), (vec![0, 1, 2], "file")] {
        let file = user.upload(Form::new().file("file", None, bytes)).await.ok();
        assert_eq!(file["filename"], name);
    }
}

#[tokio::test]
async fn a_name_with_a_path_keeps_only_its_last_part() {
    let server = Server::start().await;
    let user = server.user(1);
    for sent in ["/etc/a.txt", "../../a.txt", "C:\\x\\a.txt", "x/../a.txt"] {
        let form = Form::single("abc").field("filename", sent);
        assert_eq!(user.upload(form).await.ok()["filename"], "a.txt", "{sent}");
    }
}
