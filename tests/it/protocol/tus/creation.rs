//! Creating uploads: lengths, metadata, first bytes.

use http::Method;

use crate::harness::{OFFSET_OCTET_STREAM, Server, TUS, uuid_in};

#[tokio::test]
async fn first_bytes_may_come_with_the_creation() {
    let server = Server::start().await;
    let user = server.user(1);
    let with_bytes = [("upload-length", "5"), ("content-type", OFFSET_OCTET_STREAM)];
    let some = user.tus(Method::POST, TUS, &with_bytes, "hel").await;
    assert_eq!((some.status.as_u16(), some.header("upload-offset")), (201, "3"));
    let url = some.header("location");
    user.patch(url, 3, "lo").await;
    assert_eq!(user.behind(url).await, b"hello");
    let all = user.tus(Method::POST, TUS, &with_bytes, "hello").await;
    assert_eq!((all.header("upload-offset"), all.header("file-state")), ("5", "finished"));
    assert_eq!(user.behind(all.header("location")).await, b"hello");
}

#[tokio::test]
async fn first_bytes_that_are_refused_create_nothing() {
    let server = Server::start().await;
    let user = server.user(1);
    let with_bytes = [("upload-length", "5"), ("content-type", OFFSET_OCTET_STREAM)];
    user.tus(Method::POST, TUS, &with_bytes, "hello!").await.refused(413, "beyond_total");
    let wrong = ("upload-checksum", "crc32 AAAAAA==");
    let with_checksum = [with_bytes[0], with_bytes[1], wrong];
    user.tus(Method::POST, TUS, &with_checksum, "hello").await.refused(460, "checksum_mismatch");
    let other_type = [("upload-length", "5"), ("content-type", "text/plain")];
    user.tus(Method::POST, TUS, &other_type, "hello").await.refused(415, "unsupported_media_type");
    assert_eq!(user.list("").await.ok()["results"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_file_of_no_bytes_is_there_with_its_creation() {
    let server = Server::start().await;
    let user = server.user(1);
    let reply = user.create(&[("upload-length", "0")]).await;
    assert_eq!((reply.status.as_u16(), reply.header("file-state")), (201, "finished"));
    let url = reply.header("location");
    assert_eq!(user.offset(url).await, 0);
    assert_eq!(user.file(uuid_in(url)).await.ok()["filesize"], 0);
}

#[tokio::test]
async fn the_length_may_follow_once() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.create(&[("upload-defer-length", "1")]).await.header("location").to_owned();
    user.patch(&url, 0, "hel").await;
    let told = user.progress(&url).await;
    assert_eq!((told.header("upload-defer-length"), told.header("upload-length")), ("1", ""));
    let small = [("upload-length", "4")];
    user.patch_with(&url, 3, &small, "lo").await.refused(413, "beyond_total");
    let length = [("upload-length", "5")];
    assert_eq!(user.patch_with(&url, 3, &length, "l").await.status, 204);
    let told = user.progress(&url).await;
    assert_eq!((told.header("upload-defer-length"), told.header("upload-length")), ("", "5"));
    user.patch_with(&url, 4, &[("upload-length", "6")], "o").await.refused(400, "changed");
    assert_eq!(user.patch_with(&url, 4, &length, "o").await.header("file-state"), "finished");
    assert_eq!(user.behind(&url).await, b"hello");
}

#[tokio::test]
async fn the_length_may_follow_without_any_bytes() {
    let server = Server::start().await;
    let user = server.user(1);
    for bytes in ["hello", ""] {
        let url = user.create(&[("upload-defer-length", "1")]).await.header("location").to_owned();
        user.patch(&url, 0, bytes).await;
        let length = bytes.len().to_string();
        let reply = user.patch_with(&url, bytes.len(), &[("upload-length", &length)], "").await;
        assert_eq!(reply.header("file-state"), "finished", "{reply:?}");
        assert_eq!(user.behind(&url).await, bytes.as_bytes());
    }
}

#[tokio::test]
async fn a_length_that_completes_an_upload_counts_only_with_a_right_body() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.create(&[("upload-defer-length", "1")]).await.header("location").to_owned();
    user.patch(&url, 0, "hel").await;
    let wrong = [("upload-length", "3"), ("upload-checksum", "crc32 AAAAAQ==")];
    user.patch_with(&url, 3, &wrong, "").await.refused(460, "checksum_mismatch");
    user.patch_with(&url, 3, &[("upload-length", "3")], "lo").await.refused(413, "beyond_total");
    assert_eq!(user.progress(&url).await.header("upload-defer-length"), "1");
    user.patch_with(&url, 3, &[("upload-length", "5")], "lo").await;
    assert_eq!(user.behind(&url).await, b"hello");
}

#[tokio::test]
async fn a_file_has_the_name_and_type_that_its_creation_gave() {
    let server = Server::start().await;
    let user = server.user(1);
    // città.abc, application/x-thing, and what isn't ours
    let metadata =
        "relativePath bnVsbA==,name Y2l0dMOgLmFiYw==,type YXBwbGljYXRpb24veC10aGluZw==,secret";
    let headers = [("upload-length", "3"), ("upload-metadata", metadata)];
    let url = user.create(&headers).await.header("location").to_owned();
    let kept = "filename Y2l0dMOgLmFiYw==,filetype YXBwbGljYXRpb24veC10aGluZw==";
    assert_eq!(user.progress(&url).await.header("upload-metadata"), kept);
    user.patch(&url, 0, "\x01\x02\x03").await;
    let file = user.file(uuid_in(&url)).await.ok();
    assert_eq!(file["filename"], "città.abc");
    assert_eq!(file["mimetype"], "application/x-thing");
}

#[tokio::test]
async fn a_file_must_have_the_md5_that_its_creation_gave() {
    let server = Server::start().await;
    let user = server.user(1);
    // of abc
    let md5 = ("upload-metadata", "md5 OTAwMTUwOTgzY2QyNGZiMGQ2OTYzZjdkMjhlMTdmNzI=");
    let headers = [("upload-length", "3"), md5];
    let url = user.create(&headers).await.header("location").to_owned();
    assert_eq!(user.patch(&url, 0, "abc").await.header("file-state"), "finished");
    let url = user.create(&headers).await.header("location").to_owned();
    user.patch(&url, 0, "ab").await;
    user.patch(&url, 2, "x").await.refused(460, "md5_mismatch");
    assert_eq!(user.progress(&url).await.status, 410, "so that its sender begins anew");
}

#[tokio::test]
async fn heads_that_say_nothing_sensible_are_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    for (headers, code) in [
        (&[][..], "required"),
        (&[("upload-length", "-1")], "malformed"),
        (&[("upload-length", "5"), ("upload-defer-length", "1")], "differs"),
        (&[("upload-defer-length", "2")], "malformed"),
        (&[("upload-length", "5"), ("upload-metadata", "filename !")], "malformed"),
        (&[("upload-length", "5"), ("upload-concat", "whole")], "malformed"),
    ] {
        let refused = user.create(headers).await.refused(400, code);
        assert!(refused.field.as_deref().is_some_and(|field| field.starts_with("Upload-")));
        assert!(refused.prevent_retry);
    }
    let long = format!("caption {}", "A".repeat(20_000));
    let headers = [("upload-length", "5"), ("upload-metadata", long.as_str())];
    user.create(&headers).await.refused(400, "field_too_long");
}
