//! Bytes, offsets, and what follows the last byte.

use http::Method;

use crate::harness::{Server, noise, png, uuid_in};

#[tokio::test]
async fn an_upload_in_one_patch_is_a_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    let reply = user.patch(&url, 0, "hello").await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("upload-offset"), "5");
    assert_eq!(reply.header("file-state"), "finished");
    assert_eq!(reply.header("file-uuid"), uuid_in(&url));
    assert_eq!(user.get(reply.header("file-url")).await.body, "hello");
    assert_eq!(user.behind(&url).await, b"hello", "with a token its address leads there, too");
    let file = user.file(uuid_in(&url)).await.ok();
    assert_eq!(user.contents(&file).await, "hello");
}

#[tokio::test]
async fn bytes_in_any_pieces_end_in_one_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let bytes = noise(20_000_000);
    let url = user.created(bytes.len()).await;
    let mut at = 0;
    for length in [1_usize, 8 << 20, 0, 100, (8 << 20) + 1, usize::MAX] {
        let end = length.saturating_add(at).min(bytes.len());
        let reply = user.patch(&url, at, bytes[at..end].to_vec()).await;
        assert_eq!(reply.status, 204, "{reply:?}");
        at = end;
        assert_eq!(reply.header("upload-offset"), at.to_string());
        assert_eq!(user.offset(&url).await, at);
    }
    assert_eq!(user.behind(&url).await, bytes);
}

#[tokio::test]
async fn head_tells_how_far_an_upload_has_come_and_how_long_it_lives() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    for (bytes, offset) in [("", "0"), ("he", "2"), ("l", "3")] {
        let at = offset.parse::<usize>().unwrap() - bytes.len();
        let patched = user.patch(&url, at, bytes).await;
        let told = user.progress(&url).await;
        assert_eq!(told.status, 200);
        for reply in [&patched, &told] {
            assert_eq!(reply.header("upload-offset"), offset);
            assert!(reply.header("upload-expires").ends_with(" GMT"), "{reply:?}");
            assert_eq!(reply.header("file-state"), "");
        }
        assert_eq!(told.header("upload-length"), "5");
        assert_eq!(told.header("cache-control"), "no-store");
    }
    user.patch(&url, 3, "lo").await;
    let told = user.progress(&url).await;
    assert_eq!((told.header("upload-offset"), told.header("upload-length")), ("5", "5"));
    assert_eq!((told.header("upload-expires"), told.header("file-state")), ("", "finished"));
    assert_eq!(user.get(told.header("file-url")).await.body, "hello");
}

#[tokio::test]
async fn bytes_for_another_place_are_refused_and_told_where_the_end_is() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    user.patch(&url, 0, "hel").await;
    for offset in [0, 2, 4, 5] {
        let refused = user.patch(&url, offset, "x").await.refused(409, "offset_mismatch");
        assert_eq!(refused.json["offset"], 3);
        assert!(!refused.prevent_retry);
    }
    user.patch(&url, 3, "lo").await;
    user.patch(&url, 3, "lo").await.refused(409, "offset_mismatch");
    assert_eq!(user.patch(&url, 5, "").await.header("file-state"), "finished", "a repeat");
    assert_eq!(user.behind(&url).await, b"hello");
}

#[tokio::test]
async fn more_bytes_than_the_file_has_are_not_kept() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    user.patch(&url, 0, "hel").await;
    user.patch(&url, 3, "lo!").await.refused(413, "beyond_total");
    assert_eq!(user.offset(&url).await, 3);
    user.patch(&url, 3, "lo").await;
    user.patch(&url, 5, "!").await.refused(413, "beyond_total");
    assert_eq!(user.behind(&url).await, b"hello");
}

#[tokio::test]
async fn an_upload_that_is_ended_is_gone() {
    let server = Server::start().await;
    let user = server.user(1);
    for whole in [false, true] {
        let url = user.created(5).await;
        user.patch(&url, 0, if whole { "hello" } else { "he" }).await;
        assert_eq!(user.tus(Method::DELETE, &url, &[], "").await.status, 204);
        assert_eq!(user.progress(&url).await.status, 410);
        user.patch(&url, 2, "llo").await.refused(410, "gone");
        user.tus(Method::DELETE, &url, &[], "").await.refused(410, "gone");
        assert_eq!(user.progress(&url).await.header("upload-offset"), "");
    }
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_not_found() {
    let server = Server::start().await;
    let url = server.user(1).created(5).await;
    let other = server.user(2);
    assert_eq!(other.progress(&url).await.status, 404);
    other.patch(&url, 0, "hello").await.refused(404, "not_found");
    other.tus(Method::DELETE, &url, &[], "").await.refused(404, "not_found");
    other.get(&url).await.refused(404, "not_found");
    assert_eq!(server.user(1).offset(&url).await, 0);
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_expires() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    user.patch(&url, 0, "he").await;
    server.skip(7 * crate::harness::DAY);
    user.patch(&url, 2, "l").await;
    server.skip(7 * crate::harness::DAY);
    server.sweep().await;
    assert_eq!(user.offset(&url).await, 3, "it lives on with every byte");
    server.skip(2 * crate::harness::DAY);
    server.sweep().await;
    assert_eq!(user.progress(&url).await.status, 410, "told once");
    assert_eq!(user.progress(&url).await.status, 404, "some clients begin anew only then");
    user.patch(&url, 3, "lo").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_picture_is_cleaned_and_gets_a_thumbnail_as_through_forms() {
    let server = Server::start().await;
    let user = server.user(1);
    let photo = include_bytes!("../../../media/gps/exif.jpg").to_vec();
    let url = user.created(photo.len()).await;
    assert_eq!(user.patch(&url, 0, photo.clone()).await.header("file-state"), "finished");
    let file = user.illustrated(uuid_in(&url)).await;
    assert_eq!(file["metadata"], "removed");
    assert_eq!(file["mimetype"], "image/jpeg");
    let cleaned = user.behind(&url).await;
    assert_eq!(cleaned.len(), photo.len());
    assert_ne!(cleaned, photo);
    let url = user.created(png().len()).await;
    user.patch(&url, 0, png()).await;
    assert_eq!(user.illustrated(uuid_in(&url)).await["width"], 12);
}

#[tokio::test]
async fn uploads_survive_a_restart_with_every_byte_that_was_told() {
    let server = Server::start().await;
    let user = server.user(1);
    let bytes = noise(10_000_000);
    let url = user.created(bytes.len()).await;
    user.patch(&url, 0, bytes[..9_000_000].to_vec()).await;
    let path = url[url.find("/api/").unwrap()..].to_owned();
    let server = server.restart().await;
    let user = server.user(1);
    assert_eq!(user.offset(&path).await, 9_000_000);
    user.patch(&path, 9_000_000, bytes[9_000_000..].to_vec()).await;
    assert_eq!(user.behind(&path).await, bytes);
}
