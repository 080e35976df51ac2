//! Section 6: `mimetype` comes from the bytes. What the sender declares counts only if these reveal nothing, and never
//! makes a browser show or run what it would not by the bytes.

use crate::harness::{Form, HTML, PDF, SVG, Server, jpeg, mp4, png};

/// Bytes of an unknown type.
const UNKNOWN: &[u8] = &[0, 1, 2, 3, 0xFE, 0xFF, 0x80, 0x81];

/// What senders declare, honestly or not.
const DECLARED: [&str; 12] = [
    "image/jpeg",
    "image/svg+xml",
    "text/html",
    "text/plain",
    "video/mp4",
    "application/pdf",
    "application/javascript",
    "application/xhtml+xml; charset=utf-8",
    "application/x-x509-ca-cert",
    "multipart/x-mixed-replace",
    "application/octet-stream",
    "no type at all",
];

/// Kinds of bytes, their type, and whether a browser may show them inline.
fn kinds() -> Vec<(&'static str, Vec<u8>, &'static str, bool)> {
    let zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0\x05\0\0\0\x05\0\0\0a.txthello"
        .to_vec();
    let webm = b"\x1A\x45\xDF\xA3\x87\x42\x82\x84webm\x18\x53\x80\x67".to_vec();
    vec![
        ("a JPEG", jpeg(), "image/jpeg", true),
        ("a PNG", png(), "image/png", true),
        ("a GIF", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec(), "image/gif", true),
        ("a film", mp4(), "video/mp4", true),
        ("a WebM", webm, "video/webm", true),
        ("SVG", SVG.into(), "image/svg+xml", false),
        ("HTML", HTML.into(), "text/html", false),
        ("PDF", PDF.into(), "application/pdf", false),
        ("text", b"hello, world".to_vec(), "text/plain", true),
        ("a zip", zip, "application/zip", false),
        ("unknown bytes", UNKNOWN.to_vec(), "application/octet-stream", false),
    ]
}

/// The type in a File and in the served headers, and whether it is inline.
async fn told(server: &Server, declared: &str, bytes: &[u8]) -> (String, bool) {
    let form = Form::single(bytes).field("filetype", declared);
    let file = server.user(1).upload(form).await.ok();
    let reply = server.anonymous().get(file["url"].as_str().unwrap()).await;
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    let mimetype = file["mimetype"].as_str().unwrap().to_owned();
    let served = reply.header("content-type").split(';').next().unwrap();
    assert_eq!(served, mimetype, "declared as {declared}");
    (mimetype, reply.header("content-disposition").starts_with("inline"))
}

#[tokio::test]
async fn whatever_is_declared_the_bytes_decide() {
    let server = Server::start().await;
    let mut pairs = 0;
    for (kind, bytes, mimetype, inline) in kinds() {
        for declared in DECLARED {
            let found = told(&server, declared, &bytes).await;
            assert_eq!(found, (mimetype.to_owned(), inline), "{kind} declared as {declared}");
            pairs += 1;
        }
    }
    assert!(pairs >= 60, "{pairs}");
}

#[tokio::test]
async fn where_the_bytes_say_nothing_a_harmless_claim_counts() {
    let server = Server::start().await;
    for declared in ["application/x-blender", "font/collection", "model/stl", "chemical/x-pdb"] {
        let found = told(&server, declared, UNKNOWN).await;
        assert_eq!(found, (declared.to_owned(), false));
        let (of_a_picture, _) = told(&server, declared, &png()).await;
        assert_eq!(of_a_picture, "image/png");
    }
}

#[tokio::test]
async fn a_claim_of_chunks_counts_like_that_of_a_single_file() {
    let server = Server::start().await;
    let user = server.user(1);
    let form = Form::chunk(0, 1, UNKNOWN).field("filetype", "Model/STL; x=y");
    let reply = user.upload(form).await.ok();
    let file = user.done(reply["file_uuid"].as_str().unwrap()).await.ok();
    assert_eq!(file["mimetype"], "model/stl");
}
