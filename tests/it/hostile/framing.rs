//! Where one request ends and the next begins: ambiguous requests are refused or answered alone, and nothing after them
//! is taken for a request (RFC 9112, sections 6 and 11.2).

use super::wire::{Said, flood, said, said_to_all};
use crate::process::program::{Server, serve, token};

/// The request that a smuggler wants to have answered. Its reply is recognised by its status.
const SECOND: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

struct Trial {
    server: Server,
    /// A request whose body must be read: whether this token is valid.
    verify: String,
    body: String,
    _data: tempfile::TempDir,
}

impl Trial {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(&mut serve(data.path()));
        let verify = "POST /api/v2/jwt/verify_token/ HTTP/1.1\r\nHost: localhost\r\n".to_owned();
        let body = format!(r#"{{"token": "{}"}}"#, token(1));
        Self { server, verify, body, _data: data }
    }

    /// The replies to a token check with these header lines and this body, followed by a second request.
    fn asked(&self, lines: &str, body: &str) -> Said {
        said(&self.server.host, self.request(lines, body).as_bytes())
    }

    fn request(&self, lines: &str, body: &str) -> String {
        format!("{}{lines}\r\n{body}{SECOND}", self.verify)
    }

    /// The body in one HTTP chunk.
    fn chunked(&self) -> String {
        format!("{:x}\r\n{}\r\n0\r\n\r\n", self.body.len(), self.body)
    }
}

fn refused(what: &str, said: &Said) {
    assert!(matches!(said.statuses[..], [400 | 413 | 431 | 501]), "{what}: {said:?}");
}

#[test]
fn a_sound_request_leaves_the_connection_to_the_next() {
    let trial = Trial::new();
    let length = trial.body.len();
    for (lines, body) in [
        (format!("Content-Length: {length}\r\n"), trial.body.clone()),
        (format!("Content-Length: 0{length} \r\n"), trial.body.clone()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), trial.chunked()),
        ("transfer-encoding:\tCHUNKED\r\n".to_owned(), trial.chunked()),
    ] {
        assert_eq!(trial.asked(&lines, &body).statuses, [200, 404], "{lines}");
    }
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    let trial = Trial::new();
    let right = trial.body.len();
    for length in [
        "-1".to_owned(),
        format!("+{right}"),
        format!("0x{right:x}"),
        format!("{right}.0"),
        format!("{right}, {right}"),
        format!("{right} {right}"),
        format!("{right}\x0B"),
        "\u{ff15}".to_owned(),
        String::new(),
        "99999999999999999999".to_owned(),
        u64::MAX.to_string(),
        format!("1{}", "0".repeat(1000)),
    ] {
        let said = trial.asked(&format!("Content-Length: {length}\r\n"), &trial.body);
        refused(&length, &said);
    }
}

#[test]
fn two_different_lengths_are_refused() {
    let trial = Trial::new();
    let right = trial.body.len();
    for (first, second) in [(right, right + 1), (right + 1, right), (0, right), (right, 0)] {
        let lines = format!("Content-Length: {first}\r\nContent-Length: {second}\r\n");
        refused(&lines, &trial.asked(&lines, &trial.body));
    }
}

/// RFC 9112, section 6.1: the request may be handled by its chunks alone, and the connection must end. The length never
/// counts.
#[test]
fn with_a_length_beside_its_chunks_a_request_is_the_last() {
    let trial = Trial::new();
    let (whole, smuggled) = (trial.chunked(), format!("0\r\n\r\n{SECOND}"));
    let (chunked, length) =
        ("Transfer-Encoding: chunked\r\n", format!("Content-Length: {}\r\n", whole.len()));
    for lines in [format!("{chunked}{length}"), format!("{length}{chunked}")] {
        let said = trial.asked(&lines, &whole);
        assert!(matches!(said.statuses[..], [200 | 400]), "{lines}: {said:?}");
        refused(&lines, &trial.asked(&lines, &smuggled));
    }
}

#[test]
fn a_transfer_encoding_other_than_chunked_is_refused() {
    let trial = Trial::new();
    for coding in [
        "identity",
        "gzip",
        "xchunked",
        "chunkedx",
        "chunked, identity",
        "chunked, gzip",
        "gzip, chunked",
        "chunked, chunked",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "identity\r\nTransfer-Encoding: chunked",
        "\x0Bchunked",
        "chunked;q=1",
        "\"chunked\"",
        "",
    ] {
        let said = trial.asked(&format!("Transfer-Encoding: {coding}\r\n"), &trial.chunked());
        refused(coding, &said);
    }
}

#[test]
fn header_lines_that_others_read_otherwise_are_refused() {
    let trial = Trial::new();
    let right = trial.body.len();
    for lines in [
        format!("X: a\r\n folded\r\nContent-Length: {right}\r\n"),
        format!("Content-Length:\r\n {right}\r\n"),
        format!("Content-Length : {right}\r\n"),
        format!(" Content-Length: {right}\r\n"),
        format!("X: a\0b\r\nContent-Length: {right}\r\n"),
        format!("X: a\rContent-Length: {right}\r\n\r\n"),
        format!("Bad Name: x\r\nContent-Length: {right}\r\n"),
        format!("Content-Length: {right}\r\nno colon\r\n"),
        format!("Content-Length: {right}\r\n: no name\r\n"),
    ] {
        refused(&lines, &trial.asked(&lines, &trial.body));
    }
}

/// RFC 9112, section 2.2, allows LF alone as a line end. A proxy in front of this server must also see one request,
/// because the next one begins where the length says.
#[test]
fn a_head_whose_lines_end_in_lf_alone_is_one_request() {
    let trial = Trial::new();
    let length = format!("Content-Length: {}\n", trial.body.len());
    let request = format!("{}{length}\n{}{SECOND}", trial.verify.replace('\r', ""), trial.body);
    assert_eq!(said(&trial.server.host, request.as_bytes()).statuses, [200, 404]);
}

#[test]
fn chunks_that_are_not_framed_as_they_should_be_are_refused() {
    let trial = Trial::new();
    let (body, size) = (&trial.body, format!("{:x}", trial.body.len()));
    let end = "\r\n0\r\n\r\n";
    for chunks in [
        format!("-{size}\r\n{body}{end}"),
        format!("+{size}\r\n{body}{end}"),
        format!("0x{size}\r\n{body}{end}"),
        format!("g\r\n{body}{end}"),
        format!("\r\n{body}{end}"),
        format!("1{size:0>16}\r\n{body}{end}"),
        format!("ffffffffffffffff\r\n{body}{end}"),
        format!("{size}\n{body}{end}"),
        format!("{size}\r{body}{end}"),
        format!("{size};a\nb\r\n{body}{end}"),
        format!("{size};{}\r\n{body}{end}", "a".repeat(100_000)),
        format!("{size}\r\n{body}\n0\r\n\r\n"),
        format!("1\r\n{body}{end}"),
        format!("{size}\r\n{body}\r\n0\r\n{}\r\n", "a: b\r\n".repeat(10_000)),
        format!("{size}\r\n{body}\r\n0\r\nno colon\r\n\r\n"),
    ] {
        let request = trial.request("Transfer-Encoding: chunked\r\n", &chunks);
        let said = said_to_all(&trial.server.host, request.as_bytes());
        let shown = &chunks[..chunks.len().min(100)];
        // An error after the body's bytes may be found when the reply has already been sent.
        assert!(matches!(said.statuses[..], [] | [200 | 400]), "{shown:?}: {said:?}");
    }
}

#[test]
fn extensions_and_trailers_of_chunks_mean_nothing() {
    let trial = Trial::new();
    let (body, size) = (&trial.body, format!("{:x}", trial.body.len()));
    for chunks in [
        format!("{size};a=b;c=\"d\"\r\n{body}\r\n0\r\n\r\n"),
        format!("{size}\r\n{body}\r\n0\r\nContent-Length: 5\r\nHost: evil.example\r\n\r\n"),
        format!("000000{size}\r\n{body}\r\n0\r\n\r\n"),
    ] {
        let said = trial.asked("Transfer-Encoding: chunked\r\n", &chunks);
        assert_eq!(said.statuses, [200, 404], "{chunks}");
    }
}

/// RFC 9112, section 3.2. Links may contain the host, and a proxy may have read another one.
#[test]
fn a_request_without_exactly_one_host_is_refused() {
    let trial = Trial::new();
    for hosts in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nX: y\r\nHost: a\r\n"] {
        let request = format!("GET /health/live HTTP/1.1\r\n{hosts}\r\n{SECOND}");
        refused(hosts, &said(&trial.server.host, request.as_bytes()));
    }
    let old = b"GET /health/live HTTP/1.0\r\n\r\n";
    let said = said(&trial.server.host, old);
    assert!(said.text.starts_with("HTTP/1.0 200"), "there was no such header yet: {said:?}");
}

#[test]
fn other_versions_and_no_http_at_all_are_not_answered_as_requests() {
    let trial = Trial::new();
    for start in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        "GET / HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}",
        "\0\0\0\0",
        "ééé / HTTP/1.1\r\n\r\n",
    ] {
        let said = said(&trial.server.host, format!("{start}{SECOND}").as_bytes());
        assert!(matches!(said.statuses[..], [] | [400]), "{start:?}: {said:?}");
    }
}

#[test]
fn an_upgrade_is_not_taken() {
    let trial = Trial::new();
    let request = format!(
        "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n{SECOND}"
    );
    assert_eq!(said(&trial.server.host, request.as_bytes()).statuses, [200, 404]);
}

#[test]
fn floods_of_headers_are_refused() {
    let trial = Trial::new();
    for lines in [
        "a: b\r\n".repeat(101),
        "a: b\r\n".repeat(100_000),
        format!("a: {}\r\n", "b".repeat(4 << 20)),
        format!("{}: b\r\n", "a".repeat(100_000)),
    ] {
        let request = format!("GET /health/live HTTP/1.1\r\nHost: x\r\n{lines}\r\n{SECOND}");
        refused(&lines[..20], &said_to_all(&trial.server.host, request.as_bytes()));
    }
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n{SECOND}", "a".repeat(100_000));
    assert_eq!(said_to_all(&trial.server.host, path.as_bytes()).statuses, [414]);
}

#[test]
fn a_length_above_every_limit_is_refused_without_waiting_for_the_body() {
    let trial = Trial::new();
    let user = format!("Authorization: Bearer {}\r\n", token(1));
    for (path, content_type) in [
        ("upload/", "multipart/form-data; boundary=x"),
        ("upload/?done", "application/json"),
        ("upload/?done", "application/x-www-form-urlencoded"),
        ("upload/", "application/x-www-form-urlencoded"),
    ] {
        let request = format!(
            "POST /api/v2/pm/{path} HTTP/1.1\r\nHost: x\r\n{user}Content-Type: {content_type}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            i64::MAX
        );
        let said = said_to_all(&trial.server.host, request.as_bytes());
        assert_eq!(said.statuses, [413], "{path} {content_type}: {said:?}");
    }
}

#[test]
fn an_endless_body_is_refused_and_left() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(serve(data.path()).env("HAVERSACK_MAX_FILE_SIZE", "1MiB"));
    let user = format!("Authorization: Bearer {}\r\n", token(1));
    let chunked = "Transfer-Encoding: chunked\r\n";
    let piece = format!("10000\r\n{}\r\n", "a".repeat(0x1_0000));
    for (path, content_type, begin) in [
        (
            "upload/",
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n",
        ),
        ("upload/?done", "application/json", " "),
        ("upload/?done", "multipart/form-data; boundary=x", "\r\n"),
        ("upload/", "application/x-www-form-urlencoded", "a"),
    ] {
        let head = format!(
            "POST /api/v2/pm/{path} HTTP/1.1\r\nHost: x\r\n{user}Content-Type: {content_type}\r\n\
             {chunked}\r\n{:x}\r\n{begin}\r\n",
            begin.len()
        );
        let (said, sent) = flood(&server.host, head.as_bytes(), piece.as_bytes(), 1 << 30);
        assert!(matches!(said.statuses[..], [400 | 413]), "{path} {content_type}: {said:?}");
        assert!(sent < 128 << 20, "{sent} bytes were taken");
    }
}
