//! Requests that break off, hang, or have another checksum than they say.

use crate::harness::{Raw, Server, eventually, noise};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn all_that_came_of_a_patch_that_breaks_off_is_kept() {
    let server = Server::start().await;
    let user = server.user(1);
    let bytes = noise(30 * MIB);
    for came in [1, 100_000, 8 * MIB, 20 * MIB + 1] {
        let url = user.created(bytes.len()).await;
        let all = (url.as_str(), 0, bytes.len());
        let raw = Raw::patch(&server, &user, all, &bytes[..came]).await;
        eventually("all has come", async || server.written() >= came as u64).await;
        drop(raw);
        eventually("it is on record", async || user.offset(&url).await == came).await;
        user.patch(&url, came, bytes[came..].to_vec()).await;
        assert_eq!(user.behind(&url).await, bytes);
        user.tus(http::Method::DELETE, &url, &[], "").await;
        server.settled().await;
    }
}

#[tokio::test]
async fn what_streams_is_put_on_record_every_8_mib() {
    let server = Server::start().await;
    let user = server.user(1);
    let bytes = noise(20 * MIB);
    let url = user.created(bytes.len()).await;
    let _raw = Raw::patch(&server, &user, (&url, 0, bytes.len()), &bytes[..17 * MIB]).await;
    // Asked of the records: a HEAD would end it.
    eventually("two pieces are on record", async || {
        user.status(crate::harness::uuid_in(&url)).await.ok()["received"] == 16 * MIB
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_ends_a_patch_that_hangs_and_is_told_all_of_it() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(10).await;
    let mut hung = Raw::patch(&server, &user, (&url, 0, 10), b"hello").await;
    eventually("it has come", async || server.written() >= 5).await;
    assert_eq!(user.offset(&url).await, 5);
    hung.reply().await.refused(409, "superseded");
    user.patch(&url, 5, "world").await;
    assert_eq!(user.behind(&url).await, b"helloworld");
}

#[tokio::test]
async fn of_two_at_one_place_the_newer_one_goes_on() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(10).await;
    let mut hung = Raw::patch(&server, &user, (&url, 0, 10), b"HELLO").await;
    eventually("it has come", async || server.written() >= 5).await;
    assert_eq!(user.patch(&url, 0, "hellow").await.header("upload-offset"), "6");
    hung.reply().await.refused(409, "superseded");
    user.patch(&url, 6, "orld").await;
    assert_eq!(user.behind(&url).await, b"helloworld");
}

#[tokio::test]
async fn one_for_a_place_that_is_past_does_not_end_the_one_under_way() {
    let server = Server::start().await;
    let user = server.user(1);
    let bytes = noise(10 * MIB);
    let url = user.created(bytes.len()).await;
    let mut raw = Raw::patch(&server, &user, (&url, 0, bytes.len()), &bytes[..9 * MIB]).await;
    eventually("a piece is on record", async || {
        user.status(crate::harness::uuid_in(&url)).await.ok()["received"] == 8 * MIB
    })
    .await;
    user.patch(&url, 0, "again").await.refused(409, "offset_mismatch");
    raw.send(&bytes[9 * MIB..]).await;
    assert_eq!(raw.reply().await.header("upload-offset"), bytes.len().to_string());
    assert_eq!(user.behind(&url).await, bytes);
}

#[tokio::test]
async fn many_at_one_place_leave_one_whole_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let bytes = noise(3 * MIB);
    let url = user.created(bytes.len()).await;
    let all = (0..8).map(|_| user.patch(&url, 0, bytes.clone()));
    let replies = futures_util::future::join_all(all).await;
    let won = replies.iter().filter(|reply| reply.status == 204).count();
    assert_eq!(won, 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 204) {
        assert_eq!(reply.status, 409, "{reply:?}");
    }
    assert_eq!(user.behind(&url).await, bytes);
}

#[tokio::test]
async fn a_wrong_checksum_discards_exactly_its_patch() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(6).await;
    user.patch(&url, 0, "abc").await;
    let of_def = [("upload-checksum", "sha1 WJwiM1o4HxItEpIl9cC6MFbtWBE=")];
    let of_abc = [("upload-checksum", "sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=")];
    user.patch_with(&url, 3, &of_abc, "def").await.refused(460, "checksum_mismatch");
    assert_eq!(user.offset(&url).await, 3);
    assert_eq!(user.patch_with(&url, 3, &of_def, "def").await.header("file-state"), "finished");
    assert_eq!(user.behind(&url).await, b"abcdef");
}

#[tokio::test]
async fn nothing_of_a_patch_with_a_checksum_counts_before_it_is_whole() {
    let server = Server::start().await;
    let user = server.user(1);
    let bytes = noise(20 * MIB);
    let url = user.created(bytes.len()).await;
    let path = &url[url.find("/api/").unwrap()..];
    let lines = format!(
        "Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: {}\r\n\
         Upload-Checksum: crc32 AAAAAA==\r\nContent-Type: application/offset+octet-stream\r\n",
        bytes.len()
    );
    let mut raw = Raw::connect(&server).await;
    raw.send(Raw::head(&format!("PATCH {path}"), &user, &lines).as_bytes()).await;
    raw.send(&bytes[..17 * MIB]).await;
    eventually("much has come", async || server.written() >= 17 * MIB as u64).await;
    assert_eq!(user.offset(&url).await, 0);
    raw.reply().await.refused(409, "superseded");
    user.patch(&url, 0, bytes.clone()).await;
    assert_eq!(user.behind(&url).await, bytes);
}

#[tokio::test]
async fn no_bytes_for_what_is_a_file_are_fine_however_they_are_framed() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    user.patch(&url, 0, "hello").await;
    let unframed =
        || reqwest::Body::wrap_stream(futures_util::stream::empty::<std::io::Result<Vec<u8>>>());
    assert_eq!(user.patch(&url, 5, "").await.header("file-state"), "finished");
    assert_eq!(user.patch(&url, 5, unframed()).await.header("file-state"), "finished");
    user.patch(&url, 5, "!").await.refused(413, "beyond_total");
}
