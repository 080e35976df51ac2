//! `haversack jobs`, beside a running server and without one.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::{Multipart, Request};
use super::program::{Server, haversack, run, serve, token};

const PICTURE: &[u8] = include_bytes!("../../media/samples/picture.jpg");

/// The output of `haversack jobs` with these arguments.
fn jobs(data: &Path, arguments: &[&str]) -> String {
    let mut command = haversack(&[&["jobs"], arguments].concat());
    let ended = run(command.env("HAVERSACK_DATA_DIR", data));
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stdout
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The jobs of this kind, as JSON.
fn of_kind(data: &Path, kind: &str) -> Vec<Value> {
    let lines = jobs(data, &["--json"]);
    let jobs = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    jobs.filter(|job| job["kind"] == kind).collect()
}

#[test]
fn a_picture_that_ends_the_process_three_times_is_set_aside_until_the_operator_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut dying = serve(dir.path());
    dying.env("HAVERSACK_CRASH_AT", "DrawingBegun:1");
    let mut server = Server::start(&mut dying);
    let form = Multipart::default().file("file", PICTURE);
    // The server dies before it replies, or right after.
    let _ = Request::upload(form).token(&token(1)).send(&server.host);
    wait_for("the server dies of the picture", || !server.is_running());
    for _ in 2..=3 {
        let ended = run(&mut dying);
        assert!(!ended.status.success(), "it dies again");
        let said = "running a job again: the process ended while it ran";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }

    let server = Server::start(&mut serve(dir.path()));
    wait_for("the job is set aside", || {
        of_kind(dir.path(), "thumbnail").first().is_some_and(|job| job["set_aside"] == true)
    });
    let job = of_kind(dir.path(), "thumbnail").remove(0);
    assert_eq!((&job["deaths"], &job["running"]), (&Value::from(3), &Value::from(false)));
    let line = jobs(dir.path(), &[]);
    let id = job["id"].as_str().expect("an id");
    assert!(line.contains(&format!("{id} thumbnail set aside: the process ended")), "{line}");
    let upload = job["upload"].as_str().expect("an upload");
    assert!(line.contains(&format!("(upload {upload} of user 1)")), "{line}");
    let log = server.stderr();
    assert!(log.contains("the previous server was not shut down cleanly"), "{log}");
    assert!(log.contains("set a job aside") && log.contains(&format!("upload={upload}")), "{log}");

    assert_eq!(jobs(dir.path(), &["retry", id]), "1 job will be retried\n");
    wait_for("the thumbnail is made", || of_kind(dir.path(), "thumbnail").is_empty());
    server.stop();
    assert_eq!(jobs(dir.path(), &["retry"]), "0 jobs will be retried\n");
    let log = Server::start(&mut serve(dir.path())).stop().stderr;
    assert!(!log.contains("not shut down cleanly"), "{log}");
}
