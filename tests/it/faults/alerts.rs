//! The causes of the alerts in dist/alerts.yml, provoked one by one: each shows in a metric that an alert watches, and
//! in a line of the log.

use haversack::ids::UploadId;
use serde_json::{Value, json};

use super::journal::Class;
use super::promises::Level;
use super::rig::{Failure, Rig, SYNC, UNLINK, WRITE};
use crate::process::http::{Multipart, Reply, Request};
use crate::process::metrics::{read, start, value};
use crate::process::program::{SECRET, Server, haversack, run, serve, token, under_strace};

// errno (asm-generic/errno.h).
const EIO: u32 = 5;

/// A server whose files can be made to fail, and where its metrics are.
fn on(rig: &Rig) -> (Server, String) {
    let mut command = rig.command();
    command.env("HAVERSACK_JWT_SECRET", SECRET).env("HAVERSACK_LOG_FORMAT", "json");
    start(&mut command)
}

fn failing(operations: u32, class: Class) -> Failure {
    Failure { operations, classes: vec![class], error: EIO, forever: true, after: 0 }
}

fn send(server: &Server, bytes: &[u8]) -> Reply {
    let form = Multipart::default().file("file", bytes);
    Request::upload(form).token(&token(1)).send(&server.host).expect("a reply")
}

/// Waits until a metric is at least so much.
fn wait_for(server: &Server, metrics: &str, series: &str, least: f64) {
    server.wait_until(series, || value(&read(metrics), series) >= least);
}

/// The lines in the log in which these members have these values.
fn lines(server: &Server, members: &[(&str, Value)]) -> Vec<Value> {
    let log = server.stderr();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| members.iter().all(|(name, value)| line[name] == *value)).collect()
}

fn wait_for_line(server: &Server, members: &[(&str, Value)]) -> Value {
    server.wait_until(&format!("{members:?}"), || !lines(server, members).is_empty());
    lines(server, members).remove(0)
}

#[test]
fn a_full_disk_is_seen() {
    let rig = Rig::on_volume(16 << 10, 4096);
    let (server, metrics) = on(&rig);
    let refused = (0..100).map(|_| send(&server, &vec![b'a'; 1 << 20])).find(|it| it.status != 200);
    let refused = refused.expect("it is full");
    assert_eq!(refused.refusal(), "storage_full");
    wait_for(&server, &metrics, "haversack_refusals_total{code=\"storage_full\"}", 1.0);
    let text = read(&metrics);
    let kept = value(&text, "haversack_disk_kept_free_bytes");
    let free = value(&text, "haversack_disk_free_bytes{disk=\"files\"}");
    assert!(free < kept + f64::from(1 << 20), "{free} of {kept}");
    let line = wait_for_line(&server, &[("code", json!("storage_full"))]);
    assert_eq!(line["request_id"], refused.json()["request_id"]);
    assert_eq!(line["status"], 507);
    server.stop();
}

#[test]
fn a_disk_without_inodes_is_seen_and_punishes_nobody_afterwards() {
    let rig = Rig::on_volume(16 << 10, 0);
    let mut command = rig.command();
    command.env("HAVERSACK_JWT_SECRET", SECRET).env("HAVERSACK_LOG_FORMAT", "json");
    let (server, metrics) = start(command.args(["--max-unfinished=1", "--user-quota=1000"]));
    let first = || {
        let form = Multipart::default().field("uuid", UploadId::random()).field("partindex", 0);
        let form = form.field("totalparts", 2).field("totalfilesize", 1000).file("file", b"bytes");
        Request::upload(form).token(&token(1)).send(&server.host).expect("a reply")
    };
    let filler = rig.use_up_inodes();
    for _ in 0..3 {
        assert_eq!(first().refusal(), "storage_full");
    }
    let line = wait_for_line(&server, &[("code", json!("storage_full"))]);
    assert!(line["reason"].as_str().expect("why").contains("no inodes are left"), "{line}");
    let unready = Request::new("GET", "/health/ready").send(&server.host).expect("a reply");
    assert!(unready.message().contains("no inodes"), "{}", unready.message());
    assert_eq!(value(&read(&metrics), "haversack_disk_free_inodes{disk=\"files\"}"), 0.0);
    let mut check = haversack(&["config", "check"]);
    let check = run(check
        .env("HAVERSACK_DATA_DIR", rig.data_dir())
        .env("HAVERSACK_MIN_FREE_SPACE", "0")
        .env("HAVERSACK_JWT_SECRET", SECRET));
    assert!(check.stdout.contains("no inodes left"), "{}{}", check.stdout, check.stderr);
    assert_eq!(check.status.code(), Some(1));
    drop(filler);
    first().ok();
    server.stop();
}

#[test]
fn a_store_that_fails_is_seen() {
    let rig = Rig::new(Level::Finish);
    let (server, metrics) = on(&rig);
    rig.fail(&failing(WRITE, Class::Blob));
    let failed = send(&server, b"some bytes");
    assert_eq!(failed.refusal(), "internal");
    wait_for(&server, &metrics, "haversack_storage_errors_total{operation=\"write\"}", 1.0);
    wait_for(&server, &metrics, "haversack_refusals_total{code=\"internal\"}", 1.0);
    let failure = [("message", json!("request failed")), ("level", json!("ERROR"))];
    let line = wait_for_line(&server, &failure);
    assert_eq!(line["request_id"], failed.json()["request_id"]);
    assert!(line["error"].as_str().expect("why").contains("os error 5"), "{line}");
    rig.heal();
    server.stop();
}

#[test]
fn a_database_that_fails_is_seen() {
    let rig = Rig::new(Level::Finish);
    let (server, metrics) = on(&rig);
    rig.fail(&failing(WRITE | SYNC, Class::Log));
    assert_eq!(send(&server, b"some bytes").refusal(), "internal");
    wait_for(&server, &metrics, "haversack_database_errors_total{operation=\"write\"}", 1.0);
    wait_for_line(&server, &[("message", json!("request failed"))]);
    rig.heal();
    server.stop();
}

#[test]
fn a_job_that_is_stuck_is_seen() {
    let rig = Rig::new(Level::Finish);
    let (server, metrics) = on(&rig);
    let file = send(&server, b"some bytes").ok();
    rig.fail(&failing(UNLINK, Class::Blob));
    let path = format!("/api/v2/pm/upload/{}/", file["uuid"].as_str().expect("a uuid"));
    Request::new("DELETE", &path).token(&token(1)).send(&server.host).expect("a reply");
    wait_for(&server, &metrics, "haversack_job_failures_total{kind=\"delete\"}", 1.0);
    wait_for(&server, &metrics, "haversack_job_oldest_due_seconds{kind=\"delete\"}", 1.0);
    let failed = [("message", json!("job failed")), ("kind", json!("delete"))];
    let line = wait_for_line(&server, &failed);
    assert!(line["error"].as_str().expect("why").contains("os error 5"), "{line}");
    rig.heal();
    server.stop();
}

#[test]
fn a_slow_disk_is_seen() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut plain = serve(&dir.path().join("data"));
    plain.env("HAVERSACK_LOG_FORMAT", "json").env("HAVERSACK_METRICS_LISTEN", "127.0.0.1:0");
    // Every sync takes 0.6 s more: those of the file and of its folder, and that of the database's log.
    let delay = ["-e", "trace=fsync", "-e", "inject=fsync:delay_enter=600000"];
    let (server, metrics) = start(&mut under_strace(&plain, &dir.path().join("calls"), &delay));
    send(&server, b"some bytes").ok();
    let line = wait_for_line(&server, &[("target", json!("haversack::access"))]);
    assert_eq!((&line["status"], &line["operation"]), (&json!(200), &json!("file")));
    let (ms, client_ms) = (line["ms"].as_f64().expect("ms"), line["client_ms"].as_f64());
    assert!(ms - client_ms.expect("ms") >= 1000.0, "{line}");
    let text = read(&metrics);
    for (name, fast) in [("sync", "1"), ("commit", "0.5")] {
        let within = |le: &str| {
            value(&text, &format!("haversack_{name}_duration_seconds_bucket{{le=\"{le}\"}}"))
        };
        assert!(within("+Inf") > within(fast), "{name}: {text}");
    }
    server.kill();
}

#[test]
fn refused_tokens_are_seen() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    let (server, metrics) = start(command.env("HAVERSACK_LOG_FORMAT", "json"));
    let path = format!("/api/v2/pm/upload/{}/", UploadId::random());
    let altered = format!("{}x", token(1));
    for _ in 0..5 {
        let refused = Request::new("GET", &path).token(&altered).send(&server.host);
        assert_eq!(refused.expect("a reply").status, 401);
    }
    wait_for(&server, &metrics, "haversack_refusals_total{code=\"not_authenticated\"}", 5.0);
    let line = wait_for_line(&server, &[("code", json!("not_authenticated"))]);
    assert!(line["reason"].as_str().expect("why").contains("secret"), "{line}");
    server.stop();
}
