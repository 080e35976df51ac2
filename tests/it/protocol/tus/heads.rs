//! Versions, methods, types, and what a client may ask first.

use http::Method;

use crate::harness::{Server, TUS};

#[tokio::test]
async fn whoever_asks_is_told_what_the_server_can() {
    let server = Server::start().await;
    let one = format!("{TUS}{}", crate::harness::new_uuid());
    for path in [TUS, "/api/v2/tus", &one] {
        let anonymous = server.anonymous();
        let reply = anonymous.send(anonymous.request(Method::OPTIONS, path)).await;
        assert!(reply.status.is_success(), "{reply:?}");
        assert_eq!(reply.header("tus-resumable"), "1.0.0");
        assert_eq!(reply.header("tus-version"), "1.0.0");
        assert_eq!(reply.header("tus-max-size"), (5_u64 << 30).to_string());
        assert_eq!(reply.header("tus-checksum-algorithm"), "crc32,md5,sha1,sha256");
        for extension in [
            "creation",
            "creation-with-upload",
            "creation-defer-length",
            "expiration",
            "checksum",
            "termination",
            "concatenation",
        ] {
            let has = reply.header("tus-extension").split(',').any(|name| name == extension);
            assert!(has, "{extension}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn another_version_is_refused_with_the_right_one() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    for (method, to) in
        [(Method::POST, TUS), (Method::HEAD, &url), (Method::PATCH, &url), (Method::DELETE, &url)]
    {
        for version in [None, Some("0.2.2")] {
            let mut request = user.request(method.clone(), to);
            if let Some(version) = version {
                request = request.header("tus-resumable", version);
            }
            let reply = user.send(request).await;
            assert_eq!(reply.status, 412, "{method}: {reply:?}");
            assert_eq!(reply.header("tus-version"), "1.0.0");
        }
    }
    assert_eq!(user.offset(&url).await, 0);
}

#[tokio::test]
async fn every_reply_says_its_version_and_is_not_to_be_kept() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    let replies = [
        server.anonymous().progress(&url).await,
        user.progress(&format!("{TUS}nothing")).await,
        user.tus(Method::PUT, &url, &[], "").await,
        user.patch(&url, 3, "x").await,
        user.patch(&url, 0, "hello").await,
        user.tus(Method::DELETE, &url, &[], "").await,
    ];
    for (reply, status) in replies.into_iter().zip([401, 404, 405, 409, 204, 204]) {
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("tus-resumable"), "1.0.0", "{reply:?}");
        assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
    }
}

#[tokio::test]
async fn the_method_that_a_header_names_is_meant() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    let meant = |method| ("x-http-method-override", method);
    let bytes = [
        meant("PATCH"),
        ("upload-offset", "0"),
        ("content-type", "application/offset+octet-stream"),
    ];
    assert_eq!(user.tus(Method::POST, &url, &bytes, "hel").await.header("upload-offset"), "3");
    let told = user.tus(Method::GET, &url, &[meant("HEAD")], "").await;
    assert_eq!(told.header("upload-offset"), "3");
    let asked = user.tus(Method::GET, &url, &[meant("OPTIONS")], "").await;
    assert_eq!(asked.header("tus-version"), "1.0.0");
    assert_eq!(user.tus(Method::POST, &url, &[meant("DELETE")], "").await.status, 204);
    assert_eq!(user.progress(&url).await.status, 410);
}

#[tokio::test]
async fn bytes_need_their_type_and_their_place() {
    let server = Server::start().await;
    let user = server.user(1);
    let url = user.created(5).await;
    for other in ["application/octet-stream", "text/plain", ""] {
        let headers = [("upload-offset", "0"), ("content-type", other)];
        let reply = user.tus(Method::PATCH, &url, &headers, "hello").await;
        reply.refused(415, "unsupported_media_type");
    }
    let own = ("content-type", "application/offset+octet-stream");
    user.tus(Method::PATCH, &url, &[own], "hello").await.refused(400, "required");
    for wrong in ["-1", "x", "1.0", "9223372036854775808"] {
        let headers = [own, ("upload-offset", wrong)];
        user.tus(Method::PATCH, &url, &headers, "hello").await.refused(400, "malformed");
    }
    for wrong in ["sha512 AAAA", "sha1 AAAA", "sha1"] {
        let headers = [own, ("upload-offset", "0"), ("upload-checksum", wrong)];
        let refused = user.tus(Method::PATCH, &url, &headers, "hello").await;
        assert_eq!(refused.status, 400);
    }
    assert_eq!(user.offset(&url).await, 0);
}

#[tokio::test]
async fn pages_of_other_origins_may_send_and_read_what_tus_needs() {
    let server = Server::start().await;
    let page = server.user(1).with("origin", "https://chat.example.org");
    let asked = server.anonymous().with("origin", "https://chat.example.org");
    let request = asked
        .request(Method::OPTIONS, TUS)
        .header("access-control-request-method", "PATCH")
        .header("access-control-request-headers", "tus-resumable,upload-offset");
    let preflight = asked.send(request).await;
    let allowed = preflight.header("access-control-allow-headers").to_lowercase();
    for header in [
        "tus-resumable",
        "upload-length",
        "upload-defer-length",
        "upload-offset",
        "upload-metadata",
        "upload-checksum",
        "upload-concat",
        "x-http-method-override",
        "x-request-id",
        "content-type",
        "authorization",
    ] {
        assert!(allowed.split(',').any(|name| name.trim() == header), "{header}: {allowed}");
    }
    assert!(preflight.header("access-control-allow-methods").contains("PATCH"));
    let reply = page.create(&[("upload-length", "5")]).await;
    let readable = reply.header("access-control-expose-headers").to_lowercase();
    for header in [
        "location",
        "upload-offset",
        "upload-length",
        "upload-expires",
        "tus-resumable",
        "tus-version",
        "tus-extension",
        "tus-max-size",
        "file-uuid",
        "file-url",
        "file-state",
    ] {
        assert!(readable.split(',').any(|name| name.trim() == header), "{header}: {readable}");
    }
    assert_eq!(reply.header("access-control-allow-origin"), "*");
}
