//! Pieces that are sent side by side and joined.

use haversack::config::Settings;
use haversack::ids::UserId;
use haversack::metadata::quota::Usage;
use http::Method;

use crate::harness::{Client, Form, Reply, Server, TUS, noise, png, uuid_in};

const MIB: usize = 1 << 20;

/// Creates a piece of so many bytes; its address.
async fn piece(user: &Client, length: usize) -> String {
    let length = length.to_string();
    let headers = [("upload-length", length.as_str()), ("upload-concat", "partial")];
    let reply = user.create(&headers).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.header("location").to_owned()
}

/// A piece with all its bytes.
async fn sent(user: &Client, bytes: &[u8]) -> String {
    let url = piece(user, bytes.len()).await;
    assert_eq!(user.patch(&url, 0, bytes.to_vec()).await.status, 204);
    url
}

/// Joins these pieces.
async fn join(user: &Client, pieces: &[&str]) -> Reply {
    user.create(&[("upload-concat", &format!("final;{}", pieces.join(" ")))]).await
}

async fn usage(server: &Server) -> (u64, u64) {
    let Usage { user_bytes, user_files, .. } =
        server.app.stores().0.usage(UserId::from(1)).await.expect("no error");
    (user_bytes, user_files)
}

async fn listed(user: &Client) -> usize {
    user.list("").await.ok()["results"].as_array().unwrap().len()
}

#[tokio::test]
async fn pieces_become_one_file_in_the_order_in_which_they_are_named() {
    let server = Server::start().await;
    let user = server.user(1);
    let bytes = noise(20 * MIB);
    let second = sent(&user, &bytes[9 * MIB..]).await;
    let first = sent(&user, &bytes[..9 * MIB]).await;
    let joined = join(&user, &[&first, &second]).await;
    assert_eq!((joined.status.as_u16(), joined.header("file-state")), (201, "finished"));
    let url = joined.header("location");
    assert_eq!(user.offset(url).await, bytes.len());
    assert_eq!(user.behind(url).await, bytes, "before its bytes are one blob");
    server.sweep().await;
    server.settled().await;
    assert_eq!(user.behind(url).await, bytes, "and after");
    let file = user.file(uuid_in(url)).await.ok();
    assert_eq!(file["filesize"], bytes.len());
}

#[tokio::test]
async fn on_disk_a_joined_file_becomes_one_blob() {
    let server = Server::start().await;
    if server.on_disk() {
        let user = server.user(1);
        let bytes = noise(3 * MIB);
        let pieces = [sent(&user, &bytes[..MIB]).await, sent(&user, &bytes[MIB..]).await];
        join(&user, &[&pieces[0], &pieces[1]]).await;
        server.sweep().await;
        server.settled().await;
        assert_eq!(server.stored().iter().filter(|length| **length > 0).count(), 1);
        assert!(server.stored().contains(&(bytes.len() as u64)));
    }
}

#[tokio::test]
async fn a_piece_is_in_no_list_and_becomes_no_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = piece(&user, 6).await;
    user.patch(&url, 0, "abc").await;
    assert_eq!(listed(&user).await, 0);
    let reply = user.patch(&url, 3, "def").await;
    assert_eq!((reply.header("upload-offset"), reply.header("file-state")), ("6", ""));
    assert!(reply.header("upload-expires").ends_with(" GMT"), "it waits to be joined");
    assert_eq!(listed(&user).await, 0);
    assert_eq!(user.progress(&url).await.header("upload-concat"), "partial");
    user.done(uuid_in(&url)).await.refused(409, "partial_upload");
    user.get(&url).await.refused(404, "not_found");
    join(&user, &[&url]).await;
    assert_eq!(listed(&user).await, 1);
}

#[tokio::test]
async fn pieces_count_once() {
    let settings = Settings {
        user_quota: "10".parse().unwrap(),
        user_max_files: "1".parse().unwrap(),
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let pieces = [sent(&user, b"abcde").await, sent(&user, b"fghij").await];
    assert_eq!(usage(&server).await, (10, 0));
    user.create(&[("upload-length", "1"), ("upload-concat", "partial")])
        .await
        .refused(413, "quota_exceeded");
    let joined = join(&user, &[&pieces[0], &pieces[1]]).await;
    assert_eq!(joined.header("file-state"), "finished", "{joined:?}");
    assert_eq!(usage(&server).await, (10, 1));
    user.tus(Method::DELETE, joined.header("location"), &[], "").await;
    assert_eq!(usage(&server).await, (0, 0));
}

#[tokio::test]
async fn the_same_pieces_again_are_the_same_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let pieces = [sent(&user, b"abc").await, sent(&user, b"def").await];
    let [first, second] = [pieces[0].as_str(), pieces[1].as_str()];
    let joined = join(&user, &[first, second]).await;
    let again = join(&user, &[first, second]).await;
    assert_eq!(again.header("location"), joined.header("location"));
    assert_eq!(again.header("file-state"), "finished");
    assert_eq!(listed(&user).await, 1);
    join(&user, &[second, first]).await.refused(400, "not_partial");
    join(&user, &[first]).await.refused(400, "not_partial");
    for piece in [first, second] {
        let told = user.progress(piece).await;
        assert_eq!(told.status, 200, "a client that lost the reply goes on with what it has");
        assert_eq!(told.header("upload-offset"), told.header("upload-length"));
        assert_eq!(user.behind(piece).await, b"abcdef", "it stands for what it is part of");
    }
}

#[tokio::test]
async fn what_can_not_be_joined_stays_as_it_was() {
    let server = Server::start().await;
    let user = server.user(1);
    let whole = sent(&user, b"abc").await;
    let part = piece(&user, 6).await;
    user.patch(&part, 0, "def").await;
    let plain = user.created(3).await;
    let strangers = sent(&server.user(2), b"xyz").await;
    let unknown = format!("{TUS}{}", crate::harness::new_uuid());
    join(&user, &[&whole, &part]).await.refused(409, "bytes_missing");
    join(&user, &[&whole, &plain]).await.refused(400, "not_partial");
    join(&user, &[&whole, &whole]).await.refused(400, "not_partial");
    join(&user, &[&whole, &strangers]).await.refused(404, "not_found");
    join(&user, &[&whole, &unknown]).await.refused(404, "not_found");
    let headers = [("upload-length", "3"), ("upload-concat", &*format!("final;{whole}"))];
    user.create(&headers).await.refused(400, "differs");
    assert_eq!(listed(&user).await, 1, "the plain one");
    user.patch(&part, 3, "ghi").await;
    let joined = join(&user, &[&whole, &part]).await;
    assert_eq!(user.behind(joined.header("location")).await, b"abcdefghi");
}

#[tokio::test]
async fn what_was_joined_takes_no_bytes_and_says_from_what() {
    let server = Server::start().await;
    let user = server.user(1);
    let pieces = [sent(&user, b"abc").await, sent(&user, b"").await];
    let joined = join(&user, &[&pieces[0], &pieces[1]]).await;
    let url = joined.header("location");
    let told = user.progress(url).await;
    let concat = told.header("upload-concat");
    let addresses = concat.strip_prefix("final;").unwrap().split(' ').map(uuid_in);
    assert!(addresses.eq(pieces.iter().map(|piece| uuid_in(piece))), "{concat}");
    user.patch(url, 3, "d").await.refused(403, "forbidden").saying(&["joined"]);
    assert_eq!(user.behind(url).await, b"abc");
}

#[tokio::test]
async fn what_was_joined_takes_no_bytes_under_its_thumbnails_uuid_either() {
    let server = Server::start().await;
    let user = server.user(1);
    let joined = join(&user, &[&sent(&user, b"abc").await]).await;
    let form = Form::thumbnail(uuid_in(joined.header("location")), png());
    let thumbnail = user.upload(form).await.ok();
    let url = format!("{TUS}{}", thumbnail["file_uuid"].as_str().unwrap());
    for offset in [0, 3] {
        user.patch(&url, offset, "d").await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn pieces_expire_like_uploads() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = sent(&user, b"abc").await;
    server.skip(9 * crate::harness::DAY);
    server.sweep().await;
    server.settled().await;
    assert_eq!(usage(&server).await, (0, 0));
    assert_eq!(user.progress(&url).await.status, 410);
    assert_eq!(server.written(), 0);
}

#[tokio::test]
async fn a_joined_picture_is_cleaned_and_a_whole_md5_is_checked() {
    let server = Server::start().await;
    let user = server.user(1);
    let photo = include_bytes!("../../../media/gps/exif.jpg");
    let pieces = [sent(&user, &photo[..700]).await, sent(&user, &photo[700..]).await];
    let joined = join(&user, &[&pieces[0], &pieces[1]]).await;
    let file = user.illustrated(uuid_in(joined.header("location"))).await;
    assert_eq!(file["metadata"], "removed");
    // md5 of abc
    let md5 = ("upload-metadata", "md5 OTAwMTUwOTgzY2QyNGZiMGQ2OTYzZjdkMjhlMTdmNzI=");
    for (second, status) in [(b"bc", 201), (b"bx", 460)] {
        let pieces = [sent(&user, b"a").await, sent(&user, second).await];
        let concat = format!("final;{} {}", pieces[0], pieces[1]);
        assert_eq!(user.create(&[("upload-concat", &concat), md5]).await.status, status);
    }
}
