//! `haversack fsck` and `haversack erase`, beside a running server and without one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::http::{Multipart, Request, download};
use super::program::{Ended, Server, haversack, run, serve, token, without_privileges};

fn beside(data: &Path, arguments: &[&str]) -> Command {
    let mut command = haversack(arguments);
    command.env("HAVERSACK_DATA_DIR", data);
    command
}

/// The report of fsck, and its exit code.
fn fsck(data: &Path, arguments: &[&str]) -> (Value, i32) {
    let Ended { status, stdout, stderr } =
        run(&mut beside(data, &[&["fsck", "--json"], arguments].concat()));
    assert_eq!(stderr, "");
    (serde_json::from_str(&stdout).expect("a report"), status.code().expect("it ended"))
}

fn store(server: &Server, user: i64, bytes: &[u8]) -> Value {
    let form = Multipart::default().file("file", bytes);
    Request::upload(form).token(&token(user)).send(&server.host).expect("a reply").ok()
}

/// Begins an upload of two chunks and sends the first.
fn begin(server: &Server, user: i64) -> String {
    let form = Multipart::default().field("partindex", 0).field("totalparts", 2);
    let reply =
        Request::upload(form.file("file", b"a chunk")).token(&token(user)).send(&server.host);
    reply.expect("a reply").ok()["file_uuid"].as_str().expect("a uuid").to_owned()
}

/// The stored blobs of this content.
fn blobs_of(data: &Path, content: &[u8]) -> Vec<PathBuf> {
    let entries = |path: &Path| {
        let entries = std::fs::read_dir(path).expect("listed");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    let shards = entries(&data.join("blobs")).into_iter().filter(|path| path.is_dir());
    let blobs = shards.flat_map(|shard| entries(&shard));
    blobs.filter(|blob| std::fs::read(blob).expect("read") == content).collect()
}

fn blob_of(data: &Path, content: &[u8]) -> PathBuf {
    let found = blobs_of(data, content);
    assert_eq!(found.len(), 1);
    found[0].clone()
}

fn kinds(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("a list").iter();
    let mut kinds: Vec<&str> = findings.map(|f| f["kind"].as_str().expect("a kind")).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn what_agrees_is_clean_with_and_without_a_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    store(&server, 1, b"some bytes");
    store(&server, 1, include_bytes!("../../media/gps/exif.jpg"));
    begin(&server, 1);
    for arguments in [&[][..], &["--deep"], &["--repair", "--deep"]] {
        let (report, code) = fsck(dir.path(), arguments);
        assert_eq!((&report["clean"], code), (&json!(true), 0), "{report}");
        assert_eq!(report["files"], 3, "two files and a thumbnail");
        assert_eq!(report["unfinished"], 1);
    }
    server.stop();
    for arguments in [&[][..], &["--deep"], &["--repair"]] {
        let (report, code) = fsck(dir.path(), arguments);
        assert_eq!((&report["clean"], code), (&json!(true), 0), "{report}");
    }
}

#[test]
fn every_difference_is_found_and_what_can_be_is_mended() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path();
    let server = Server::start(&mut serve(data));
    let missing = store(&server, 1, b"a file whose bytes go");
    store(&server, 1, b"a file of which a part goes");
    store(&server, 1, b"a file that grows");
    let flipped = store(&server, 1, b"a file in which a bit flips");
    let unfinished = begin(&server, 1);
    server.stop();
    std::fs::remove_file(blob_of(data, b"a file whose bytes go")).expect("removed");
    std::fs::write(blob_of(data, b"a file of which a part goes"), b"a file").expect("cut");
    std::fs::write(blob_of(data, b"a file that grows"), b"a file that grows longer")
        .expect("grown");
    std::fs::write(blob_of(data, b"a file in which a bit flips"), b"a fiLe in which a bit flips")
        .expect("flipped");
    std::fs::write(blob_of(data, b"a chunk"), b"a chUnk").expect("flipped");
    std::fs::write(data.join("blobs/00/00000000000000000000000000000000"), b"x").expect("strayed");

    let (report, code) = fsck(data, &[]);
    assert_eq!(kinds(&report), ["missing-bytes", "missing-bytes", "stray-bytes", "wrong-size"]);
    assert_eq!((code, &report["clean"]), (1, &json!(false)));
    let (report, code) = fsck(data, &["--deep"]);
    let all = [
        "lost-parts",
        "missing-bytes",
        "missing-bytes",
        "stray-bytes",
        "wrong-checksum",
        "wrong-size",
    ];
    assert_eq!((kinds(&report), code), (all.to_vec(), 1));
    let text = run(&mut beside(data, &["fsck"])).stdout;
    assert!(text.contains(missing["uuid"].as_str().expect("a uuid")), "{text}");
    assert!(text.contains("0 of 21 bytes left"), "{text}");
    let (again, _) = fsck(data, &["--deep"]);
    assert_eq!(again, report, "looking changes nothing");

    // Young strays are left alone: with a server they may be on their way.
    let old = std::time::SystemTime::now() - std::time::Duration::from_hours(3);
    let stray = std::fs::File::open(data.join("blobs/00/00000000000000000000000000000000"));
    stray.expect("there").set_modified(old).expect("made old");
    let server = Server::start(&mut serve(data));
    let (report, code) = fsck(data, &["--deep", "--repair"]);
    assert_eq!((kinds(&report), code), (vec!["wrong-checksum", "wrong-size"], 1));
    assert_eq!(report["repaired"], 4);
    let gone = Request::new(
        "GET",
        &format!("/api/v2/pm/upload/{}/file/", missing["uuid"].as_str().expect("a uuid")),
    );
    assert_eq!(gone.token(&token(1)).send(&server.host).expect("a reply").status, 410);
    let status = Request::new("GET", &format!("/api/v2/pm/upload/{unfinished}/")).token(&token(1));
    let status = status.send(&server.host).expect("a reply").ok();
    assert_eq!(status["parts"], json!([]), "to be sent again");
    let link =
        flipped["file_url"].as_str().expect("a link").split("/media/").nth(1).expect("a path");
    let served = download(&server.host, &format!("http://{}/media/{link}", server.host));
    assert_eq!(served.expect("a reply").status, 200, "what merely differs is left");
}

/// A data directory with that many files, of which all but one are gone.
fn files_gone(count: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    for number in 0..count {
        store(&server, 1, format!("file {number}").as_bytes());
    }
    server.stop();
    for number in 1..count {
        let blob = blob_of(dir.path(), format!("file {number}").as_bytes());
        std::fs::remove_file(blob).expect("removed");
    }
    dir
}

#[test]
fn many_files_missing_at_once_are_given_up_only_on_request() {
    let dir = files_gone(12);
    for with_server in [true, false] {
        let server = with_server.then(|| Server::start(&mut serve(dir.path())));
        let refused = run(&mut beside(dir.path(), &["fsck", "--repair"]));
        assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
        for words in ["11 of 12 files", "mounted", "--even-if-many-are-missing"] {
            assert!(refused.stderr.contains(words), "{words:?} is not in {}", refused.stderr);
        }
        let (report, code) = fsck(dir.path(), &[]);
        assert_eq!((kinds(&report).len(), code), (11, 1), "nothing was given up");
        drop(server);
    }
    // The second is the flag's name in 0.1.0.
    for flag in ["--even-if-many-are-missing", "--even-if-most-are-missing"] {
        let dir = files_gone(12);
        let (report, code) = fsck(dir.path(), &["--repair", flag]);
        assert_eq!((&report["repaired"], code), (&json!(11), 0), "{report}");
    }
}

#[test]
fn a_few_missing_files_are_given_up_at_once() {
    let dir = files_gone(11);
    let (report, code) = fsck(dir.path(), &["--repair"]);
    assert_eq!((&report["repaired"], code), (&json!(10), 0), "{report}");
}

#[test]
fn nobody_can_look_at_files_on_a_disk_that_is_not_mounted() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let (blobs, away) = (dir.path().join("blobs"), dir.path().join("away"));
    store(&server, 1, b"some bytes");
    std::fs::rename(&blobs, &away).expect("moved");
    std::fs::create_dir(&blobs).expect("made");
    for arguments in [&["fsck"][..], &["fsck", "--deep"], &["fsck", "--repair"]] {
        let ended = run(&mut beside(dir.path(), arguments));
        assert_eq!(ended.status.code(), Some(2), "{} {}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("mounted"), "{}", ended.stderr);
    }
    std::fs::remove_dir(&blobs).expect("removed");
    std::fs::rename(&away, &blobs).expect("moved");
    server.stop();
    assert_eq!(fsck(dir.path(), &["--deep"]).1, 0);
}

#[test]
fn every_flipped_bit_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let content = b"thirty-two bytes that are stored";
    store(&server, 1, content);
    server.stop();
    let blob = blob_of(dir.path(), content);
    for bit in (0..content.len() * 8).step_by(37) {
        let mut flipped = content.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&blob, flipped).expect("written");
        let (report, code) = fsck(dir.path(), &["--deep"]);
        assert_eq!((kinds(&report), code), (vec!["wrong-checksum"], 1));
    }
}

#[test]
fn nobody_can_look_where_no_server_ever_ran() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("nothing");
    for folder in [&data, dir.path()] {
        for (arguments, code) in [
            (&["fsck"][..], 2),
            (&["fsck", "--repair"], 2),
            (&["erase", "--user-id", "7"], 1),
            (&["rotate-link-key"], 1),
            (&["page-link"], 1),
            (&["jobs"], 1),
            (&["jobs", "retry"], 1),
        ] {
            let ended = run(&mut beside(folder, arguments));
            assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
            let expected = format!(
                "haversack: data directory {}: no server has used it yet",
                folder.display()
            );
            assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
        }
    }
    let made = std::fs::read_dir(dir.path()).expect("listed").count();
    assert_eq!(made, 0, "looking makes nothing");
}

#[test]
fn who_may_not_look_into_a_data_directory_is_told_that() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    Server::start(&mut serve(&data)).stop();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o000)).expect("closed");
    for (arguments, code) in
        [(&["fsck"][..], 2), (&["jobs"], 1), (&["rotate-link-key"], 1), (&["page-link"], 1)]
    {
        let ended = run(&mut without_privileges(&beside(&data, arguments)));
        let expected = format!(
            "haversack: data directory {}: permission denied: run this as the user that runs the server",
            data.display()
        );
        assert_eq!(ended.stderr.trim_end(), expected, "{arguments:?}");
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}");
    }
    let token = run(&mut without_privileges(&beside(&data, &["token", "--user-id=7"])));
    assert!(token.stderr.contains("run this as the user that runs the server"), "{}", token.stderr);
}

#[test]
fn one_of_a_thing_has_no_plural_and_times_have_a_unit() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let told = |arguments: &[&str]| run(&mut beside(dir.path(), arguments)).stdout;
    store(&server, 7, b"x");
    std::fs::write(blob_of(dir.path(), b"x"), "").expect("cut");
    let report = told(&["fsck"]);
    for words in ["0 of 1 byte left", "1 file and 0 unfinished uploads, 1 byte", "1 finding; "] {
        assert!(report.contains(words), "{words:?} is not in {report}");
    }
    assert!(told(&["fsck", "--repair"]).contains("1 finding repaired"));
    store(&server, 7, b"x");
    begin(&server, 7);
    let report = told(&["erase", "--user-id", "7"]);
    let expected = "user 7: removed 1 file with 0 thumbnails and 1 unfinished upload, 8 bytes";
    assert!(report.starts_with(expected), "{report}");
    for (time, words) in [
        ("172800", "work for another 48 h"),
        ("8d", "work for another 8 d"),
        ("90", "work for another 1 min 30 s"),
        ("0", "no longer work"),
    ] {
        let report = told(&["rotate-link-key", "--accept-old-for", time]);
        assert!(report.contains(words), "{report}");
    }
    let log = server.stop().stderr;
    for command in ["fsck --repair", "erase --user-id 7", "rotate-link-key --accept-old-for 48 h"] {
        assert!(log.contains(&format!("control command: {command}")), "{log}");
    }
}

/// Debug text is for whoever writes the program, not for whoever runs or calls it.
#[test]
fn no_log_line_and_no_message_is_made_of_debug_text() {
    let mut files = vec![];
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("listed") {
            let path = entry.expect("an entry").path();
            let is_code = path.extension().is_some_and(|extension| extension == "rs");
            match path.file_name().and_then(|name| name.to_str()) {
                Some("tests" | "tests.rs") => {}
                // It compares names of points, and shows none.
                Some("crash.rs") => {}
                _ if path.is_dir() => folders.push(path),
                _ if is_code => files.push(path),
                _ => {}
            }
        }
    }
    assert!(files.len() > 50, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let code = text.split("#[cfg(test)]\nmod tests").next().expect("a first part");
        for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.contains("//")) {
            let field = line.split([' ', '(']).any(|word| {
                let name = word.rsplit('=').next().unwrap_or(word).strip_prefix('?');
                name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
            });
            let is_query = line.contains("?done");
            let debug = line.contains(":?}") || line.contains(":#?}") || (field && !is_query);
            assert!(!debug, "{}:{}: {line}", file.display(), number + 1);
        }
    }
}

#[test]
fn everything_of_a_person_is_removed_and_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    for with_server in [true, false] {
        let server = Server::start(&mut serve(dir.path()));
        let file = store(&server, 7, include_bytes!("../../media/gps/exif.jpg"));
        store(&server, 7, b"some bytes");
        begin(&server, 7);
        let other = store(&server, 8, b"of somebody else");
        let service = super::program::service_token();
        let attach = json!({"uuids": [file["uuid"]], "attach": true}).to_string();
        let attach = Request::new("POST", "/api/v2/pm/files/")
            .header("Content-Type", "application/json")
            .body(attach.into_bytes())
            .token(&service);
        attach.send(&server.host).expect("a reply").ok();
        let erase = || run(&mut beside(dir.path(), &["erase", "--user-id", "7", "--json"]));
        let (ended, server) = if with_server {
            (erase(), server)
        } else {
            server.stop();
            (erase(), Server::start(&mut serve(dir.path())))
        };
        assert!(ended.status.success(), "{}", ended.stderr);
        let size = 10 + 7 + include_bytes!("../../media/gps/exif.jpg").len();
        let expected = json!({"files": 2, "thumbnails": 1, "unfinished": 1, "bytes": size});
        assert_eq!(serde_json::from_str::<Value>(&ended.stdout).expect("JSON"), expected);
        let path = |file: &Value| {
            let link = file["file_url"].as_str().expect("a link");
            format!("/media/{}", link.split("/media/").nth(1).expect("a path"))
        };
        let status =
            |file| Request::new("GET", &path(file)).send(&server.host).expect("a reply").status;
        assert_eq!((status(&file), status(&other)), (410, 200));
        assert!(blobs_of(dir.path(), b"some bytes").is_empty());
        let again = run(&mut beside(dir.path(), &["erase", "--user-id", "7"]));
        assert!(again.stdout.starts_with("user 7: removed 0 files"), "{}", again.stdout);
        let other = other["uuid"].as_str().expect("a uuid");
        let delete =
            Request::new("DELETE", &format!("/api/v2/pm/upload/{other}/")).token(&token(8));
        let deleted = delete.send(&server.host).expect("a reply").ok();
        assert_eq!(deleted["removed"]["files"], 1, "{deleted}");
    }
}

#[test]
fn the_socket_for_commands_is_its_owners_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    let socket = dir.path().join("control.sock");
    let mode = std::fs::metadata(&socket).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    server.kill();
    let server = Server::start(&mut serve(dir.path())); // a dead one's socket is no obstacle
    let ended = run(&mut beside(dir.path(), &["rotate-link-key"]));
    assert!(ended.status.success(), "{}", ended.stderr);
    server.stop();
}

#[test]
fn a_server_that_can_not_be_asked_is_named_as_the_reason() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&mut serve(dir.path()));
    std::fs::remove_file(dir.path().join("control.sock")).expect("removed");
    let ended = run(&mut beside(dir.path(), &["erase", "--user-id", "7"]));
    assert!(!ended.status.success());
    assert!(ended.stderr.contains("a server is running, but can't be reached"), "{}", ended.stderr);
    server.stop();
}
