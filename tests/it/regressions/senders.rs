//! An older sender of a chunk is replaced by a newer one that may take its place, and by no other.

use haversack::config::Settings;

use crate::harness::{Client, Form, Raw, Server, eventually};

/// How a form ends.
const END: &str = "\r\n------haversack-test-boundary--\r\n";

/// Sends a form up to `missing` bytes before its end, and waits until `written` bytes of it are stored.
async fn hanging(server: &Server, user: &Client, form: &Form, missing: usize, written: u64) -> Raw {
    let before = server.written();
    let raw = Raw::half_sent(server, user, form, missing).await;
    // Bytes on the disk show that the sender has claimed its range.
    eventually("the bytes are written", async || server.written() >= before + written).await;
    raw
}

#[tokio::test]
async fn a_newer_request_that_is_refused_leaves_the_older_sender_alone() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let old = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let mut old = hanging(&server, &user, &old, 10 + END.len(), 1).await;
    let wrong = Form::chunk(1, 3, "n".repeat(100)).uuid(&uuid);
    user.upload(wrong).await.refused(400, "changed").of_field("totalparts");
    old.send(format!("{}{END}", "o".repeat(10)).as_bytes()).await;
    old.reply().await.ok();
    assert_eq!(user.finish(&uuid).await, format!("abc{}", "o".repeat(100)));
}

/// A sender of an upload's second chunk that has sent the whole file and stalls in a field after it.
async fn hanging_behind_its_file() -> (Server, Client, String, Raw) {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let form = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid).after("filename", "a".repeat(100));
    let sender = hanging(&server, &user, &form, 50 + END.len(), 100).await;
    (server, user, uuid, sender)
}

#[tokio::test]
async fn a_newer_sender_gets_its_turn_while_the_older_hangs_behind_its_file() {
    let (_server, user, uuid, mut old) = hanging_behind_its_file().await;
    user.upload(Form::chunk(1, 2, "n".repeat(100)).uuid(&uuid)).await.ok();
    old.reply().await.refused(409, "superseded");
    assert_eq!(user.finish(&uuid).await, format!("abc{}", "n".repeat(100)));
}

#[tokio::test]
async fn a_sender_that_hangs_behind_its_file_is_told_when_its_upload_is_cancelled() {
    let (_server, user, uuid, mut old) = hanging_behind_its_file().await;
    user.delete(&uuid).await.ok();
    old.reply().await.refused(410, "gone");
}

#[tokio::test]
async fn a_chunk_sent_again_while_its_upload_is_cancelled_is_not_confirmed() {
    let server = Server::start().await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let again = Form::chunk(0, 2, "abc").uuid(&uuid);
    let mut again = Raw::half_sent(&server, &user, &again, END.len()).await;
    user.delete(&uuid).await.ok();
    again.send(END.as_bytes()).await;
    again.reply().await.refused(410, "gone");
}

#[tokio::test]
async fn a_sender_whose_upload_makes_room_is_told_to_start_again() {
    let settings = Settings { max_unfinished: 1, ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let uuid = user.begin(2, "abc").await;
    let old = Form::chunk(1, 2, "o".repeat(100)).uuid(&uuid);
    let mut old = hanging(&server, &user, &old, 10 + END.len(), 1).await;
    server.skip(2 * 3600);
    user.begin(2, "abc").await;
    let told = old.reply().await.refused(410, "expired");
    assert_eq!(told.json["reset"], true);
}
