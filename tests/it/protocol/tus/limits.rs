//! Limits, quotas, and bodies whose length nobody knows.

use bytes::Bytes;
use futures_util::stream;
use haversack::config::Settings;
use haversack::ids::UserId;
use haversack::metadata::quota::Usage;
use reqwest::Body;

use crate::harness::{Server, noise};

/// A body without a length.
fn unsized_body(bytes: &[u8]) -> Body {
    let frames: Vec<_> = bytes.chunks(1 << 16).map(Bytes::copy_from_slice).collect();
    Body::wrap_stream(stream::iter(frames.into_iter().map(Ok::<_, std::io::Error>)))
}

async fn usage(server: &Server) -> (u64, u64) {
    let Usage { user_bytes, user_files, .. } =
        server.app.stores().0.usage(UserId::from(1)).await.expect("no error");
    (user_bytes, user_files)
}

fn quota(bytes: u64) -> Settings {
    Settings { user_quota: bytes.to_string().parse().unwrap(), ..Settings::default() }
}

#[tokio::test]
async fn a_file_has_a_limit_and_a_patch_has_none_of_its_own() {
    let settings = Settings {
        max_file_size: "3MiB".parse().unwrap(),
        max_chunk_size: "1MiB".parse().unwrap(),
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    let user = server.user(1);
    let bytes = noise(3 << 20);
    let url = user.created(bytes.len()).await;
    assert_eq!(user.patch(&url, 0, bytes.clone()).await.header("file-state"), "finished");
    let above = (bytes.len() + 1).to_string();
    user.create(&[("upload-length", &above)]).await.refused(413, "file_too_large");
    let deferred = [("upload-defer-length", "1")];
    let url = user.create(&deferred).await.header("location").to_owned();
    let mut larger = bytes.clone();
    larger.push(0);
    user.patch(&url, 0, larger.clone()).await.refused(413, "file_too_large");
    user.patch(&url, 0, unsized_body(&larger)).await.refused(413, "file_too_large");
    user.patch_with(&url, 0, &[("upload-length", &above)], "").await.refused(413, "file_too_large");
}

#[tokio::test]
async fn an_upload_counts_from_its_creation_on_and_gives_back_what_it_does_not_take() {
    let server = Server::with(quota(100)).await;
    let user = server.user(1);
    let url = user.created(60).await;
    assert_eq!(usage(&server).await, (60, 1));
    user.create(&[("upload-length", "41")]).await.refused(413, "quota_exceeded");
    user.patch(&url, 0, noise(60)).await;
    assert_eq!(usage(&server).await, (60, 1));
    let url = user.created(40).await;
    user.tus(http::Method::DELETE, &url, &[], "").await;
    assert_eq!(usage(&server).await, (60, 1));
}

#[tokio::test]
async fn an_upload_of_unknown_length_counts_as_it_comes() {
    let server = Server::with(quota(10 << 20)).await;
    let user = server.user(1);
    let bytes = noise(10 << 20);
    let deferred = [("upload-defer-length", "1")];
    let url = user.create(&deferred).await.header("location").to_owned();
    assert_eq!(usage(&server).await, (0, 1));
    let mut larger = bytes.clone();
    larger.push(0);
    user.patch(&url, 0, larger.clone()).await.refused(413, "quota_exceeded");
    user.patch(&url, 0, unsized_body(&larger)).await.refused(413, "quota_exceeded");
    let kept = user.offset(&url).await;
    assert_eq!(kept, 8 << 20, "what had room is kept");
    user.patch(&url, kept, unsized_body(&bytes[kept..])).await;
    assert_eq!(user.offset(&url).await, bytes.len());
    let length = [("upload-length", bytes.len().to_string())];
    let length = [(length[0].0, length[0].1.as_str())];
    let reply = user.patch_with(&url, bytes.len(), &length, "").await;
    assert_eq!(reply.header("file-state"), "finished");
    assert_eq!(usage(&server).await, (10 << 20, 1));
}
