//! `haversack rotate-link-key`, beside a running server and without one.

use std::path::Path;
use std::process::Command;

use super::http::{Multipart, Request};
use super::program::{Server, haversack, run, serve, token};

fn rotate(data: &Path, arguments: &[&str]) -> Command {
    let mut command = haversack(&["rotate-link-key"]);
    command.args(arguments).env("HAVERSACK_DATA_DIR", data);
    command
}

/// Stores a file. Returns the path of its link.
fn store(server: &Server) -> String {
    let form = Multipart::default().file("file", b"some bytes");
    let reply = Request::upload(form).token(&token(1)).send(&server.host).expect("a reply");
    let url = reply.ok()["file_url"].as_str().expect("a link").to_owned();
    url.strip_prefix(&format!("http://{}", server.host)).expect("our own").to_owned()
}

fn status(server: &Server, path: &str) -> u16 {
    Request::new("GET", path).send(&server.host).expect("a reply").status
}

#[test]
fn links_of_the_old_key_go_on_as_long_as_it_was_said() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let old = store(&server);
    server.stop();
    let ended = run(&mut rotate(dir.path(), &[]));
    assert!(ended.status.success(), "{}", ended.stderr);

    let server = Server::start(&mut serve(dir.path()));
    let new = store(&server);
    let key =
        |path: &str| path.split("key=").nth(1).expect("a key").split('&').next().map(str::to_owned);
    assert_ne!(key(&new), key(&old));
    assert_eq!((status(&server, &old), status(&server, &new)), (200, 200));
    server.stop();
    let ended = run(&mut rotate(dir.path(), &["--accept-old-for", "0"]));
    assert!(ended.status.success(), "{}", ended.stderr);
    let server = Server::start(&mut serve(dir.path()));
    assert_eq!((status(&server, &old), status(&server, &new)), (403, 403));
}

#[test]
fn a_key_is_rotated_beside_a_running_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let old = store(&server);
    let ended = run(&mut rotate(dir.path(), &["--accept-old-for", "0"]));
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stdout.contains("new key"), "{}", ended.stdout);
    assert_eq!(status(&server, &old), 403, "at once");
    assert_eq!(status(&server, &store(&server)), 200);
}

#[test]
fn there_must_be_something_to_rotate() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("nothing");
    let ended = run(&mut rotate(&data, &[]));
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("no server has used it yet"), "{}", ended.stderr);
    assert!(!data.exists(), "asking makes nothing");
}
