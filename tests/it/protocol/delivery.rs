//! Sections 1, 5 and 7: the bytes at a link.

use serde_json::Value;

use crate::harness::{Client, Form, HTML, PDF, SVG, Server, jpeg, mp4, png};

/// A server with a file of the bytes `0123456789`, a client without a token, and the file's link.
async fn digits() -> (Server, Client, String) {
    let server = Server::start().await;
    let file = server.user(1).store("digits.txt", "0123456789").await;
    let nobody = server.anonymous();
    (server, nobody, link(&file))
}

fn link(file: &Value) -> String {
    file["file_url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_needs_no_header() {
    let (_server, nobody, link) = digits().await;
    let reply = nobody.get(&link).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, "0123456789");
    assert_eq!(reply.header("content-length"), "10");
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.header("accept-ranges"), "bytes");
}

#[tokio::test]
async fn a_link_works_whatever_token_comes_with_it() {
    let (server, nobody, link) = digits().await;
    for client in [server.user(2), nobody.with("authorization", "Bearer x")] {
        assert_eq!(client.get(&link).await.body, "0123456789");
    }
}

#[tokio::test]
async fn head_answers_the_headers_of_get_and_no_bytes() {
    let (_server, nobody, link) = digits().await;
    let (get, head) = (nobody.get(&link).await, nobody.head(&link).await);
    assert_eq!(head.status, 200);
    assert_eq!(head.comparable().1, get.comparable().1);
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn one_range_is_206_with_its_bytes() {
    let (_server, nobody, link) = digits().await;
    for (range, content_range, bytes) in [
        ("bytes=0-0", "bytes 0-0/10", "0"),
        ("bytes=0-", "bytes 0-9/10", "0123456789"),
        ("bytes=3-5", "bytes 3-5/10", "345"),
        ("bytes=9-9", "bytes 9-9/10", "9"),
        ("bytes=5-99", "bytes 5-9/10", "56789"),
        ("bytes=-1", "bytes 9-9/10", "9"),
        ("bytes=-99", "bytes 0-9/10", "0123456789"),
    ] {
        let reply = nobody.with("range", range).get(&link).await;
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.header("content-range"), content_range);
        assert_eq!(reply.header("content-length"), bytes.len().to_string());
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(reply.body, bytes, "{range}");
    }
}

#[tokio::test]
async fn a_range_that_is_none_is_ignored() {
    let (_server, nobody, link) = digits().await;
    for range in ["bytes=5-2", "bytes=x", "bytes", "items=0-1", "bytes=-", ""] {
        let reply = nobody.with("range", range).get(&link).await;
        assert_eq!(reply.status, 200, "{range}");
        assert_eq!(reply.body, "0123456789", "{range}");
    }
}

#[tokio::test]
async fn several_ranges_are_answered_with_the_whole() {
    let (_server, nobody, link) = digits().await;
    let thousand = format!("bytes={}", vec!["0-0"; 1000].join(","));
    for range in ["bytes=0-0,5-6", "bytes=0-0, 99-", &thousand] {
        let reply = nobody.with("range", range).get(&link).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body, "0123456789");
    }
}

#[tokio::test]
async fn a_range_past_the_end_is_416_with_the_size() {
    let (_server, nobody, link) = digits().await;
    for range in ["bytes=10-", "bytes=10-20", "bytes=99-", "bytes=-0"] {
        let reply = nobody.with("range", range).get(&link).await;
        let refused = reply.refused(416, "range_not_satisfiable");
        assert_eq!(refused.header("content-range"), "bytes */10", "{range}");
        refused.saying(&["10 bytes"]);
    }
}

#[tokio::test]
async fn if_range_decides_between_part_and_whole() {
    let (_server, nobody, link) = digits().await;
    let etag = nobody.get(&link).await.header("etag").to_owned();
    let weak = format!("W/{etag}");
    let old = "Sat, 29 Oct 1994 19:43:31 GMT";
    let ranged = nobody.with("range", "bytes=0-0");
    for (given, status) in [(&*etag, 206), ("\"x\"", 200), (&weak, 200), (old, 200)] {
        let reply = ranged.with("if-range", given).get(&link).await;
        assert_eq!(reply.status, status, "{given}");
    }
}

#[tokio::test]
async fn an_entity_tag_is_strong_and_stays() {
    let (server, nobody, link) = digits().await;
    let etag = nobody.get(&link).await.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    server.skip(3600);
    for reply in [
        nobody.get(&link).await,
        nobody.head(&link).await,
        nobody.with("range", "bytes=0-0").get(&link).await,
    ] {
        assert_eq!(reply.header("etag"), etag);
    }
}

#[tokio::test]
async fn two_files_have_two_entity_tags() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store("a.jpg", jpeg()).await;
    let uuid = parent["uuid"].as_str().unwrap();
    let thumbnail = user.upload(Form::thumbnail(uuid, jpeg())).await.ok();
    let first = user.get(&link(&parent)).await;
    let second = user.get(&link(&thumbnail)).await;
    assert_ne!(first.header("etag"), second.header("etag"));
}

#[tokio::test]
async fn what_a_cache_still_has_is_304() {
    let (_server, nobody, link) = digits().await;
    let etag = nobody.get(&link).await.header("etag").to_owned();
    let reply = nobody.with("if-none-match", &etag).get(&link).await;
    assert_eq!(reply.status, 304);
    assert_eq!(reply.header("etag"), etag);
    assert!(reply.body.is_empty());
    let reply = nobody.with("if-none-match", "\"x\"").get(&link).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn if_match_of_another_file_is_412() {
    let (_server, nobody, link) = digits().await;
    let reply = nobody.with("if-match", "\"x\"").get(&link).await;
    reply.refused(412, "precondition_failed");
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_make_it_harmless() {
    let (_server, nobody, link) = digits().await;
    for reply in [
        nobody.get(&link).await,
        nobody.head(&link).await,
        nobody.with("range", "bytes=0-0").get(&link).await,
    ] {
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(policy.contains("sandbox"), "{policy}");
        assert!(!policy.contains("script"), "{policy}");
        let cache = reply.header("cache-control");
        assert!(cache.contains("private"), "{cache}");
    }
}

#[tokio::test]
async fn what_a_browser_shows_itself_is_inline() {
    let server = Server::start().await;
    for (name, bytes, media_type) in [
        ("a.jpg", jpeg(), "image/jpeg"),
        ("a.png", png(), "image/png"),
        ("a.mp4", mp4(), "video/mp4"),
    ] {
        let file = server.user(1).store(name, bytes).await;
        let reply = server.anonymous().get(&link(&file)).await;
        let disposition = format!("inline; filename=\"{name}\"");
        assert_eq!(reply.header("content-disposition"), disposition);
        assert_eq!(reply.header("content-type"), media_type);
    }
}

#[tokio::test]
async fn a_link_that_asks_for_a_download_saves_what_it_would_show() {
    let server = Server::start().await;
    let file = server.user(1).store("a.jpg", jpeg()).await;
    for asks in ["&download", "&download=", "&download=1"] {
        let reply = server.anonymous().get(&format!("{}{asks}", link(&file))).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-disposition"), "attachment; filename=\"a.jpg\"");
        assert_eq!(reply.header("content-type"), "image/jpeg");
    }
}

#[tokio::test]
async fn what_could_run_or_is_unknown_is_an_attachment() {
    let server = Server::start().await;
    for (name, bytes) in [
        ("a.svg", SVG.as_bytes()),
        ("a.html", HTML.as_bytes()),
        ("a.pdf", PDF.as_bytes()),
        ("picture.png", SVG.as_bytes()),
        ("picture.jpg", HTML.as_bytes()),
        ("a.bin", &[0, 1, 2]),
    ] {
        let file = server.user(1).store(name, bytes).await;
        let reply = server.anonymous().get(&link(&file)).await;
        let disposition = format!("attachment; filename=\"{name}\"");
        assert_eq!(reply.header("content-disposition"), disposition);
    }
}

#[tokio::test]
async fn a_files_name_is_sent_in_any_script() {
    let server = Server::start().await;
    let file = server.user(1).store("文件.jpg", jpeg()).await;
    let reply = server.anonymous().get(&link(&file)).await;
    let disposition = "inline; filename=\"file.jpg\"; filename*=UTF-8''%E6%96%87%E4%BB%B6.jpg";
    assert_eq!(reply.header("content-disposition"), disposition);
}

#[tokio::test]
async fn an_altered_link_is_403_whatever_was_altered() {
    let (server, nobody, link) = digits().await;
    let other = server.user(1).store_any().await;
    let uuid = link.split('/').nth(4).unwrap();
    let (path, query) = link.split_once('?').unwrap();
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(n, _)| n == name).unwrap().1.into_owned()
    };
    let expires: u64 = value("expires").parse().unwrap();
    let key: u64 = value("key").parse().unwrap();
    let signature = value("signature");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    let flipped = format!("{first}{}", &signature[1..]);
    for altered in [
        link.replace(uuid, &other),
        link.replace("/file?", "/thumbnail?"),
        link.replace(&expires.to_string(), &(expires + 1).to_string()),
        link.replace(&format!("key={key}"), &format!("key={}", key + 1)),
        link.replace(&signature, &flipped),
        link.replace(&signature, &signature[..20]),
        link.replace(&signature, ""),
        format!("{path}?expires={expires}&key={key}"),
        format!("{path}?expires={expires}&signature={signature}"),
        format!("{path}?key={key}&signature={signature}"),
        format!("{path}?expires=x&key={key}&signature={signature}"),
        path.to_owned(),
    ] {
        assert_ne!(altered, link);
        let refused = nobody.get(&altered).await.refused(403, "bad_link");
        assert!(refused.prevent_retry, "{altered}");
    }
}

#[tokio::test]
async fn a_link_lives_a_day_and_is_403_after_two() {
    let (server, nobody, link) = digits().await;
    server.skip(crate::harness::DAY);
    assert_eq!(nobody.get(&link).await.status, 200);
    server.skip(crate::harness::DAY);
    let refused = nobody.get(&link).await.refused(403, "bad_link");
    refused.saying(&["expired"]);
}

#[tokio::test]
async fn a_deleted_files_link_is_410() {
    let server = Server::start().await;
    let user = server.user(1);
    let file = user.store("a.txt", "abc").await;
    user.delete(file["uuid"].as_str().unwrap()).await.ok();
    let reply = server.anonymous().get(&link(&file)).await;
    reply.refused(410, "gone");
}

#[tokio::test]
async fn head_of_a_refused_link_has_the_status_of_get_and_no_body() {
    let (_server, nobody, link) = digits().await;
    let reply = nobody.head(&format!("{link}x")).await;
    assert_eq!(reply.status, 403);
    assert!(reply.body.is_empty());
}

#[tokio::test]
async fn an_empty_file_is_delivered() {
    let server = Server::start().await;
    let file = server.user(1).store("empty.txt", "").await;
    let nobody = server.anonymous();
    let reply = nobody.get(&link(&file)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-length"), "0");
    let reply = nobody.with("range", "bytes=0-").get(&link(&file)).await;
    let refused = reply.refused(416, "range_not_satisfiable");
    assert_eq!(refused.header("content-range"), "bytes */0");
}

#[tokio::test]
async fn a_file_of_many_frames_is_delivered_whole() {
    let server = Server::start().await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    let file = server.user(1).store("a.bin", &bytes).await;
    let nobody = server.anonymous();
    assert!(nobody.get(&link(&file)).await.body == bytes);
    let ranged = nobody.with("range", "bytes=262143-786433");
    assert!(ranged.get(&link(&file)).await.body == bytes[262_143..=786_433]);
}
