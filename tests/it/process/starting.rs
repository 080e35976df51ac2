//! Starting: the program's outputs, its requirements, and the tokens that it prints.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::http::{Multipart, Request};
use super::program::{SECRET, Server, haversack, in_shell, run, serve, token};

/// The only line on standard error of a command that can't start.
fn refusal(command: &mut Command) -> String {
    let ended = run(command);
    assert!(!ended.status.success(), "it started");
    assert_eq!(ended.stdout, "");
    let lines: Vec<_> = ended.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(lines.len(), 1, "{}", ended.stderr);
    lines[0].to_owned()
}

/// Status of a POST of a small file with this token.
fn upload_with(host: &str, token: &str) -> u16 {
    let form = Multipart::default().file("file", b"hello");
    let reply = Request::upload(form).token(token).send(host);
    reply.expect("a reply").status
}

fn token_of(command: &mut Command) -> String {
    let ended = run(command);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
    let token = ended.stdout.strip_suffix('\n').expect("a line");
    assert!(!token.contains(char::is_whitespace), "one line: {token:?}");
    token.to_owned()
}

#[test]
fn standard_output_is_one_line_and_everything_else_is_logged() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env("HAVERSACK_LOG", "trace");
    let server = Server::start(&mut command);
    let port = server.host.strip_prefix("127.0.0.1:").expect("the host asked for");
    assert_ne!(port.parse::<u16>().expect("a port"), 0);
    assert_eq!(upload_with(&server.host, &token(1)), 200);
    assert_eq!(upload_with(&server.host, "no token"), 401);
    let ended = server.stop();
    assert_eq!(ended.stdout, "", "more than one line");
    assert!(ended.stderr.contains("stopping"), "{}", ended.stderr);
}

#[test]
fn whoever_reads_the_line_can_connect_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    for _ in 0..5 {
        let server = Server::start(&mut serve(dir.path()));
        let ready = Request::new("GET", "/health/ready").send(&server.host);
        assert_eq!(ready.expect("a reply").ok(), json!({"status": "ready"}));
        server.kill();
    }
}

#[test]
fn a_port_in_use_is_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let line = refusal(serve(dir.path()).env("HAVERSACK_LISTEN", &address));
    assert!(line.contains(&address) && line.contains("in use"), "{line}");
}

#[test]
fn a_data_directory_that_can_not_be_made_is_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    for path in [file.join("data"), file, "/proc/haversack".into()] {
        let line = refusal(&mut serve(&path));
        assert!(line.contains(&path.display().to_string()), "{line}");
    }
}

#[test]
fn a_database_that_is_none_is_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = "this is no database at all. ".repeat(100);
    std::fs::write(dir.path().join("haversack.db"), text).expect("written");
    let line = refusal(&mut serve(dir.path()));
    assert!(line.contains("not a database"), "{line}");
}

#[test]
fn a_second_process_on_the_same_data_directory_is_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = Server::start(&mut serve(dir.path()));
    let line = refusal(&mut serve(dir.path()));
    assert!(line.contains("another haversack"), "{line}");
    assert_eq!(upload_with(&first.host, &token(1)), 200, "the first goes on");
    first.kill();
    Server::start(&mut serve(dir.path())).stop();
}

#[test]
fn a_second_server_on_the_same_folder_is_told_that_and_not_that_the_port_is_taken() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = Server::start(&mut serve(dir.path()));
    let line = refusal(serve(dir.path()).env("HAVERSACK_LISTEN", &first.host));
    assert!(
        line.contains("another haversack process is using it; stop that process first"),
        "{line}"
    );
    let other = tempfile::tempdir().expect("a folder");
    let data = other.path().join("data");
    let line = refusal(serve(&data).env("HAVERSACK_LISTEN", &first.host));
    assert!(line.contains(&first.host) && line.contains("in use"), "{line}");
    assert!(!data.exists(), "a start that fails at its port makes nothing");
}

#[test]
fn a_token_of_the_configured_secret_works() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let mut command = haversack(&["token", "--user-id", "5"]);
    let token = token_of(command.env("HAVERSACK_JWT_SECRET", SECRET));
    assert_eq!(upload_with(&server.host, &token), 200);
    let question = json!({ "token": token }).to_string().into_bytes();
    let reply = Request::new("POST", "/api/v2/jwt/verify_token/").body(question);
    assert_eq!(reply.send(&server.host).expect("a reply").status, 200);
}

#[test]
fn a_token_of_a_time_lives_no_longer() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let mut command = haversack(&["token", "--user-id", "5", "--ttl", "0"]);
    let token = token_of(command.env("HAVERSACK_JWT_SECRET", SECRET));
    assert_eq!(upload_with(&server.host, &token), 401);
}

#[test]
fn a_service_token_opens_what_a_users_does_not() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let mut command = haversack(&["token", "--service"]);
    let service = token_of(command.env("HAVERSACK_JWT_SECRET", SECRET));
    for (token, status) in [(service.as_str(), 200), (&token(1), 403)] {
        let request = Request::new("POST", "/api/v2/pm/files/")
            .token(token)
            .header("Content-Type", "application/json")
            .body(br#"{"uuids": []}"#.to_vec());
        assert_eq!(request.send(&server.host).expect("a reply").status, status);
    }
    assert_eq!(upload_with(&server.host, &service), 403);
}

#[test]
fn a_secret_nobody_configured_is_made_once_and_kept_from_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let own_secret = |data: &Path| {
        let mut command = serve(data);
        command.env_remove("HAVERSACK_JWT_SECRET");
        command
    };
    let print = || {
        let mut command = haversack(&["token", "--user-id", "7", "--data-dir"]);
        token_of(command.arg(dir.path()))
    };
    let server = Server::start(&mut own_secret(dir.path()));
    let path = dir.path().join("jwt-secret");
    let mode = path.metadata().expect("made").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let secret = std::fs::read_to_string(&path).expect("read");
    let digits = secret.trim_end();
    assert!(
        digits.len() == 43
            && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    );
    let first = print();
    assert_eq!(upload_with(&server.host, &first), 200);
    assert_eq!(upload_with(&server.host, &token(7)), 401, "another secret's");
    server.stop();
    let server = Server::start(&mut own_secret(dir.path()));
    assert_eq!(std::fs::read_to_string(&path).expect("read"), secret);
    assert_eq!(upload_with(&server.host, &first), 200);
}

#[test]
fn a_token_without_any_secret_is_refused_in_one_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = haversack(&["token", "--user-id", "7", "--data-dir"]);
    let line = refusal(command.arg(dir.path()));
    assert!(line.contains("HAVERSACK_JWT_SECRET"), "{line}");
    let entries = std::fs::read_dir(dir.path()).expect("listed").count();
    assert_eq!(entries, 0, "printing a token makes nothing");
}

#[test]
fn a_secret_too_short_to_be_safe_is_warned_about_and_not_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env("HAVERSACK_JWT_SECRET", "hunter2");
    let stderr = Server::start(&mut command).stop().stderr;
    assert!(stderr.contains("WARN") && stderr.contains("32 bytes"), "{stderr}");
    assert!(!stderr.contains("hunter2"), "{stderr}");
}

#[test]
fn too_few_descriptors_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let line = refusal(&mut in_shell("ulimit -n 255", &serve(&data)));
    for text in ["255", "256", "ulimit -Hn", "LimitNOFILE"] {
        assert!(line.contains(text), "{text:?} is not in {line}");
    }
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn silent_clients_block_nobody_where_descriptors_are_few() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut in_shell("ulimit -n 256", &serve(dir.path())));
    let silent: Vec<_> = (0..32).map(|_| TcpStream::connect(&server.host)).collect();
    assert_eq!(upload_with(&server.host, &token(1)), 200);
    drop(silent);
    let stderr = server.stop().stderr;
    assert!(stderr.contains("256 open files allows 42 connections"), "{stderr}");
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_as_far_as_needed() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.arg("--max-connections=100");
    let server = Server::start(&mut in_shell("ulimit -Sn 64; ulimit -Hn 1000", &command));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id()));
    let limits = limits.expect("a process");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    let soft: u64 = line.split_whitespace().nth(3).expect("a number").parse().expect("a number");
    assert_eq!(soft, 128 + 3 * 100);
    assert!(!server.stop().stderr.contains("WARN"));
}
