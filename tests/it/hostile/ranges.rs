//! Ranges and conditions that no player sends. `protocol::delivery` tests those that players send.

use crate::harness::{Client, Server};

async fn file(bytes: &str) -> (Server, Client, String) {
    let server = Server::start().await;
    let file = server.user(1).store("a.txt", bytes).await;
    let nobody = server.anonymous();
    (server, nobody, file["url"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn numbers_beyond_all_sizes_are_read_as_what_they_are() {
    let (_server, nobody, link) = file("0123456789").await;
    let huge = "9".repeat(1000);
    for (range, status, body) in [
        (format!("bytes=2-{}", u64::MAX), 206, "23456789"),
        (format!("bytes=2-{huge}"), 206, "23456789"),
        (format!("bytes=-{huge}"), 206, "0123456789"),
        (format!("bytes=-{}", u64::MAX), 206, "0123456789"),
        (format!("bytes=0-{}", i64::MAX), 206, "0123456789"),
        ("bytes=00000000000000000000000001-1".to_owned(), 206, "1"),
    ] {
        let reply = nobody.with("range", &range).get(&link).await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (status, body.as_bytes()), "{range}");
        assert_eq!(reply.header("content-length"), body.len().to_string());
    }
    for range in [
        format!("bytes={huge}-"),
        format!("bytes={}-", u64::MAX),
        format!("bytes={}-{}", u64::MAX - 1, u64::MAX),
        format!("bytes={huge}-{huge}"),
    ] {
        let reply = nobody.with("range", &range).get(&link).await;
        let refused = reply.refused(416, "range_not_satisfiable");
        assert_eq!(refused.header("content-range"), "bytes */10");
        assert_eq!(refused.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn what_is_no_range_is_ignored() {
    let (_server, nobody, link) = file("0123456789").await;
    for range in [
        "bytes=--1",
        "bytes=-+1",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=0x1-2",
        "bytes=1 -2",
        "bytes= 1-2x",
        "bytes=1-2-3",
        "bytes 0-1",
        "bytes:0-1",
        "bytes=\"0-1\"",
        "bytes=0-1;q=1",
        "bytes=1e1-",
        "bytes=-1.0",
        "bytes=0\u{2013}1",
        "bits=0-1",
        "bytes=,",
        "bytes=,,,",
        "bytes==0-1",
        "=0-1",
        "none",
    ] {
        let request = nobody.request(http::Method::GET, &link);
        let reply = nobody.send(request.header("range", range.as_bytes())).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 10), "{range}");
    }
}

#[tokio::test]
async fn a_thousand_ranges_are_answered_once_whatever_they_are() {
    let (_server, nobody, link) = file(&"0123456789".repeat(1000)).await;
    let overlapping = (0..1000).map(|i| format!("{i}-")).collect::<Vec<_>>().join(",");
    let past = vec!["99999-"; 1000].join(",");
    let empty = ",".repeat(30_000) + "0-0";
    for (set, status, length) in [(overlapping, 200, 10_000), (past, 200, 10_000), (empty, 206, 1)]
    {
        let reply = nobody.with("range", &format!("bytes={set}")).get(&link).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (status, length));
        assert!(!reply.header("content-type").starts_with("multipart"));
    }
}

#[tokio::test]
async fn of_an_empty_file_no_range_is_served() {
    let (_server, nobody, link) = file("").await;
    for (range, status) in [
        ("bytes=0-0", 416),
        ("bytes=0-", 416),
        ("bytes=-0", 416),
        ("bytes=-1", 200),
        ("bytes=1-0", 200),
    ] {
        let reply = nobody.with("range", range).get(&link).await;
        assert_eq!(reply.status, status, "{range}");
    }
}

#[tokio::test]
async fn conditions_that_are_no_entity_tags_of_ours_never_give_a_part() {
    let (_server, nobody, link) = file("0123456789").await;
    let tag = nobody.get(&link).await.header("etag").to_owned();
    let bare = tag.trim_matches('"').to_owned();
    let ranged = nobody.with("range", "bytes=0-0");
    for condition in [
        bare.clone(),
        format!("\"{bare}"),
        format!("{bare}\""),
        format!("\"\"{bare}\"\""),
        format!("w/{tag}"),
        format!("{tag}, {tag}"),
        tag.to_uppercase(),
        "*".to_owned(),
        "\"\"".to_owned(),
        "Mon, 23 Nov 2999 00:00:00 GMT".to_owned(),
    ] {
        let reply = ranged.with("if-range", &condition).get(&link).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 10), "{condition}");
    }
    let many = vec!["\"x\""; 5000].join(",");
    assert_eq!(nobody.with("if-none-match", &many).get(&link).await.status, 200);
    assert_eq!(nobody.with("if-none-match", &format!("{many},{tag}")).get(&link).await.status, 304);
    nobody.with("if-match", &many).get(&link).await.refused(412, "precondition_failed");
}
