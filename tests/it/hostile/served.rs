//! Files that a browser might run: whatever they are called and however they are requested, no reply allows it.

use haversack::config::Settings;
use http::Method;

use crate::harness::{Client, Reply, Server, jpeg};

const SCRIPT: &str = "<script>parent.postMessage(1, '*')</script>";
const SANDBOX: &str =
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'";

/// What browsers show inline without running it.
const SHOWN: [&str; 4] = ["image/", "audio/", "video/", "text/plain"];

fn gif_and_script() -> Vec<u8> {
    b"GIF89a/*\x01\x00\x80\x00\x00\x00\x00\x00\xFF\xFF\xFF,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02L\x01\x00;*/=1;alert(1)//"
        .to_vec()
}

fn mp4_and_page() -> Vec<u8> {
    let head = b"\0\0\0\x18ftypisom\0\0\x02\0isommp42";
    let body = format!("<html>{SCRIPT}</html>");
    let size = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&head[..], &size, b"free", body.as_bytes(), &[0; 64]].concat()
}

/// Name, declared type, bytes.
fn files() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let svg = format!("<svg xmlns='http://www.w3.org/2000/svg'>{SCRIPT}</svg>");
    let xhtml =
        format!("<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'>{SCRIPT}</html>");
    let xslt =
        "<?xml version='1.0'?><?xml-stylesheet type='text/xsl' href='#s'?><a id='s'/>".to_owned();
    let html = format!("<!DOCTYPE html><html><body>{SCRIPT}</body></html>");
    let commented = format!("<!-- a -->\n\n{html}");
    let padded = format!("{}{html}", " \n".repeat(600));
    let pdf = format!(
        "%PDF-1.7\n%\u{e2}\u{e3}\n{html}\n1 0 obj<</OpenAction<</S/JavaScript/JS(1)>>>>endobj\n"
    );
    let utf_16 = |text: &str, bom: [u8; 2]| {
        let le = bom == [0xFF, 0xFE];
        let units =
            text.encode_utf16().flat_map(|u| if le { u.to_le_bytes() } else { u.to_be_bytes() });
        bom.into_iter().chain(units).collect::<Vec<u8>>()
    };
    let jpeg_with_page = [&jpeg()[..], html.as_bytes()].concat();
    let mut named = Vec::new();
    for (name, declared, text) in [
        ("a.svg", "image/svg+xml", svg.clone()),
        ("a.png", "image/png", svg.clone()),
        ("a.html", "text/html", html.clone()),
        ("a.jpg", "image/jpeg", html.clone()),
        ("a.txt", "text/plain", html.clone()),
        ("a.mp4", "video/mp4", html.clone()),
        ("a", "text/html; charset=utf-7", "+ADw-script+AD4-alert(1)+ADw-/script+AD4-".to_owned()),
        ("a.xhtml", "application/xhtml+xml", xhtml),
        ("a.xml", "text/xml", xslt),
        ("a.html", "text/html", commented),
        ("a.html", "text/html", padded),
        ("a.html", "text/html", format!("\u{feff}{html}")),
        ("a.pdf", "application/pdf", pdf.clone()),
        ("a.html", "text/html", pdf),
        ("a.js", "text/javascript", "alert(1)".to_owned()),
        ("a.css", "text/css", "body { background: url(//evil.example) }".to_owned()),
        (
            "a.mht",
            "multipart/related",
            format!("MIME-Version: 1.0\nContent-Type: text/html\n\n{html}"),
        ),
        ("a.swf", "application/x-shockwave-flash", "FWS\u{6}aaaaaaaaaaaaaaaa".to_owned()),
        ("a.vtt", "text/vtt", format!("WEBVTT\n\n00:00.000 --> 00:01.000\n{SCRIPT}")),
        ("a.htaccess", "text/plain", "AddType text/html .jpg".to_owned()),
        ("a.wasm", "application/wasm", "\0asm\u{1}\0\0\0".to_owned()),
        ("a.webmanifest", "application/manifest+json", "{\"start_url\": \"/\"}".to_owned()),
    ] {
        named.push((name, declared, text.into_bytes()));
    }
    named.extend([
        ("a.html", "text/html", utf_16(&html, [0xFF, 0xFE])),
        ("a.html", "text/html", utf_16(&html, [0xFE, 0xFF])),
        ("a.svg", "image/svg+xml", utf_16(&svg, [0xFF, 0xFE])),
        ("a.js", "text/javascript", gif_and_script()),
        ("a.html", "text/html", gif_and_script()),
        ("a.html", "text/html", mp4_and_page()),
        ("a.html", "text/html", jpeg_with_page),
        ("a.svgz", "image/svg+xml", [&[0x1F, 0x8B, 8, 0][..], &[0; 40]].concat()),
        ("a.html", "text/html", [b"\x80\x81<html>".as_slice(), SCRIPT.as_bytes()].concat()),
    ]);
    named
}

/// Fails if a browser could take the reply for a page.
#[track_caller]
fn harmless(what: &str, reply: &Reply) {
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{what}");
    assert!(!reply.headers.contains_key("link"), "{what}");
    assert!(!reply.headers.contains_key("refresh"), "{what}");
    assert!(!reply.headers.contains_key("content-encoding"), "{what}");
    let content_type = reply.header("content-type");
    if content_type == "application/json" && reply.status.as_u16() >= 400 {
        return; // a refusal, which contains nothing of the file
    }
    assert_eq!(reply.header("content-security-policy"), SANDBOX, "{what}");
    assert_eq!(reply.headers.get_all("content-security-policy").iter().count(), 1, "{what}");
    assert_eq!(reply.header("referrer-policy"), "no-referrer", "{what}");
    assert_eq!(reply.header("cross-origin-resource-policy"), "cross-origin", "{what}");
    assert_eq!(reply.headers.get_all("content-disposition").iter().count(), 1, "{what}");
    assert_eq!(reply.headers.get_all("content-type").iter().count(), 1, "{what}");
    let is_shown = SHOWN.iter().any(|shown| content_type.starts_with(shown));
    let is_safe = is_shown && !content_type.contains("svg") && !content_type.contains("xml");
    let disposition = reply.header("content-disposition");
    assert!(
        is_safe || disposition.starts_with("attachment;"),
        "{what}: {content_type}, {disposition}"
    );
    if content_type.starts_with("text/") && !disposition.starts_with("attachment;") {
        assert!(content_type.starts_with("text/plain; charset=utf-"), "{what}: {content_type}");
    }
}

/// Every kind of reply that a link can have.
async fn replies(nobody: &Client, link: &str) -> Vec<Reply> {
    let tag = nobody.get(link).await.header("etag").to_owned();
    let ranged = |range: &str| nobody.with("range", range);
    let replies = vec![
        nobody.get(link).await,
        nobody.head(link).await,
        ranged("bytes=0-4").get(link).await,
        ranged("bytes=5-").head(link).await,
        ranged("bytes=99999999-").get(link).await,
        nobody.with("if-none-match", &tag).get(link).await,
        nobody.with("if-match", "\"x\"").get(link).await,
        nobody.get(&format!("{link}x")).await,
        nobody.send(nobody.request(Method::POST, link)).await,
        nobody.send(nobody.request(Method::OPTIONS, link)).await,
        nobody.with("accept", "text/html").get(link).await,
    ];
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 206, 200, 416, 304, 412, 403, 405, 200, 200]);
    replies
}

#[tokio::test(flavor = "multi_thread")]
async fn no_reply_with_a_files_bytes_can_run() {
    let server = Server::start().await;
    let nobody = server.anonymous();
    for (name, declared, bytes) in files() {
        let form = crate::harness::Form::single(&bytes).named(name).field("filetype", declared);
        let file = server.user(1).upload(form).await.ok();
        let what = format!(
            "{name} as {declared}: {}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
        );
        for (nth, reply) in replies(&nobody, file["url"].as_str().unwrap()).await.iter().enumerate()
        {
            if nth != 9 {
                harmless(&format!("{what} ({nth})"), reply);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_a_thumbnail_with_a_page_gets_none() {
    let server = Server::start().await;
    let user = server.user(1);
    let parent = user.store("a.jpg", jpeg()).await;
    let uuid = parent["uuid"].as_str().unwrap();
    for (name, _, bytes) in files() {
        let form = crate::harness::Form::thumbnail(uuid, &bytes).named(name);
        let reply = user.upload(form).await;
        if reply.status == 200 {
            let shown = server.anonymous().get(reply.ok()["file_url"].as_str().unwrap()).await;
            harmless(name, &shown);
            assert!(shown.header("content-type").starts_with("image/"), "{name}");
        } else {
            reply.refused(415, "not_an_image");
        }
    }
}

/// The headers come from this server even if a proxy sends the bytes.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_sends_can_not_run_either() {
    let settings = Settings {
        accel_redirect: "/blobs/".parse().unwrap(),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..Settings::default()
    };
    let server = Server::with(settings).await;
    for (name, _, bytes) in files() {
        let file = server.user(1).store(name, &bytes).await;
        let reply = server.anonymous().get(file["url"].as_str().unwrap()).await;
        assert!(reply.header("x-accel-redirect").starts_with("/blobs/"), "{name}");
        harmless(name, &reply);
    }
}

#[tokio::test]
async fn a_refusal_can_not_run_and_repeats_nothing() {
    let server = Server::start().await;
    let user = server.user(1);
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        format!("/{script}"),
        format!("/media/{script}/file"),
        format!("/media/{script}/{script}?signature={script}"),
        format!("/api/v2/pm/upload/{script}/"),
        format!("/api/v2/pm/upload/?cursor={script}"),
        format!("/page/{script}"),
    ] {
        let reply = user.get(&path).await;
        assert!(reply.status.is_client_error(), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!String::from_utf8_lossy(&reply.body).to_lowercase().contains("script"), "{path}");
        assert_eq!(reply.header("content-type"), "application/json", "{path}");
    }
}
