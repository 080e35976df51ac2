//! What an operator finds out about a running server: the lines of its start, `haversack status`, `haversack health`,
//! and more lines in its log.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::{Multipart, Request};
use super::program::{Ended, SECRET, Server, haversack, run, serve, token};

/// A command beside the server of this data directory.
fn beside(dir: &Path, arguments: &[&str]) -> Ended {
    run(haversack(arguments).env("HAVERSACK_DATA_DIR", dir))
}

fn ok(ended: &Ended) -> &str {
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    &ended.stdout
}

#[test]
fn the_start_says_what_runs_where_and_with_which_options() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env("HAVERSACK_PUBLIC_URL", "https://somebody:hunter2@media.example");
    let server = Server::start(command.args(["--max-parts=77", "--page"]));
    let host = server.host.clone();
    let log = server.stop().stderr;
    let data = dir.path().to_str().expect("UTF-8");
    for text in [
        env!("CARGO_PKG_VERSION"),
        host.as_str(),
        data,
        "secret for tokens from=\"variable HAVERSACK_JWT_SECRET\"",
        "max_parts=77 (flag)",
        "public_url=https://media.example (variable HAVERSACK_PUBLIC_URL)",
        "jwt_secret=… (variable HAVERSACK_JWT_SECRET)",
        "the page is on: `haversack page-link` prints a link that opens it url=\"https://media.example\"",
    ] {
        assert!(log.contains(text), "{text:?} is not in {log}");
    }
    assert!(!log.contains(SECRET) && !log.contains("hunter2"), "{log}");
    assert!(!log.contains("max_chunk_size"), "it has its default: {log}");
    let lines = log.lines().take_while(|line| !line.contains("stopping"));
    assert!(lines.into_iter().all(|line| line.contains(" INFO ")), "{log}");
}

#[test]
fn the_start_says_where_a_secret_of_its_own_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env_remove("HAVERSACK_JWT_SECRET");
    let log = Server::start(&mut command).stop().stderr;
    let path = dir.path().join("jwt-secret");
    assert!(log.contains(&format!("file {}, created by the server", path.display())), "{log}");
}

#[test]
fn status_says_how_a_server_is_and_what_went_wrong() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let form = Multipart::default().file("file", b"0123456789");
    Request::upload(form).token(&token(1)).send(&server.host).expect("a reply").ok();
    let text = beside(dir.path(), &["status"]);
    for words in
        [env!("CARGO_PKG_VERSION"), &server.host, "10 bytes", "none were logged", "expire: "]
    {
        assert!(ok(&text).contains(words), "{words:?} is not in {}", text.stdout);
    }
    // A disk that is not there.
    std::fs::remove_file(dir.path().join("blobs/store-id")).expect("removed");
    Request::new("GET", "/health/ready").send(&server.host).expect("a reply").refusal();
    let form = Multipart::default().file("file", b"0123456789");
    Request::upload(form).token(&token(1)).send(&server.host).expect("a reply");
    let json = beside(dir.path(), &["status", "--json"]);
    let status: Value = serde_json::from_str(ok(&json)).expect("JSON");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["listen"], server.host.as_str());
    assert_eq!(status["stored_bytes"], 10);
    assert!(status["uptime_secs"].is_u64() && status["uploads_in_flight"].is_i64(), "{status}");
    assert!(status["ready"]["files"].is_string(), "{status}");
    assert_eq!(status["ready"]["records"], Value::Null);
    assert!(status["disks"][0]["free_bytes"].is_u64(), "{status}");
    assert!(status["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty()), "{status}");
    server.kill();
    let without = beside(dir.path(), &["status"]);
    assert_eq!(without.status.code(), Some(1));
    assert!(without.stderr.contains("no server is running"), "{}", without.stderr);
}

#[test]
fn health_is_exit_code_0_only_while_uploads_are_taken() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let asked = |host: &str| {
        run(haversack(&["health"])
            .env("HAVERSACK_DATA_DIR", dir.path())
            .env("HAVERSACK_LISTEN", host))
    };
    assert_eq!(ok(&asked(&server.host)), "ready\n");
    assert_eq!(ok(&asked("127.0.0.1:0")), "ready\n", "the server knows its port");
    std::fs::remove_file(dir.path().join("blobs/store-id")).expect("removed");
    let unready = asked(&server.host);
    assert_eq!(unready.status.code(), Some(1));
    assert!(unready.stderr.contains("not mounted"), "{}", unready.stderr);
    let host = server.host.clone();
    server.kill();
    for host in [host.as_str(), "127.0.0.1:0"] {
        assert_eq!(asked(host).status.code(), Some(1));
    }
}

/// Longer than the answers may take, on a busy machine too, and shorter than the wait for the database.
const BOUND: Duration = Duration::from_secs(9);

#[test]
fn while_another_program_locks_the_database_the_server_says_so_in_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let (server, metrics) = super::metrics::start(&mut serve(dir.path()));
    let other = rusqlite::Connection::open(dir.path().join("haversack.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let in_time = |what: &str, ask: &dyn Fn()| {
        let begun = Instant::now();
        ask();
        assert!(begun.elapsed() < BOUND, "{what} took {:?}", begun.elapsed());
    };
    in_time("metrics", &|| {
        let metrics = super::metrics::read(&metrics);
        assert!(metrics.contains("haversack_ready{check=\"records\"} 0"), "{metrics}");
        assert!(metrics.contains("haversack_ready{check=\"files\"} 1"), "{metrics}");
    });
    in_time("readiness", &|| {
        let unready = Request::new("GET", "/health/ready").send(&server.host).expect("a reply");
        let message = unready.message();
        assert!(message.contains("another program holds the database"), "{message}");
    });
    in_time("health", &|| {
        let health = beside(dir.path(), &["health"]);
        assert!(health.stderr.contains("another program holds the database"), "{}", health.stderr);
    });
    in_time("status", &|| {
        let status = beside(dir.path(), &["status"]);
        assert!(ok(&status).contains("another program holds the database"), "{}", status.stdout);
    });
    let form = Multipart::default().file("file", b"0123456789");
    let refused = Request::upload(form).token(&token(1)).send(&server.host).expect("a reply");
    assert_eq!(refused.refusal(), "internal");
    let said = "another program has locked the database";
    server.wait_for_log(said);
    let log = server.stderr();
    assert!(!log.contains("database is locked: database is locked"), "{log}");
    server.wait_for_log(" database_ms=");
    other.execute_batch("ROLLBACK").expect("released");
    server.wait_until("it is ready again", || {
        let ready = Request::new("GET", "/health/ready").send(&server.host).expect("a reply");
        ready.status == 200
    });
    server.stop();
}

#[test]
fn health_asks_the_server_of_the_data_directory_wherever_it_listens() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    assert_eq!(ok(&beside(dir.path(), &["health"])), "ready\n");
    server.stop();
}

#[test]
fn readiness_says_what_is_not_ready() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let ask = || Request::new("GET", "/health/ready").send(&server.host).expect("a reply");
    assert_eq!(ask().ok(), serde_json::json!({"status": "ready"}));
    std::fs::remove_file(dir.path().join("blobs/store-id")).expect("removed");
    let unready = ask();
    assert_eq!(unready.refusal(), "not_ready");
    let checks = &unready.json()["checks"];
    assert!(checks["files"].as_str().expect("why").contains("not mounted"), "{checks}");
    assert_eq!(checks["records"], "ready");
    server.stop();
}

#[test]
fn the_log_level_changes_while_the_server_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(serve(dir.path()).env("HAVERSACK_LOG", "warn"));
    let wrong = beside(dir.path(), &["log-level", "loud"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stderr.contains("\"loud\" is not a level"), "{}", wrong.stderr);
    let set = beside(dir.path(), &["log-level", "warn,haversack=debug"]);
    assert_eq!(ok(&set), "the server logs warn,haversack=debug\n");
    server.wait_for_log("filter=\"warn,haversack=debug\"");
    let set = beside(dir.path(), &["log-level"]);
    assert_eq!(ok(&set), "the server logs warn\n");
    // The same without a command: there and back.
    server.signal("USR1");
    server.wait_for_log("filter=\"debug\"");
    server.signal("USR1");
    let unchanged = || beside(dir.path(), &["log-level", "info"]);
    ok(&unchanged());
    server.wait_for_log("filter=\"info\"");
    server.stop();
}
