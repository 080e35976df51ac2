//! Metrics as Prometheus reads them, at a listener of their own.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use haversack::ids::UploadId;
use serde_json::json;

use super::http::{Multipart, Request, download};
use super::program::{Server, run, serve, token};

/// A server with metrics, and where they are.
pub(crate) fn start(command: &mut Command) -> (Server, String) {
    command.env("HAVERSACK_METRICS_LISTEN", "127.0.0.1:0");
    let server = Server::start(command);
    server.wait_for_log("metrics can be read");
    let log = server.stderr();
    let line = log.lines().find(|line| line.contains("metrics can be read")).expect("logged");
    let (_, address) = line.split_once("http://").expect("an address");
    let end = address.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
    let address = address[..end.unwrap_or(address.len())].to_owned();
    (server, address)
}

/// All metrics.
pub(crate) fn read(address: &str) -> String {
    let reply = Request::new("GET", "/metrics").send(address).expect("a reply");
    assert_eq!(reply.status, 200);
    String::from_utf8(reply.body).expect("text")
}

/// The value of one: its name, and its labels as they are written.
pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

/// The names of all metrics.
fn names(metrics: &str) -> BTreeSet<&str> {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.map(|line| line.split(' ').next().expect("a name")).collect()
}

/// Runs promtool (Debian's prometheus) with this on its standard input; gives what it says.
pub(crate) fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool is installed (Debian's prometheus)");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).expect("text"))
}

/// Uploads and finishes a file of 20 bytes in two chunks; gives its link.
fn upload(host: &str) -> String {
    let id = UploadId::random();
    for index in 0..2 {
        let form = Multipart::default().field("uuid", id).field("partindex", index);
        let form = form.field("totalparts", 2).file("file", b"0123456789");
        Request::upload(form).token(&token(1)).send(host).expect("a reply").ok();
    }
    let done = Request::done(&json!({"uuid": id.to_string()})).token(&token(1));
    let file = done.send(host).expect("a reply").ok();
    file["file_url"].as_str().expect("a link").to_owned()
}

#[test]
fn what_a_server_did_is_counted_and_promtool_finds_nothing_to_complain_about() {
    let dir = tempfile::tempdir().expect("a folder");
    let (server, address) = start(serve(dir.path()).env("HAVERSACK_MAX_STORAGE", "1GiB"));
    let url = upload(&server.host);
    download(&server.host, &url).expect("a reply");
    Request::new("GET", "/api/v2/pm/upload/").send(&server.host).expect("a reply").refusal();
    let route = "route=\"/api/v2/pm/upload\"";
    let posts = format!("haversack_http_requests_total{{method=\"POST\",{route},status=\"200\"}}");
    // A request counts once its reply has ended, which its client may notice first.
    server.wait_until("all are counted", || {
        let metrics = read(&address);
        value(&metrics, &posts) == 3.0
            && value(&metrics, "haversack_download_first_byte_seconds_count") == 1.0
            && value(&metrics, "haversack_refusals_total{code=\"not_authenticated\"}") == 1.0
    });
    let metrics = read(&address);
    for (series, expected) in [
        ("haversack_chunk_duration_seconds_count", 2.0),
        ("haversack_done_duration_seconds_count", 1.0),
        ("haversack_uploads_in_flight", 0.0),
        ("haversack_downloads_in_flight", 0.0),
        ("haversack_stored_bytes", 20.0),
        ("haversack_storage_limit_bytes", f64::from(1 << 30)),
        ("haversack_ready{check=\"files\"}", 1.0),
        ("haversack_ready{check=\"records\"}", 1.0),
        ("haversack_jobs{kind=\"expire\",state=\"set_aside\"}", 0.0),
        ("haversack_admission_wait_seconds_count{limit=\"user\"}", 3.0),
    ] {
        assert_eq!(value(&metrics, series), expected, "{series}: {metrics}");
    }
    let version = env!("CARGO_PKG_VERSION");
    let build = format!("haversack_build_info{{version=\"{version}\"}}");
    for series in [
        build.as_str(),
        "haversack_received_bytes_total",
        "haversack_sent_bytes_total",
        "haversack_disk_free_bytes{disk=\"files\"}",
        "haversack_process_resident_memory_bytes",
        "haversack_process_open_fds",
        "haversack_process_threads",
        "haversack_runtime_workers",
    ] {
        assert!(value(&metrics, series) > 0.0, "{series}: {metrics}");
    }
    assert!(names(&metrics).iter().all(|name| name.starts_with("haversack_")), "{metrics}");
    let (accepted, said) = promtool(&["check", "metrics"], &metrics);
    assert!(accepted && said.is_empty(), "{said}");
    server.stop();
}

#[test]
fn no_metric_names_a_user_an_upload_an_address_or_what_a_client_wrote() {
    let dir = tempfile::tempdir().expect("a folder");
    let (server, address) = start(&mut serve(dir.path()));
    let url = upload(&server.host);
    let uuid = url.split('/').nth(4).expect("its uuid");
    for path in ["/invented-path", "/api/v2/pm/upload/invented-uuid/", "/media/x/y?invented=1"] {
        Request::new("INVENTED", path).send(&server.host).expect("a reply");
        Request::new("GET", path).token(&token(1)).send(&server.host).expect("a reply");
    }
    let metrics = read(&address);
    for text in [uuid, "invented", "INVENTED", "127.0.0.1"] {
        assert!(!metrics.contains(text), "{text:?} is in {metrics}");
    }
    server.stop();
}

#[test]
fn metrics_are_off_by_default_and_never_where_clients_connect() {
    let dir = tempfile::tempdir().expect("a folder");
    let (server, address) = start(&mut serve(dir.path()));
    let reply = Request::new("GET", "/metrics").send(&server.host).expect("a reply");
    assert_eq!(reply.status, 404);
    for path in ["/", "/health/live", "/api/v2/pm/upload/"] {
        assert_eq!(Request::new("GET", path).send(&address).expect("a reply").status, 404);
    }
    assert_eq!(Request::new("POST", "/metrics").send(&address).expect("a reply").status, 405);
    server.stop();
    let server = Server::start(&mut serve(dir.path()));
    assert!(!server.stop().stderr.contains("metrics can be read"));
}

#[test]
fn an_address_for_metrics_that_is_taken_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let ended = run(serve(dir.path()).env("HAVERSACK_METRICS_LISTEN", &address));
    assert_eq!(ended.status.code(), Some(1));
    for text in ["--metrics-listen", &address] {
        assert!(ended.stderr.contains(text), "{text:?} is not in {}", ended.stderr);
    }
}
