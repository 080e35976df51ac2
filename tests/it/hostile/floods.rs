//! Multipart bodies designed to be expensive: refused within limits on memory and processor time.

use std::time::Duration;

use super::wire::{flood, said_to_all};
use crate::harness::{self, Form, Refused};
use crate::measured::figures;
use crate::process::program::{Server, serve, token};

/// How much a flood may add to the memory of a server that has already handled requests.
const MEMORY: u64 = 4 << 20;
/// Processor time that a flood of 64 MiB may take, in a debug build.
const CPU: Duration = Duration::from_secs(10);

fn head(content_type: &str, length: u64) -> String {
    format!(
        "POST /api/v2/pm/upload/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n",
        token(1)
    )
}

/// Sends `start`, and then `piece` repeatedly, at most one gigabyte.
fn flooded(server: &Server, start: &str, piece: &[u8]) -> u64 {
    let head = head("multipart/form-data; boundary=b", 1 << 30) + start;
    let (said, sent) = flood(&server.host, head.as_bytes(), piece, 1 << 30);
    assert!(matches!(said.statuses[..], [400 | 413]), "{said:?}");
    sent
}

#[test]
fn floods_are_refused_with_bounded_memory_and_time() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut serve(data.path()));
    let ordinary = |part: &str| format!("--b\r\n{part}\r\n\r\nvalue\r\n");
    let named = ordinary("Content-Disposition: form-data; name=\"a\"");
    let long = ordinary(&format!(
        "Content-Disposition: form-data; name=\"a\"\r\nX: {}",
        "x".repeat(10 << 10)
    ));
    let lines = format!("--b\r\n{}", "a: b\r\n".repeat(100_000));
    let nested = ordinary(
        "Content-Disposition: form-data; name=\"a\"\r\nContent-Type: multipart/mixed; boundary=b",
    );
    let floods: [(&str, &str, Vec<u8>); 9] = [
        ("a million parts", "", named.repeat(1000).into_bytes()),
        ("long heads", "", long.repeat(10).into_bytes()),
        ("heads without end", &lines, "a: b\r\n".repeat(10_000).into_bytes()),
        ("a preamble", "", vec![b'a'; 64 << 10]),
        ("a preamble of line ends", "", b"\r\n--".repeat(16 << 10)),
        ("CR alone", "", vec![b'\r'; 64 << 10]),
        ("LF alone", "--b\n", vec![b'\n'; 64 << 10]),
        ("an epilogue", "--b--\r\n", vec![b'a'; 64 << 10]),
        ("parts within parts", "", nested.repeat(1000).into_bytes()),
    ];
    flooded(&server, "", &vec![b'a'; 64 << 10]); // once, to allocate its buffers
    let (mut grew, mut took) = (0, Duration::ZERO);
    for (what, start, piece) in floods {
        let (before, mut sent) = (server.cpu_time(), 0);
        let grown = server.grows_by(|| sent = flooded(&server, start, &piece));
        let used = server.cpu_time() - before;
        (grew, took) = (grew.max(grown), took.max(used));
        assert!(sent < 128 << 20, "{what}: {sent} bytes were read");
        assert!(grown < MEMORY, "{what}: {grown} bytes of memory");
        assert!(used < CPU, "{what}: {used:?}");
    }
    figures(format_args!("floods take at most {} KiB and {took:?} of the processor", grew >> 10));
}

/// The form of a done may contain files, which are skipped.
#[test]
fn what_a_done_carries_is_skipped_in_bounded_memory() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut serve(data.path()));
    let start = "--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n";
    let done =
        head("multipart/form-data; boundary=b", 1 << 30).replace("upload/ ", "upload/?done ");
    let sent = 96 << 20;
    let grown = server.grows_by(|| {
        let (said, _) = flood(&server.host, (done + start).as_bytes(), &[b'a'; 64 << 10], sent);
        assert!(matches!(said.statuses[..], [] | [400]), "it ended early: {said:?}");
    });
    assert!(grown < MEMORY, "{grown} bytes of memory");
}

#[test]
fn a_form_cut_anywhere_leaves_no_file() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&mut serve(data.path()));
    let form = "--b\r\nContent-Disposition: form-data; name=\"filename\"\r\n\r\na.txt\r\n--b\r\n\
                Content-Disposition: form-data; name=\"file\"; filename=\"b.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nsome bytes\r\n--b--";
    let sent = |length: usize, body: &str| {
        let head = head("multipart/form-data; boundary=b", length as u64);
        said_to_all(&server.host, format!("{head}{body}").as_bytes())
    };
    for end in 0..form.len() {
        let said = sent(form.len(), &form[..end]); // the connection breaks
        assert!(matches!(said.statuses[..], [] | [400]), "{end}: {said:?}");
        let said = sent(end, &form[..end]); // the client sends no more
        assert_eq!(said.statuses, [400], "{end}: {said:?}");
    }
    let list = format!(
        "GET /api/v2/pm/upload/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        token(1)
    );
    let listed = said_to_all(&server.host, list.as_bytes());
    assert!(listed.text.contains(r#""results":[]"#), "{listed:?}");
    assert_eq!(sent(form.len(), form).statuses, [200], "whole, it is good");
}

/// The refusal of this body, after checking that nothing of it was stored.
async fn refusal(content_type: &str, body: &[u8]) -> Refused {
    let server = harness::Server::start().await;
    let user = server.user(1);
    let request = user.request(http::Method::POST, harness::UPLOAD);
    let request = request.header("content-type", content_type).body(body.to_vec());
    let reply = user.send(request).await;
    let (status, shown) = (reply.status, String::from_utf8_lossy(body).into_owned());
    assert!(status == 400 || status == 415, "{status}: {shown}");
    let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let error = &json["errors"][0];
    let code = error["code"].as_str().or(error["messages"][0]["code"].as_str()).unwrap().to_owned();
    assert_eq!(user.list("").await.ok()["results"], serde_json::json!([]), "{shown}");
    reply.refused(status.as_u16(), &code)
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_two_readers_would_read_in_two_ways_are_refused() {
    let part = |head: &str| format!("--b\r\n{head}\r\n\r\nabc\r\n--b--\r\n");
    let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a\"";
    for body in [
        part("Content-Disposition: form-data"),
        part("Content-Disposition: form-data; name=\"\""),
        part("Content-Disposition: form-data; name=\"file\"; name=\"uuid\""),
        part("Content-Disposition: form-data; name=\"file\"; filename=\"a\"; filename=\"b\""),
        part("Content-Disposition: attachment; name=\"file\""),
        part("Content-Disposition: form-data; name=\"fi\0le\""),
        part("Content-Disposition: form-data;\r\n name=\"file\""),
        part(&format!("{file}\r\n{file}")),
        part(&format!("{file}\r\nContent-Transfer-Encoding: base64")),
        part("X: y"),
        part(file).replace("\r\n", "\r"),
        part(file).replace("\r\n", "\n"),
        part(file).replace("--b--", "--b-"),
        part(file).replace("--b\r\n", "--bb\r\n"),
        part(file).replace("--b\r\n", "--b x\r\n"),
        part(file).replace("--b--\r\n", ""),
        "\r\n".to_owned(),
        "--b--\r\n".to_owned(),
        "--b".to_owned(),
        "\0".repeat(1000),
    ] {
        refusal("multipart/form-data; boundary=b", body.as_bytes()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn boundaries_that_two_readers_would_read_in_two_ways_are_refused() {
    let body = |boundary: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc\r\n--{boundary}--\r\n"
        )
    };
    for (content_type, boundary) in [
        ("multipart/form-data; boundary=a; boundary=b", "a"),
        ("multipart/form-data; boundary=a; boundary=b", "b"),
        ("multipart/form-data; boundary=", ""),
        ("multipart/form-data; boundary=\"\"", ""),
        ("multipart/form-data; boundary=\"a", "a"),
        ("multipart/form-data; boundary=a b", "a b"),
        ("multipart/form-data", "a"),
        ("multipart/mixed; boundary=a", "a"),
    ] {
        refusal(content_type, body(boundary).as_bytes()).await;
    }
    let long = "a".repeat(1000);
    refusal(&format!("multipart/form-data; boundary={long}"), body(&long).as_bytes()).await;
}

/// A part whose bytes contain what looks like the end of the form, with another boundary, is complete.
#[tokio::test]
async fn bytes_that_look_like_a_boundary_are_bytes() {
    let server = harness::Server::start().await;
    let user = server.user(1);
    let bytes =
        "--b\r\n\r\n--b--\r\n\r\n------haversack-test-boundar\r\n------haversack-test-boundary";
    let file = user.upload(Form::single(bytes.replace("boundary", "boundarz"))).await.ok();
    assert_eq!(user.contents(&file).await, bytes.replace("boundary", "boundarz"));
}
