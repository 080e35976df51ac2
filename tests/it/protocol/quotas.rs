//! Section 8: how much users and the server may store. Nothing that is refused is kept.

use haversack::config::{OrNone, Settings};
use haversack::ids::UserId;
use haversack::metadata::quota::Usage;

use crate::harness::{Client, DAY, Form, Raw, Refused, Reply, Server, eventually, new_uuid, png};

fn bytes(count: u64) -> Settings {
    Settings { user_quota: count.to_string().parse().unwrap(), ..Settings::default() }
}

fn over(reply: Reply, words: &[&str]) -> Refused {
    let refused = reply.refused(413, "quota_exceeded");
    assert!(refused.prevent_retry);
    refused.saying(words)
}

/// Begins an upload that declares a file of this many bytes.
async fn declare(user: &Client, total: u64) -> Reply {
    user.upload(Form::chunk(0, 9, "abc").field("totalfilesize", total)).await
}

async fn usage(server: &Server) -> (u64, u64) {
    let Usage { user_bytes, user_files, .. } =
        server.app.stores().0.usage(UserId::from(1)).await.expect("no error");
    (user_bytes, user_files)
}

#[tokio::test]
async fn a_quota_can_be_used_to_its_last_byte() {
    let server = Server::with(bytes(10)).await;
    let user = server.user(1);
    user.store("a.txt", "012345").await;
    over(user.upload(Form::single("01234")).await, &["4 bytes", "10"]);
    eventually("nothing else is kept", async || server.written() == 6).await;
    user.store("b.txt", "0123").await;
    over(user.upload(Form::single("0")).await, &["0 bytes", "10"]);
    server.user(2).store("c.txt", "0123456789").await; // has a quota of their own
}

/// The reply to a form of which only the head, which states its length, and the fields before its file have been sent.
async fn answer_to_head(server: &Server, form: &Form) -> Reply {
    let mut raw = Raw::half_sent(server, &server.user(1), form, LARGE).await;
    raw.reply().await
}

/// The reply to a form without a length, of which this many bytes have been sent.
async fn answer_to_first(server: &Server, form: &Form, bytes: usize) -> Reply {
    let type_line = format!("Content-Type: {}\r\n", Form::content_type());
    let lines = format!("{type_line}Transfer-Encoding: chunked\r\n");
    let mut raw = Raw::connect(server).await;
    raw.send(Raw::head("POST /api/v2/pm/upload/", &server.user(1), &lines).as_bytes()).await;
    raw.send(format!("{bytes:x}\r\n").as_bytes()).await;
    raw.try_send(&form.encode()[..bytes]).await;
    raw.reply().await
}

/// More than any of these users may have, including what a form may have around its file.
const LARGE: usize = 4 << 20;

#[tokio::test]
async fn a_file_that_has_no_room_is_refused_before_it_comes_whatever_names_it() {
    let server = Server::with(bytes(1 << 20)).await;
    let parent = server.user(1).store_any().await;
    let file = Form::single(vec![b'x'; LARGE]);
    for form in [
        file.clone(),
        file.clone().uuid(&new_uuid()),
        file.clone().uuid(&parent),
        file.clone().uuid(&server.user(1).begin(2, "abc").await),
        file.clone().field("parentuuid", &parent),
        file.clone().field("parentuuid", &parent).uuid(&new_uuid()),
    ] {
        over(answer_to_head(&server, &form).await, &["bytes are left"]);
    }
}

#[tokio::test]
async fn no_more_is_taken_than_there_is_room_for() {
    let server = Server::with(bytes(1 << 20)).await;
    let chunk = |index| Form::single(vec![b'x'; LARGE]).field("partindex", index);
    let file = Form::single(vec![b'x'; LARGE]);
    let begun = server.user(1).begin(2, "abc").await;
    for form in [
        file.clone(),
        file.clone().uuid(&new_uuid()),
        file.uuid(&begun),
        chunk(0).field("totalparts", 2),
        chunk(0).field("totalparts", 2).file_first(),
        chunk(0).field("totalparts", 2).uuid(&new_uuid()),
        chunk(0).uuid(&new_uuid()),
        chunk(1),
        chunk(1).uuid(&begun),
        chunk(1).uuid(&begun).file_first(),
    ] {
        over(answer_to_first(&server, &form, LARGE / 2).await, &["bytes are left"]);
    }
    eventually("nothing of it is kept", async || server.written() == 3).await;
}

#[tokio::test]
async fn what_an_upload_has_reserved_is_room_for_its_chunks_wherever_their_fields_are() {
    let settings = Settings { user_max_files: OrNone(Some(1)), ..bytes(9) };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let uuid = user.begin(3, "abc").await; // takes everything
    user.upload(Form::chunk(2, 3, "ghi").uuid(&uuid).file_first()).await.ok();
    user.upload(Form::chunk(1, 3, "def").after("uuid", &uuid)).await.ok();
    assert_eq!(user.finish(&uuid).await, "abcdefghi");
}

#[tokio::test]
async fn what_an_upload_declares_is_reserved_as_it_begins() {
    let server = Server::with(bytes(100)).await;
    let user = server.user(1);
    let uuid = declare(&user, 60).await.ok()["file_uuid"].as_str().unwrap().to_owned();
    over(declare(&user, 41).await, &["40 bytes", "100"]);
    let known = Form::chunk(0, 9, "abc").field("totalfilesize", 41).uuid(&new_uuid());
    for form in [known.clone(), known.file_first()] {
        over(user.upload(form).await, &["40 bytes", "100"]);
    }
    eventually("nothing else is kept", async || server.written() == 3).await;
    assert_eq!(usage(&server).await, (60, 1));
    declare(&user, 40).await.ok();
    user.delete(&uuid).await.ok();
    assert_eq!(usage(&server).await, (40, 1));
    declare(&user, 60).await.ok();
}

#[tokio::test]
async fn an_upload_that_declares_nothing_reserves_as_many_parts_as_its_first_is_large() {
    let server = Server::with(bytes(20)).await;
    let user = server.user(1);
    let uuid = user.begin(4, "01234").await;
    assert_eq!(usage(&server).await, (20, 1));
    over(user.upload(Form::chunk(0, 1, "0")).await, &["0 bytes"]);
    for (index, bytes) in [(1, "56789"), (2, "abcde"), (3, "f")] {
        user.upload(Form::chunk(index, 4, bytes).uuid(&uuid)).await.ok();
    }
    assert_eq!(usage(&server).await, (20, 1));
    assert_eq!(user.finish(&uuid).await, "0123456789abcdef");
    assert_eq!(usage(&server).await, (16, 1)); // the rest is released
    user.store("b.txt", "0123").await;
}

#[tokio::test]
async fn a_part_that_needs_more_than_was_reserved_is_refused_alone() {
    let server = Server::with(bytes(20)).await;
    let user = server.user(1);
    let other = user.store("a.txt", "0123456789").await["uuid"].as_str().unwrap().to_owned();
    let uuid = user.begin(2, "01234").await; // reserves 10
    let larger = Form::chunk(1, 2, "56789abcde").uuid(&uuid);
    for form in [larger.clone(), larger.clone().field("chunksize", 10), larger.clone().file_first()]
    {
        over(user.upload(form).await, &["0 bytes", "20"]);
    }
    assert_eq!(usage(&server).await, (20, 2));
    user.delete(&other).await.ok();
    user.upload(larger).await.ok();
    assert_eq!(usage(&server).await, (15, 1));
    assert_eq!(user.finish(&uuid).await, "0123456789abcde");
    eventually("nothing else is kept", async || server.written() == 15).await;
}

#[tokio::test]
async fn what_is_on_record_is_answered_although_there_is_no_room() {
    let server = Server::with(bytes(6)).await;
    let user = server.user(1);
    let (chunked, single) = (user.begin(1, "abc").await, new_uuid());
    let again = Form::chunk(0, 1, "abc").uuid(&chunked);
    let whole = Form::single("def").uuid(&single);
    for _ in 0..2 {
        for form in [&again, &whole] {
            user.upload(form.clone()).await.ok();
            user.upload(form.clone().file_first()).await.ok();
        }
        user.done(&chunked).await.ok();
    }
    assert_eq!(usage(&server).await, (6, 2));
}

#[tokio::test]
async fn expiry_and_erasure_give_everything_back() {
    let server = Server::with(bytes(100)).await;
    let user = server.user(1);
    user.store("a.txt", "0123456789").await;
    declare(&user, 90).await.ok();
    server.skip(9 * DAY);
    server.sweep().await;
    assert_eq!(usage(&server).await, (10, 1));
    server.app.uploads.erase(&UserId::from(1)).await.unwrap();
    assert_eq!(usage(&server).await, (0, 0));
    declare(&user, 100).await.ok();
}

#[tokio::test]
async fn what_is_reserved_survives_a_restart() {
    let server = Server::with(bytes(100)).await;
    declare(&server.user(1), 60).await.ok();
    let server = server.restart().await;
    over(declare(&server.user(1), 41).await, &["40 bytes"]);
}

#[tokio::test]
async fn files_are_counted_and_thumbnails_are_not() {
    let settings = Settings { user_max_files: OrNone(Some(2)), ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let file = user.store("a.png", png()).await["uuid"].as_str().unwrap().to_owned();
    user.upload(Form::thumbnail(&file, png())).await.ok();
    let unfinished = user.begin(2, "abc").await;
    assert_eq!(usage(&server).await.1, 2);
    for form in
        [Form::single("x"), Form::chunk(0, 2, "x"), Form::chunk(0, 2, "x").uuid(&new_uuid())]
    {
        over(user.upload(form).await, &["2", "delete"]);
    }
    user.delete(&unfinished).await.ok();
    user.store("b.txt", "abc").await;
}

#[tokio::test]
async fn a_thumbnail_takes_room_only_until_its_picture_is_made() {
    let server = Server::with(bytes(1 << 20)).await;
    let user = server.user(1);
    let file = user.store("a.txt", "0123456789").await["uuid"].as_str().unwrap().to_owned();
    user.upload(Form::thumbnail(&file, png())).await.ok();
    server.sweep().await; // makes those that are missing
    assert_eq!(usage(&server).await, (10, 1));
}

#[tokio::test]
async fn all_users_together_have_a_limit_too() {
    let settings = Settings { max_storage: "10".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    server.user(1).store("a.txt", "012345").await;
    let refused = server.user(2).upload(Form::single("01234")).await.refused(507, "storage_full");
    assert!(!refused.prevent_retry);
    let refused = declare(&server.user(3), 5).await.refused(507, "storage_full");
    assert!(!refused.prevent_retry);
    eventually("nothing else is kept", async || server.written() == 6).await;
    server.user(2).store("b.txt", "0123").await;
}

#[tokio::test]
async fn a_disk_that_is_to_stay_as_free_as_it_is_takes_nothing_more() {
    let settings =
        Settings { min_free_space: "1000000000GiB".parse().unwrap(), ..Settings::default() };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let chunk = Form::chunk(0, 2, "abc");
    for form in
        [Form::single("abc"), chunk.clone(), chunk.clone().uuid(&new_uuid()), chunk.file_first()]
    {
        let refused = user.upload(form).await.refused(507, "storage_full");
        assert!(!refused.prevent_retry);
    }
    eventually("nothing is kept", async || server.stored().is_empty()).await;
    assert_eq!(usage(&server).await, (0, 0));
}
