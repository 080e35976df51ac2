//! Outputs that nobody reads: pipes whose reader is gone, and full pipes. Neither harms a server or a command.

use std::io::{self, PipeReader, Write};
use std::path::Path;
use std::process::Command;

use super::http::{Multipart, Request};
use super::program::{Server, haversack, run, serve, token};
use super::stopping::{HalfSent, wait_until_refusing};

/// A pipe that is full, and stays full until its reader reads or is dropped.
fn full_pipe() -> (PipeReader, io::PipeWriter) {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut filler = writer.try_clone().expect("cloned");
    std::thread::spawn(move || while filler.write_all(&[b'x'; 4096]).is_ok() {});
    (reader, writer)
}

/// A pipe that nobody will ever read.
fn deaf_pipe() -> io::PipeWriter {
    io::pipe().expect("a pipe").1
}

/// Sends a refused request, which is logged at the highest level, and a file.
fn use_it(server: &Server) {
    let refused = Request::upload(Multipart::default().file("file", b"hello")).token("no token");
    assert_eq!(refused.send(&server.host).expect("a reply").status, 401);
    let file = Request::upload(Multipart::default().file("file", b"hello")).token(&token(1));
    file.send(&server.host).expect("a reply").ok();
    Request::new("GET", "/health/ready").send(&server.host).expect("a reply").ok();
}

/// Stops a server with a chunk in progress: the chunk is acknowledged, and the stop is an orderly one.
fn stops_in_order(server: Server) {
    let chunk = HalfSent::to(&server);
    server.terminate();
    wait_until_refusing(&server.host);
    chunk.finish();
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn a_server_whose_logs_reader_is_gone_goes_on_and_stops_in_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(serve(dir.path()).arg("--log=trace").stderr(deaf_pipe()));
    use_it(&server);
    stops_in_order(server);
}

#[test]
fn a_server_whose_log_nobody_reads_goes_on_and_stops_in_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_reader, writer) = full_pipe();
    let server = Server::start(serve(dir.path()).arg("--log=trace").stderr(writer));
    use_it(&server);
    stops_in_order(server);
}

#[test]
fn a_server_that_can_not_start_ends_though_nobody_reads_why() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_reader, writer) = full_pipe();
    for stderr in [deaf_pipe(), writer] {
        let ended = run(serve(dir.path()).arg("--listen=192.0.2.1:1").stderr(stderr));
        assert_eq!(ended.status.code(), Some(1));
    }
}

#[test]
fn a_server_whose_starter_reads_no_output_serves_all_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let (_reader, writer) = full_pipe();
    for stdout in [deaf_pipe(), writer] {
        let port = free_port();
        let mut command = serve(dir.path());
        command.env("HAVERSACK_LISTEN", format!("127.0.0.1:{port}")).stdout(stdout);
        let server = Server::start_unannounced(&mut command, &format!("127.0.0.1:{port}"));
        use_it(&server);
        stops_in_order(server);
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Runs a command with a pipe that nobody reads as output. Returns its exit code and standard error.
fn unread(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let ended = run(command(dir, arguments).stdout(deaf_pipe()));
    (ended.status.code(), ended.stderr)
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = haversack(arguments);
    command.env("HAVERSACK_DATA_DIR", dir);
    command
}

#[test]
fn a_command_whose_reader_is_gone_has_done_what_it_was_to_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut own_secret = serve(dir.path());
    Server::start(own_secret.env_remove("HAVERSACK_JWT_SECRET")).stop();
    for arguments in [
        &["fsck"][..],
        &["fsck", "--json"],
        &["fsck", "--repair"],
        &["erase", "--user-id", "7"],
        &["rotate-link-key"],
        &["token", "--user-id", "7"],
        &["--help"],
        &["--version"],
    ] {
        assert_eq!(unread(dir.path(), arguments), (Some(0), String::new()), "{arguments:?}");
    }
    let server = Server::start(&mut serve(dir.path()));
    assert_eq!(unread(dir.path(), &["page-link"]), (Some(0), String::new()));
    server.stop();
    std::fs::write(dir.path().join("blobs/01/0123456789abcdef0123456789abcdef"), "stray")
        .expect("written");
    assert_eq!(unread(dir.path(), &["fsck"]).0, Some(1), "what it found still counts");
}

#[test]
fn a_command_that_fails_says_so_by_its_code_when_nobody_reads_why() {
    let dir = tempfile::tempdir().expect("a folder");
    for (arguments, code) in
        [(&["fsck"][..], 2), (&["token", "--user-id", "7"], 1), (&["nonsense"], 2)]
    {
        let ended = run(command(&dir.path().join("missing"), arguments).stderr(deaf_pipe()));
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_result_that_can_not_be_written_is_a_failure() {
    let dir = tempfile::tempdir().expect("a folder");
    Server::start(serve(dir.path()).env_remove("HAVERSACK_JWT_SECRET")).stop();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux");
    let ended = run(command(dir.path(), &["token", "--user-id", "7"]).stdout(full));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("standard output"), "{}", ended.stderr);
}
