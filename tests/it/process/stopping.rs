//! Stopping: after SIGTERM, requests in progress finish, within the time limit.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use haversack::ids::UploadId;

use super::http::{Multipart, Request, connect, receive};
use super::program::{Server, hearing_hangups, in_shell, serve, token};

/// A chunk whose first half the server has received.
pub(super) struct HalfSent {
    id: String,
    stream: TcpStream,
    rest: Vec<u8>,
}

impl HalfSent {
    /// Sends half of a chunk and waits until the server is writing it.
    pub(super) fn to(server: &Server) -> Self {
        let id = UploadId::random().to_string();
        let form = Multipart::default()
            .field("uuid", &id)
            .field("partindex", 0)
            .field("totalparts", 2)
            .field("chunksize", 100_000)
            .file("file", &[b'x'; 100_000]);
        let mut bytes = Request::upload(form).token(&token(1)).bytes(&server.host);
        let rest = bytes.split_off(bytes.len() - 50_000);
        let mut stream = connect(&server.host).expect("connected");
        stream.write_all(&bytes).expect("sent");
        // The upload is on record from its chunk's first byte.
        while status(&server.host, &id).is_none() {
            std::thread::yield_now();
        }
        Self { id, stream, rest }
    }

    /// Sends the rest and waits until the chunk is acknowledged.
    pub(super) fn finish(mut self) {
        self.stream.write_all(&self.rest).expect("sent");
        let reply = receive(self.stream).expect("a reply").ok();
        assert_eq!(reply["file_uuid"], self.id);
    }
}

/// The indexes received, or `None` if the upload is unknown.
fn status(host: &str, id: &str) -> Option<serde_json::Value> {
    let request = Request::new("GET", &format!("/api/v2/pm/upload/{id}/"));
    let reply = request.token(&token(1)).send(host).expect("a reply");
    (reply.status == 200).then(|| reply.json()["parts"].clone())
}

/// Waits until the server accepts no more connections.
pub(super) fn wait_until_refusing(host: &str) {
    while TcpStream::connect(host).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn a_chunk_in_flight_is_finished_and_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let chunk = HalfSent::to(&server);
    let id = chunk.id.clone();
    server.terminate();
    server.wait_for_log("stopping");
    wait_until_refusing(&server.host);
    chunk.finish();
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let server = Server::start(&mut serve(dir.path()));
    let parts = status(&server.host, &id).expect("known");
    assert_eq!(parts, serde_json::json!([[0, 0]]));
}

#[test]
fn a_stalled_request_holds_up_the_stop_no_longer_than_allowed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    let server = Server::start(command.arg("--shutdown-timeout=1s"));
    let chunk = HalfSent::to(&server);
    let asked = Instant::now();
    server.terminate();
    let ended = server.wait();
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}: it had a second to finish");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("cut off"), "{}", ended.stderr);
    assert!(receive(chunk.stream).is_err(), "it was not acknowledged");
    let server = Server::start(&mut serve(dir.path()));
    let parts = status(&server.host, &chunk.id).expect("known");
    assert_eq!(parts, serde_json::json!([]), "and nothing of it counts");
}

#[test]
fn idle_connections_do_not_hold_up_the_stop() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let silent = connect(&server.host).expect("connected");
    let mut kept = connect(&server.host).expect("connected");
    let head = "GET /health/live HTTP/1.1\r\nHost: haversack\r\n\r\n";
    kept.write_all(head.as_bytes()).expect("sent");
    receive(kept.try_clone().expect("cloned")).expect("a reply").ok();
    let asked = Instant::now();
    let ended = server.stop();
    assert!(asked.elapsed() < Duration::from_secs(10), "{}", ended.stderr);
    drop((silent, kept));
}

#[test]
fn an_interrupt_stops_it_in_order_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    server.signal("INT");
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn after_an_orderly_stop_the_log_of_the_database_is_empty() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let form = Multipart::default().file("file", b"hello");
    let reply = Request::upload(form).token(&token(1)).send(&server.host);
    reply.expect("a reply").ok();
    server.stop();
    let log = dir.path().join("haversack.db-wal").metadata();
    assert_eq!(log.map_or(0, |log| log.len()), 0);
}

#[test]
fn a_hangup_stops_it_in_order_too() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut hearing_hangups(&serve(dir.path())));
    let chunk = HalfSent::to(&server);
    server.signal("HUP");
    server.wait_for_log("stopping");
    wait_until_refusing(&server.host);
    server.signal("HUP"); // sent when a terminal is closed, and by the system
    chunk.finish();
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn a_hangup_that_its_starter_had_ignored_stays_ignored() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut in_shell("trap '' HUP", &serve(dir.path())));
    server.signal("HUP");
    let health = Request::new("GET", "/health/live").send(&server.host);
    health.expect("a reply").ok();
    let ended = server.stop();
    assert_eq!(
        ended.stderr.matches("stopping").count(),
        1,
        "by the second signal: {}",
        ended.stderr
    );
}

#[test]
fn a_second_signal_stops_it_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("HUP", "TERM")] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut command = hearing_hangups(&serve(dir.path()));
        let server = Server::start(command.arg("--shutdown-timeout=1h"));
        let chunk = HalfSent::to(&server);
        server.signal(first);
        server.wait_for_log("stopping: waiting for requests in progress");
        server.signal(second);
        let ended = server.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("stopping at once"), "{}", ended.stderr);
        assert!(receive(chunk.stream).is_err(), "it was not acknowledged");
    }
}
