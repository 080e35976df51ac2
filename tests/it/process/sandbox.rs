//! Compares the system calls that `dist/haversack.service` allows with those that the server makes in a whole session.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::http::{Multipart, Request, download};
use super::program::{Server, haversack, run, serve, token, under_strace};
use super::service::values;

const PHOTO: &[u8] = include_bytes!("../../media/gps/exif.jpg");

/// The system call of this name, or those of the group, as systemd defines them.
fn calls(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let listed = run(Command::new("systemd-analyze").args(["syscall-filter", name]));
    assert!(listed.status.success(), "{}", listed.stderr);
    let members = listed.stdout.lines().skip(1).map(str::trim);
    members.filter(|line| !line.starts_with('#')).flat_map(calls).collect()
}

/// What the lines of `SystemCallFilter=` allow, in their order (systemd.exec(5)).
fn allowed() -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for line in values("SystemCallFilter") {
        let names = line.trim_start_matches('~').split_whitespace().flat_map(calls);
        if line.starts_with('~') {
            for name in names {
                allowed.remove(&name);
            }
        } else {
            allowed.extend(names);
        }
    }
    allowed
}

/// Uses everything that the server offers to clients and operators.
fn use_everything(server: &Server, data: &Path) {
    let send = |request: Request| request.token(&token(1)).send(&server.host).expect("a reply");
    let mut uuid = Value::Null;
    for (index, bytes) in PHOTO.chunks(PHOTO.len().div_ceil(2)).enumerate() {
        let form = Multipart::default().field("partindex", index).field("totalparts", 2);
        let form =
            if index > 0 { form.field("uuid", uuid.as_str().expect("a uuid")) } else { form };
        uuid = send(Request::upload(form.file("file", bytes))).ok()["file_uuid"].take();
    }
    let mut file = send(Request::done(&json!({"uuid": uuid, "filename": "photo.jpg"}))).ok();
    assert_eq!(file["metadata"], "removed");
    let path = format!("/api/v2/pm/upload/{}/", uuid.as_str().expect("a uuid"));
    while file["thumbnail"].is_null() {
        file = send(Request::new("GET", &format!("{path}file/"))).ok();
    }
    for link in [&file["url"], &file["thumbnail"]] {
        let reply = download(&server.host, link.as_str().expect("a link")).expect("a reply");
        assert_eq!(reply.status, 200);
    }
    // Enough that blocks are reserved and bytes are synced on the way.
    let large = Multipart::default().file("file", &vec![b'x'; 20 << 20]);
    send(Request::upload(large)).ok();
    send(Request::new("GET", "/api/v2/pm/upload/")).ok();
    send(Request::new("GET", "/health/ready")).ok();
    assert_eq!(send(Request::new("GET", "/")).status, 200);
    send(Request::new("DELETE", &path)).ok();
    for command in [
        &["fsck", "--repair", "--deep"][..],
        &["jobs", "retry"],
        &["rotate-link-key"],
        &["page-link"],
        &["erase", "--user-id", "1"],
    ] {
        let ended = run(haversack(command).env("HAVERSACK_DATA_DIR", data));
        assert!(ended.status.success(), "{command:?}: {}", ended.stderr);
    }
}

#[test]
fn the_unit_allows_whatever_the_server_asks_of_the_system() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, log) = (dir.path().join("data"), dir.path().join("strace.log"));
    let mut plain = serve(&data);
    plain.args(["--data-group=root", "--page"]).env("HAVERSACK_LISTEN", "0.0.0.0:0");
    let server = Server::start(&mut under_strace(&plain, &log, &[]));
    use_everything(&server, &data);
    server.stop();

    let log = std::fs::read_to_string(log).expect("written");
    let allowed = allowed();
    let mut made = BTreeSet::new();
    let families: Vec<_> = values("RestrictAddressFamilies")[0].split_whitespace().collect();
    for line in log.lines() {
        // The id of a thread, and a call; the end of an interrupted call, a signal and an exit begin differently.
        let call = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
        let Some((name, arguments)) = call.split_once('(') else { continue };
        if name.starts_with(['<', '-', '+']) {
            continue;
        }
        assert!(allowed.contains(name), "SystemCallFilter: {line}");
        let family = arguments.split(',').next().expect("one");
        assert!(name != "socket" || families.contains(&family), "RestrictAddressFamilies: {line}");
        let runs = arguments.contains("PROT_EXEC");
        let changes = name == "mprotect" || arguments.contains("PROT_WRITE");
        assert!(!(runs && changes), "MemoryDenyWriteExecute: {line}");
        made.insert(name);
    }
    for call in ["accept4", "fallocate", "fchown", "fdatasync", "fsync", "preadv2", "unlink"] {
        assert!(made.contains(call), "{call} was to be seen: {made:?}");
    }
}
