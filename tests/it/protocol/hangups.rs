//! Sections 4 and 7: senders that stall, hang up, or send too little, and bodies that are refused.

use haversack::config::Settings;
use serde_json::json;

use crate::harness::{Client, Form, Raw, Server, eventually, new_uuid};

/// A form with a file of 100 bytes whose sender stalls 10 bytes before its end.
pub(super) async fn hanging(server: &Server, user: &Client, form: Form) -> Raw {
    let before = server.written();
    let tail = 10 + "\r\n------haversack-test-boundary--\r\n".len();
    let raw = Raw::half_sent(server, user, &form, tail).await;
    // Bytes on the disk show that the sender has claimed its range.
    eventually("the first bytes are written", async || server.written() > before).await;
    raw
}

/// Sends the bytes that [`hanging`] left out.
pub(super) async fn complete(raw: &mut Raw, byte: &str) {
    let end = "\r\n------haversack-test-boundary--\r\n";
    raw.send(format!("{}{end}", byte.repeat(10)).as_bytes()).await;
}

#[tokio::test]
async fn of_two_senders_of_a_chunk_the_newer_one_wins() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let old = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let mut old = hanging(&server, &user, old).await;
    let new = Form::chunk(1, 2, "n".repeat(100)).uuid(&uuid);
    user.upload(new).await.ok();
    let refused = old.reply().await.refused(409, "superseded");
    assert!(!refused.prevent_retry);
    let whole = format!("abc{}", "n".repeat(100));
    assert_eq!(user.finish(&uuid).await, whole);
}

#[tokio::test]
async fn the_newer_sender_wins_with_the_same_bytes_too() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "x".repeat(100)).uuid(&uuid);
    let mut old = hanging(&server, &user, form.clone()).await;
    user.upload(form).await.ok();
    old.reply().await.refused(409, "superseded");
    assert_eq!(user.status(&uuid).await.ok()["received"], 103);
}

#[tokio::test]
async fn the_newer_sender_wins_with_its_file_before_its_fields() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let old = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let mut old = hanging(&server, &user, old).await;
    let new = Form::chunk(1, 2, "n".repeat(100)).uuid(&uuid);
    user.upload(new.file_first()).await.ok();
    old.reply().await.refused(409, "superseded");
}

#[tokio::test]
async fn of_many_hanging_senders_of_a_chunk_the_newest_wins() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = |byte: &str| {
        let form = Form::chunk(1, 2, byte.repeat(100)).uuid(&uuid);
        form.field("chunksize", 100)
    };
    let mut old = hanging(&server, &user, form("0")).await;
    for byte in ["1", "2", "3"] {
        let newer = Raw::half_sent(&server, &user, &form(byte), 50).await;
        old.reply().await.refused(409, "superseded");
        old = newer;
    }
    user.upload(form("n")).await.ok();
    old.reply().await.refused(409, "superseded");
    let whole = format!("abc{}", "n".repeat(100));
    assert_eq!(user.finish(&uuid).await, whole);
}

#[tokio::test]
async fn hanging_senders_that_announced_no_length_do_not_hold_up_a_newer_one() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = |byte: &str| Form::chunk(1, 2, byte.repeat(100)).uuid(&uuid);
    let mut hung = vec![hanging(&server, &user, form("0")).await];
    for byte in ["1", "2", "3"] {
        hung.push(Raw::half_sent(&server, &user, &form(byte), 50).await);
    }
    user.upload(form("n")).await.ok();
    let whole = format!("abc{}", "n".repeat(100));
    assert_eq!(user.finish(&uuid).await, whole);
}

#[tokio::test]
async fn an_aborted_chunk_leaves_nothing_visible() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let raw = hanging(&server, &user, form).await;
    drop(raw);
    let status = user.status(&uuid).await.ok();
    assert_eq!(status["parts"], json!([[0, 0]]));
    assert_eq!(status["received"], 3);
    user.done(&uuid).await.refused(400, "chunks_missing");
    let form = Form::chunk(1, 2, "def").uuid(&uuid);
    user.upload(form).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdef");
}

#[tokio::test]
async fn a_file_is_not_longer_for_an_aborted_sender_of_more() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    drop(hanging(&server, &user, form).await);
    let form = Form::chunk(1, 2, "def").uuid(&uuid);
    user.upload(form).await.ok();
    let file = user.done(&uuid).await.ok();
    assert_eq!(file["filesize"], 6);
    assert_eq!(server.written(), 6);
}

#[tokio::test]
async fn an_aborted_single_file_leaves_nothing() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::single("o".repeat(100)).uuid(&new_uuid());
    let raw = hanging(&server, &user, form).await;
    drop(raw);
    eventually("the spool is gone", async || server.stored().is_empty()).await;
    assert_eq!(user.list("").await.ok()["results"], json!([]));
}

#[tokio::test]
async fn a_hanging_sender_does_not_hold_up_other_chunks() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = |index: u32| {
        let form = Form::chunk(index, 3, "o".repeat(100)).uuid(&uuid);
        form.field("partbyteoffset", index * 100).field("chunksize", 100)
    };
    let mut raw = hanging(&server, &user, form(1)).await;
    for index in [0, 2] {
        user.upload(form(index)).await.ok();
    }
    complete(&mut raw, "o").await;
    raw.reply().await.ok();
    assert_eq!(user.finish(&uuid).await, "o".repeat(300));
}

#[tokio::test]
async fn a_chunk_behind_a_sender_that_announced_no_length_waits_and_is_not_lost() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = new_uuid();
    let form = |index: u32| {
        let form = Form::chunk(index, 3, "o".repeat(100)).uuid(&uuid);
        form.field("partbyteoffset", index * 100)
    };
    let mut raw = hanging(&server, &user, form(1)).await;
    user.upload(form(0)).await.ok();
    let (behind, ()) = tokio::join!(user.upload(form(2)), complete(&mut raw, "o"));
    behind.ok();
    raw.reply().await.ok();
    assert_eq!(user.finish(&uuid).await, "o".repeat(300));
}

#[tokio::test]
async fn done_does_not_wait_for_a_hanging_sender() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let _raw = hanging(&server, &user, form).await;
    user.done(&uuid).await.refused(400, "chunks_missing");
}

#[tokio::test]
async fn a_sender_whose_upload_is_cancelled_is_told_so() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let mut raw = hanging(&server, &user, form).await;
    user.delete(&uuid).await.ok();
    let refused = raw.reply().await;
    refused.refused(410, "gone");
}

#[tokio::test]
async fn a_cancelled_uploads_hanging_sender_leaves_no_bytes() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let mut raw = hanging(&server, &user, form).await;
    user.delete(&uuid).await.ok();
    raw.reply().await;
    assert!(server.stored().is_empty());
}

#[tokio::test]
async fn a_body_without_a_byte_for_too_long_is_408_and_ends_the_connection() {
    let settings = Settings { body_idle_timeout: "1s".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let mut raw = hanging(&server, &user, form).await;
    let refused = raw.reply().await.refused(408, "body_too_slow");
    assert!(!refused.prevent_retry);
    assert_eq!(refused.header("connection"), "close");
    refused.saying(&["1 s"]);
    let status = user.status(&uuid).await.ok();
    assert_eq!(status["parts"], json!([[0, 0]]));
}

#[tokio::test]
async fn a_form_that_ends_before_its_last_boundary_is_refused_and_leaves_nothing() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let body = Form::chunk(1, 2, "defghi").uuid(&uuid).encode();
    let cut = body.len() - 20;
    let lines = format!("Content-Type: {}\r\nContent-Length: {cut}\r\n", Form::content_type());
    let mut raw = Raw::connect(&server).await;
    let head = Raw::head("POST /api/v2/pm/upload/", &user, &lines);
    raw.send(head.as_bytes()).await;
    raw.send(&body[..cut]).await;
    raw.reply().await.refused(400, "malformed_body");
    let status = user.status(&uuid).await.ok();
    assert_eq!(status["parts"], json!([[0, 0]]));
}
