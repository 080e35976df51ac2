//! The access log: which requests get a line, what it says, and that every line of a request names it.

use std::io::{Read, Write};

use haversack::ids::UploadId;
use serde_json::{Value, json};

use super::http::{Multipart, Request, connect, download};
use super::program::{Server, serve, token};

const ACCESS: &str = "haversack::access";

/// A server that logs JSON, and the folder of its data.
fn start(access_log: &str) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env("HAVERSACK_LOG_FORMAT", "json").env("HAVERSACK_ACCESS_LOG", access_log);
    (Server::start(&mut command), dir)
}

/// All lines of a log, each of which must be an object.
fn lines(log: &str) -> Vec<Value> {
    let parsed = log.lines().map(|line| {
        let parsed = serde_json::from_str(line);
        parsed.unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    parsed.collect()
}

/// The lines of the access log.
fn access(log: &str) -> Vec<Value> {
    lines(log).into_iter().filter(|line| line["target"] == ACCESS).collect()
}

fn chunk(id: UploadId, index: u32, bytes: &[u8]) -> Request {
    let form = Multipart::default().field("uuid", id).field("partindex", index);
    Request::upload(form.field("totalparts", 2).file("file", bytes)).token(&token(7))
}

#[test]
fn a_line_says_what_a_request_was_and_what_became_of_it() {
    let (server, _dir) = start("all");
    let id = UploadId::random();
    for index in 0..2 {
        chunk(id, index, b"0123456789").send(&server.host).expect("a reply").ok();
    }
    let done = Request::done(&json!({"uuid": id.to_string()})).token(&token(7));
    let file = done.send(&server.host).expect("a reply").ok();
    let url = file["file_url"].as_str().expect("a link").to_owned();
    assert_eq!(download(&server.host, &url).expect("a reply").status, 200);
    let log = server.stop().stderr;
    let access = access(&log);
    assert_eq!(access.len(), 4, "{log}");
    for (line, (method, route, operation)) in access.iter().zip([
        ("POST", "/api/v2/pm/upload", json!("chunk")),
        ("POST", "/api/v2/pm/upload", json!("chunk")),
        ("POST", "/api/v2/pm/upload", json!("done")),
        ("GET", "/media/{uuid}/{variant}", Value::Null),
    ]) {
        assert_eq!(line["method"], method);
        assert_eq!(line["route"], route);
        assert_eq!(line["operation"], operation);
        assert_eq!(line["status"], 200);
        assert_eq!(line["code"], Value::Null);
        assert_eq!(line["upload"], id.to_string());
        assert_eq!(line["peer"], "127.0.0.1");
        assert!(line["ms"].is_f64() && line["client_ms"].is_f64(), "{line}");
        assert!(line["request_id"].is_string(), "{line}");
    }
    assert_eq!(access[0]["user"], "7");
    assert_eq!(access[3]["user"], Value::Null, "a link needs no token");
    assert_eq!(access[3]["bytes_out"], 20);
    assert_eq!(access[3]["bytes_in"], 0);
    let received = access[0]["bytes_in"].as_u64().expect("a number");
    assert!((300..1000).contains(&received), "the form around ten bytes: {received}");
}

#[test]
fn a_line_says_which_upload_tus_appended_bytes_to() {
    let (server, _dir) = start("all");
    let tus = |method, path: &str| {
        Request::new(method, path).token(&token(7)).header("Tus-Resumable", "1.0.0")
    };
    let create = tus("POST", "/api/v2/tus/").header("Upload-Length", "10");
    let created = create.send(&server.host).expect("a reply");
    let id = created.header("location").and_then(|url| url.rsplit('/').next()).expect("an address");
    let patch = tus("PATCH", &format!("/api/v2/tus/{id}"))
        .header("Upload-Offset", "0")
        .header("Content-Type", "application/offset+octet-stream");
    assert_eq!(patch.body(b"0123456789".to_vec()).send(&server.host).expect("a reply").status, 204);
    let log = server.stop().stderr;
    let access = access(&log);
    assert_eq!(access.len(), 2, "{log}");
    for line in &access {
        assert_eq!((&line["upload"], &line["user"]), (&json!(id), &json!("7")), "{line}");
    }
    assert_eq!(access[1]["route"], "/api/v2/tus/{uuid}");
    assert_eq!(access[1]["operation"], "append");
    assert_eq!(access[1]["bytes_in"], 10);
}

#[test]
fn a_line_says_how_long_a_request_waited_for_its_turn_and_because_of_which_limit() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env("HAVERSACK_LOG_FORMAT", "json").arg("--max-requests-per-user=1");
    let server = Server::start(&mut command);
    let slow = chunk(UploadId::random(), 0, b"0123456789").bytes(&server.host);
    let mut sending = connect(&server.host).expect("connected");
    sending.write_all(&slow[..slow.len() - 10]).expect("sent");
    let list = Request::new("GET", "/api/v2/pm/upload/").token(&token(7));
    // Until the slow one is admitted, the list is.
    let refused = std::iter::repeat_with(|| list.send(&server.host).expect("a reply"))
        .find(|reply| reply.status != 200)
        .expect("it waits");
    assert_eq!(refused.refusal(), "too_many_requests");
    assert_eq!(refused.json()["limit"], "user");
    let log = server.kill();
    let line = access(&log).into_iter().find(|line| line["status"] == 429).expect("a line");
    assert_eq!(line["limit"], "user", "{line}");
    let (waited, all) = (line["wait_ms"].as_f64().expect("ms"), line["ms"].as_f64().expect("ms"));
    assert!((8000.0..=all).contains(&waited), "{line}");
}

#[test]
fn by_default_refused_requests_get_a_line_that_says_why_and_others_none() {
    let (server, _dir) = start("errors");
    Request::new("GET", "/health/live").send(&server.host).expect("a reply").ok();
    chunk(UploadId::random(), 0, b"abc").send(&server.host).expect("a reply").ok();
    let list = Request::new("GET", "/api/v2/pm/upload/").token("nonsense");
    let refused = list.send(&server.host).expect("a reply");
    assert_eq!(refused.status, 401);
    Request::new("GET", "/wp-login.php?password=hunter2").send(&server.host).expect("a reply");
    let log = server.stop().stderr;
    let access = access(&log);
    assert_eq!(access.len(), 2, "{log}");
    assert_eq!(access[0]["status"], 401);
    assert_eq!(access[0]["code"], "not_authenticated");
    assert_eq!(
        access[0]["reason"],
        "the access token is not a JSON web token signed with HS256 and this server's secret"
    );
    assert_eq!(access[0]["request_id"], refused.json()["request_id"]);
    assert_eq!(access[1]["route"], "unmatched");
    assert!(!log.contains("wp-login") && !log.contains("hunter2"), "{log}");
}

#[test]
fn the_log_level_hides_no_request_and_off_hides_all() {
    for (level, access_log, count) in [("error", "errors", 1), ("trace", "off", 0)] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = serve(dir.path());
        command.env("HAVERSACK_LOG", level).env("HAVERSACK_ACCESS_LOG", access_log);
        let server = Server::start(&mut command);
        Request::new("GET", "/nowhere").send(&server.host).expect("a reply");
        let log = server.stop().stderr;
        assert_eq!(log.matches("status=404 code=\"not_found\"").count(), count, "{log}");
    }
}

#[test]
fn an_operator_who_names_the_access_log_in_the_level_is_obeyed() {
    let dir = tempfile::tempdir().expect("a folder");
    let server =
        Server::start(serve(dir.path()).env("HAVERSACK_LOG", "info,haversack::access=off"));
    Request::new("GET", "/nowhere").send(&server.host).expect("a reply");
    let log = server.stop().stderr;
    assert!(!log.contains("not_found"), "{log}");
}

#[test]
fn every_line_of_a_request_has_its_id_and_that_of_its_trace() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (server, dir) = start("all");
    let id = UploadId::random();
    for index in 0..2 {
        chunk(id, index, b"0123456789").send(&server.host).expect("a reply").ok();
    }
    // Bytes that are gone fail in a task of its own, on another thread.
    let shards = std::fs::read_dir(dir.path().join("blobs")).expect("listed");
    for shard in shards.map(|shard| shard.expect("an entry").path()).filter(|path| path.is_dir()) {
        for blob in std::fs::read_dir(shard).expect("listed") {
            std::fs::remove_file(blob.expect("an entry").path()).expect("removed");
        }
    }
    let done = Request::done(&json!({"uuid": id.to_string()})).token(&token(7));
    let lost = done.header("traceparent", TRACE).send(&server.host).expect("a reply");
    assert_eq!(lost.status, 503, "{}", lost.json());
    let log = server.stop().stderr;
    let request_id = &lost.json()["request_id"];
    let its_lines: Vec<_> =
        lines(&log).into_iter().filter(|line| line["request_id"] == *request_id).collect();
    assert!(its_lines.iter().any(|line| line["level"] == "ERROR"), "{log}");
    assert!(its_lines.iter().any(|line| line["target"] == ACCESS), "{log}");
    assert!(its_lines.iter().all(|line| line["traceparent"] == TRACE), "{log}");
}

#[test]
fn a_client_that_goes_away_is_told_from_one_that_has_read_everything() {
    const SIZE: usize = 20 << 20;
    let (server, _dir) = start("all");
    let form = Multipart::default().file("file", &vec![b'a'; SIZE]);
    let stored = Request::upload(form).token(&token(7)).send(&server.host);
    let url = stored.expect("a reply").ok()["file_url"].as_str().expect("a link").to_owned();
    let path = format!("/{}", url.splitn(4, '/').nth(3).expect("an absolute link"));
    {
        let mut stream = connect(&server.host).expect("connected");
        stream.write_all(&Request::new("GET", &path).bytes(&server.host)).expect("sent");
        stream.read_exact(&mut [0; 100_000]).expect("the beginning");
    }
    server.wait_for_log("connection lost before the whole reply was sent");
    download(&server.host, &url).expect("a reply");
    let log = server.stop().stderr;
    let downloads: Vec<_> =
        access(&log).into_iter().filter(|line| line["method"] == "GET").collect();
    let sent = downloads[0]["bytes_out"].as_u64().expect("a number");
    assert!((50_000..SIZE as u64).contains(&sent), "{}", downloads[0]);
    assert_eq!(downloads[1]["bytes_out"], SIZE);
    assert_eq!(downloads[1]["message"], "request answered");
}

#[test]
fn a_client_that_goes_away_while_it_sends_leaves_a_line_too() {
    let (server, _dir) = start("all");
    let id = UploadId::random();
    let request = chunk(id, 0, &vec![b'a'; 100_000]).bytes(&server.host);
    {
        let mut stream = connect(&server.host).expect("connected");
        stream.write_all(&request[..50_000]).expect("sent");
    }
    server.wait_for_log("\"target\":\"haversack::access\"");
    let log = server.stop().stderr;
    let access = access(&log);
    assert_eq!(access.len(), 1, "{log}");
    assert_eq!(access[0]["upload"], id.to_string());
    assert_eq!(access[0]["code"], "body_incomplete");
}

#[test]
fn a_head_that_is_not_http_or_too_large_leaves_a_line_unless_the_access_log_is_off() {
    let heads = [
        ("invalid HTTP header parsed", b"GET / HTTP/1.1\r\na b: c\r\n\r\n".to_vec()),
        ("message head is too large", [b"GET / HTTP/1.1\r\na: ", &[b'a'; 300 << 10][..]].concat()),
    ];
    for (access_log, count) in [("errors", heads.len()), ("off", 0)] {
        let (server, _dir) = start(access_log);
        for (_, head) in &heads {
            let mut stream = connect(&server.host).expect("connected");
            let _ = stream.write_all(head); // the server may close the connection while it reads the head
            let _ = stream.read_to_end(&mut Vec::new());
        }
        let log = server.stop().stderr;
        let access = access(&log);
        assert_eq!(access.len(), count, "{log}");
        for (line, (reason, _)) in access.iter().zip(&heads) {
            assert_eq!(line["message"], "request head refused");
            assert_eq!(line["reason"], *reason);
            assert_eq!(line["peer"], "127.0.0.1");
            assert_eq!(line["request_id"], Value::Null);
        }
    }
}

#[test]
fn a_text_line_of_the_access_log_has_the_same_fields_in_the_same_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(serve(dir.path()).env("HAVERSACK_ACCESS_LOG", "all"));
    let id = UploadId::random();
    let reply = chunk(id, 0, b"0123456789").send(&server.host).expect("a reply");
    let request_id = reply.header("x-request-id").expect("an id").to_owned();
    let log = server.stop().stderr;
    let line = log.lines().find(|line| line.contains(ACCESS)).expect("a line");
    let mut rest = line;
    for part in [
        "Z  INFO request{request_id=\"",
        &request_id,
        "\"}: haversack::access: request answered method=\"POST\" route=\"/api/v2/pm/upload\" \
         operation=\"chunk\" status=200 ms=",
        " client_ms=",
        " bytes_in=",
        " bytes_out=",
        &format!(" user=\"7\" upload={id} peer=127.0.0.1"),
    ] {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("{part}: {line}"));
        rest = after;
    }
    assert_eq!(rest, "", "{line}");
}
