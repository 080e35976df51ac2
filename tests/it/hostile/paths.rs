//! Names that would lead out of the data directory, in every place that takes a name, and the files that the binary
//! opens meanwhile, as the system saw them.

use std::path::{Component, Path};

use http::Method;
use serde_json::json;

use super::wire::said_to_all;
use crate::harness::{self, Form, new_uuid};
use crate::process::http::{Multipart, Request};
use crate::process::program::{Server, serve, token, under_strace};

/// Ways out, as in the path of a request.
const WAYS: [&str; 24] = [
    "..",
    "../..",
    "..%2f..",
    "..%2F..%2fetc%2fpasswd",
    "%2e%2e",
    "%2e%2e%2f",
    "%252e%252e%252f",
    "%252e",
    "..%5c..",
    "..\\..",
    "\\..\\..",
    "%2fetc%2fpasswd",
    "/etc/passwd",
    "%00",
    "x%00",
    "%00.jpg",
    "..%00/",
    "..%c0%af",
    "%c0%ae%c0%ae%c0%af",
    "..%u2215",
    "....//....//",
    "..;/",
    "file:///etc/passwd",
    "C:%5cwindows",
];

/// Every path that a way out can be put into.
fn paths(way: &str, uuid: &str) -> Vec<String> {
    let shard = &uuid[..2];
    vec![
        format!("/{way}"),
        format!("/{way}/etc/passwd"),
        format!("/media/{way}"),
        format!("/media/{way}/file"),
        format!("/media/{uuid}/{way}"),
        format!("/media/{uuid}%2f{way}/file"),
        format!("/media/{uuid}/{way}?expires=9999999999&key=1&signature=x"),
        format!("/media/{way}/blobs/{shard}/{uuid}"),
        format!("/page/{way}"),
        format!("/page/{way}/{way}"),
        format!("/page/{way}haversack.db"),
        format!("/api/v2/pm/upload/{way}"),
        format!("/api/v2/pm/upload/{way}/file/"),
        format!("/api/v2/pm/upload/{uuid}/{way}"),
        format!("/api/v2/pm/upload/{uuid}{way}/"),
        format!("/api/{way}/haversack.db"),
        format!("/blobs/{shard}/{way}"),
    ]
}

/// Requests exactly this path; clients would normalise it.
fn get(host: &str, method: &str, path: &str) -> (u16, String) {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n", token(1));
    let said = said_to_all(host, format!("{head}Connection: close\r\n\r\n").as_bytes());
    (*said.statuses.first().unwrap_or_else(|| panic!("{path}: {said:?}")), said.text)
}

/// The files that were opened, created, renamed or removed, according to strace.
fn opened(log: &str) -> Vec<String> {
    let calls = log.lines().filter(|line| !line.contains("resumed>"));
    let quoted = calls.flat_map(|line| line.split('"').skip(1).step_by(2));
    quoted.map(ToOwned::to_owned).collect()
}

/// Whether the program may access this path.
fn is_its_own(path: &Path, data: &Path) -> bool {
    let leaves = path.components().any(|part| part == Component::ParentDir);
    let system = ["/proc", "/sys", "/etc", "/dev", "/lib", "/lib64", "/usr/lib"];
    // The data directory's own name is made durable by syncing its parent once.
    (path.is_absolute()
        && !leaves
        && (path.starts_with(data) || system.iter().any(|dir| path.starts_with(dir))))
        || path == data.join("..")
}

#[test]
fn no_name_leads_out_of_the_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("data"), dir.path().join("strace.log"));
    let calls = "trace=open,openat,openat2,creat,unlink,unlinkat,rename,renameat,renameat2";
    let mut command = under_strace(&serve(&data), &log, &["-s", "4096", "-e", calls]);
    let server = Server::start(&mut command);
    let uuid = new_uuid();
    for way in WAYS {
        for path in paths(way, &uuid) {
            let (status, text) = get(&server.host, "GET", &path);
            assert!(matches!(status, 400 | 403 | 404), "{path}: {text}");
            assert!(!text.contains("root:"), "{path}: {text}");
        }
        let (status, text) = get(&server.host, "DELETE", &format!("/api/v2/pm/upload/{way}"));
        assert!(matches!(status, 400 | 404 | 405), "{way}: {text}");
        let form = |field| {
            Multipart::default().field(field, way).field("filename", way).file("file", b"bytes")
        };
        for form in [form("uuid"), form("parentuuid"), form("partindex"), form("md5")] {
            let refused = Request::upload(form).token(&token(1)).send(&server.host).unwrap();
            assert_eq!(refused.status, 400, "{way}");
        }
        let named = Multipart::default().field("filename", way).file("file", way.as_bytes());
        let file = Request::upload(named).token(&token(1)).send(&server.host).unwrap().ok();
        let removed = Request::new(
            "DELETE",
            &format!("/api/v2/pm/upload/{}/", file["uuid"].as_str().unwrap()),
        );
        removed.token(&token(1)).send(&server.host).unwrap().ok();
    }
    server.stop();
    let log = std::fs::read_to_string(&log).unwrap();
    let opened = opened(&log);
    assert!(
        opened.iter().filter(|path| path.contains("/blobs/")).count() > WAYS.len(),
        "it was watched"
    );
    for path in opened {
        assert!(is_its_own(Path::new(&path), &data), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_uuid_is_refused_in_every_body() {
    let server = harness::Server::start().await;
    let (user, service) = (server.user(1), server.service());
    let known = user.store_any().await;
    let bare = known.replace('-', "");
    for wrong in WAYS.into_iter().map(ToOwned::to_owned).chain([
        bare.clone(),
        format!("{{{known}}}"),
        format!("urn:uuid:{known}"),
        format!("{known} "),
        format!("{known}\0"),
        format!("{known}/../{known}"),
        known.replace('-', "_"),
        format!("{}\u{ff10}", &known[..35]),
        "00000000-0000-0000-0000-000000000000".to_owned(),
        String::new(),
    ]) {
        user.upload(Form::chunk(0, 1, "abc").uuid(&wrong))
            .await
            .refused(400, "malformed")
            .of_field("uuid");
        user.upload(Form::single("abc").uuid(&wrong))
            .await
            .refused(400, "malformed")
            .of_field("uuid");
        let refused = user.upload(Form::thumbnail(&wrong, harness::jpeg())).await;
        refused.refused(400, "malformed").of_field("parentuuid");
        user.done(&wrong).await.refused(400, "malformed").of_field("uuid");
        user.done_json(&json!({"qquuid": wrong})).await.refused(400, "malformed").of_field("uuid");
        user.post_delete(&wrong).await.refused(400, "malformed").of_field("uuid");
        let reply = service.files(&json!({"uuids": [wrong, known]})).await;
        assert!(reply.status == 400 || reply.ok()[0].is_null(), "{wrong:?}");
    }
    let head = user.request(Method::HEAD, &format!("{}{bare}/", harness::UPLOAD));
    assert_eq!(user.send(head).await.status, 404);
    user.file(&known).await.ok();
}
