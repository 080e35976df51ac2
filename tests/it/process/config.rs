//! `haversack config` and `haversack config check`: what is in force and whence, and what would go wrong at a start.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::program::{Ended, SECRET, Server, haversack, in_shell, run, serve};

/// `haversack config` with these arguments and no settings from elsewhere.
fn config(arguments: &[&str]) -> Command {
    haversack(&[&["config"], arguments].concat())
}

/// `haversack config check` of a server on a free port and this data directory.
fn check(data_dir: &Path) -> Command {
    let mut command = config(&["check", "--listen=127.0.0.1:0", "--data-dir"]);
    command.arg(data_dir).env("HAVERSACK_JWT_SECRET", SECRET);
    command
}

/// The line of an option.
fn line<'a>(ended: &'a Ended, option: &str) -> &'a str {
    let line = ended.stdout.lines().find(|line| line.starts_with(&format!("{option} = ")));
    line.unwrap_or_else(|| panic!("{option} is not in {}{}", ended.stdout, ended.stderr))
}

/// That a check found this, and nothing else.
fn assert_found(command: &mut Command, expected: &[&str]) {
    let ended = run(command);
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    for text in expected {
        assert!(ended.stdout.contains(text), "{text:?} is not in {}", ended.stdout);
    }
}

#[test]
fn each_value_is_printed_with_where_it_comes_from() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("haversack.toml");
    let text =
        "max_parts = 7\nupload_ttl = \"1d 12h\"\nmax_chunk_size = 1024\nuser_quota = \"5GB\"\n";
    std::fs::write(&file, text).expect("written");
    let mut command = config(&["--max-file-size", "5G", "--config"]);
    command.arg(&file).env("HAVERSACK_MAX_CHUNK_SIZE", "2m");
    let ended = run(&mut command);
    for (option, value, whence) in [
        ("max_file_size", "\"5GiB\"", "# flag"),
        ("max_chunk_size", "\"2MiB\"", "# variable HAVERSACK_MAX_CHUNK_SIZE"),
        ("max_parts", "7", "haversack.toml, line 1"),
        ("upload_ttl", "\"1d 12h\"", "haversack.toml, line 2"),
        ("user_quota", "\"5GB\"", "haversack.toml, line 4"),
        ("max_fields", "64", "# default"),
        ("cors_origins", "\"*\"", "# default"),
    ] {
        let line = line(&ended, option);
        let (entry, comment) = line.split_at(line.find('#').expect("a comment"));
        assert_eq!(entry.trim_end(), format!("{option} = {value}"));
        assert!(comment.contains(whence), "{line}");
    }
}

#[test]
fn without_a_file_none_is_named() {
    let printed = run(&mut config(&[])).stdout;
    let line = printed.lines().find(|line| line.starts_with("# config")).expect("a line");
    assert!(line.ends_with("# default: no file"), "{line}");
}

#[test]
fn an_empty_path_is_called_that() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, "data_dir = \"\"\n").expect("written");
    for (command, name) in [
        (config(&[]).env("HAVERSACK_CONFIG", ""), "HAVERSACK_CONFIG"),
        (config(&[]).env("HAVERSACK_DATA_DIR", ""), "HAVERSACK_DATA_DIR"),
        (config(&["--config"]).arg(file.path()), "data_dir"),
    ] {
        let ended = run(command);
        let expected = format!("invalid value '' for {name}: it must not be empty");
        assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    }
}

#[test]
fn secrets_are_not_printed() {
    let ended = run(config(&[]).env("HAVERSACK_JWT_SECRET", SECRET));
    assert!(!ended.stdout.contains(SECRET));
    assert!(
        ended.stdout.contains("# variable HAVERSACK_JWT_SECRET, not shown"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_is_printed_is_a_configuration_file_that_sets_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = config(&["--page", "yes", "--trusted-proxies=10.0.0.0/8,192.168.0.0/16"]);
    let values = |ended: &Ended| -> Vec<String> {
        let entries = ended.stdout.lines().filter(|line| !line.starts_with('#'));
        entries.map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect()
    };
    let printed = run(&mut command);
    let file = dir.path().join("haversack.toml");
    std::fs::write(&file, &printed.stdout).expect("written");
    let again = run(config(&["--config"]).arg(&file));
    assert_eq!(values(&again), values(&printed), "{}", again.stderr);
    assert!(values(&again).len() > 30, "{}", again.stdout);
}

#[test]
fn a_start_in_which_nothing_would_go_wrong_is_told_and_nothing_is_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let ended = run(&mut check(&dir.path().join("new/data")));
    assert_eq!(ended.status.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "no problems found\n");
    assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 0);
}

#[test]
fn each_thing_that_would_go_wrong_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let mut port = config(&["check", "--listen", &address, "--data-dir"]);
    port.arg(&data).env("HAVERSACK_JWT_SECRET", SECRET);
    assert_found(&mut port, &["error: ", "can't listen on", &address]);
    assert_found(&mut check(&file), &["error: ", "not a directory"]);
    assert_found(&mut check(Path::new("/proc/haversack")), &["error: ", "/proc/haversack"]);
    let missing = dir.path().join("missing.toml");
    assert_found(check(&data).arg("--config").arg(&missing), &["error: ", "missing.toml"]);
    assert_found(check(&data).arg("--data-group=no-such-group"), &["no group", "no-such-group"]);
    assert_found(check(&data).env("HAVERSACK_LOG", "loud"), &["error: ", "loud"]);
    assert_found(check(&data).env("HAVERSACK_JWT_SECRET", "short"), &["warning: ", "32 bytes"]);
    assert_found(
        check(&data).env("HAVERSACK_MAX_FILE_SISE", "1"),
        &[
            "warning: unknown variable HAVERSACK_MAX_FILE_SISE",
            "did you mean HAVERSACK_MAX_FILE_SIZE?",
        ],
    );
    assert_found(
        check(&data).arg("--user-rate=1"),
        &["warning: --user-rate no longer has any effect"],
    );
    assert_found(&mut in_shell("ulimit -n 256", &check(&data)), &["warning: ", "42 connections"]);
    assert_found(&mut in_shell("ulimit -n 255", &check(&data)), &["error: ", "255 files"]);
    assert_found(check(&data).arg("--min-free-space=1000000T"), &["--min-free-space"]);
    assert!(!data.exists(), "a check makes nothing");
}

#[test]
fn a_check_beside_the_running_server_is_one_for_its_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let listen = format!("--listen={}", server.host);
    let mut command = config(&["check", &listen, "--data-dir"]);
    command.arg(dir.path()).env("HAVERSACK_JWT_SECRET", SECRET);
    let ended = run(&mut command);
    assert_eq!(ended.status.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with("note: ") && lines[0].contains("is using it"), "{}", lines[0]);
    assert_eq!(lines[1..], ["no problems found"]);
    command.env("HAVERSACK_JWT_SECRET", "short");
    assert_eq!(run(&mut command).status.code(), Some(1), "what is wrong is found all the same");
    server.stop();
}

#[test]
fn every_wrong_setting_is_listed_not_only_the_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("haversack.toml");
    std::fs::write(&file, "max-file-size = 1\nmax_parts = 0\nlog = \"info\"\n").expect("written");
    let ended =
        run(check(dir.path()).env("HAVERSACK_BODY_TIMEOUT", "soon").arg("--config").arg(&file));
    assert_eq!(ended.status.code(), Some(1));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ended.stdout);
    assert!(lines[0].contains("HAVERSACK_BODY_TIMEOUT"), "{}", lines[0]);
    assert!(lines[1].contains("line 1: unknown key max-file-size; did you mean max_file_size?"));
    assert!(lines[2].contains("line 2") && lines[2].contains("at least 1"), "{}", lines[2]);
}
