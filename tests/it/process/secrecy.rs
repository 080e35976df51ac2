//! What nobody else may see: secrets in the log, files of the data directory.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use haversack::auth::{Caller, sign};
use haversack::ids::{UploadId, UserId};
use serde_json::json;

use super::http::{Multipart, Request, download};
use super::program::{SECRET, Server, serve, token};

const CHUNK: &[u8] = b"the words of a private message, which nobody logs";

fn chunk(id: &str, index: u32) -> Multipart {
    Multipart::default()
        .field("uuid", id)
        .field("partindex", index)
        .field("totalparts", 2)
        .field("filename", "private-name.txt")
        .file("file", CHUNK)
}

/// Uploads, finishes and downloads a file; gives the link's signature.
fn upload_and_download(host: &str, token: &str) -> String {
    let id = UploadId::random().to_string();
    for index in 0..2 {
        let request = Request::upload(chunk(&id, index)).token(token);
        request.send(host).expect("a reply").ok();
    }
    let done = Request::done(&json!({"uuid": id, "filename": "private-name.txt"}));
    let file = done.token(token).send(host).expect("a reply").ok();
    let url = file["file_url"].as_str().expect("a link");
    let bytes = download(host, url).expect("a reply");
    assert_eq!((bytes.status, bytes.body), (200, [CHUNK, CHUNK].concat()));
    url.split_once("signature=").expect("signed").1.to_owned()
}

#[test]
fn no_secret_is_logged_at_any_level_in_any_form() {
    for format in ["text", "json"] {
        assert_no_secret_is_logged(format);
    }
}

/// Tries all that could bring a secret into the log, at the level that logs most.
fn assert_no_secret_is_logged(format: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env("HAVERSACK_LOG", "trace").env("HAVERSACK_LOG_FORMAT", format);
    let server = Server::start(command.env("HAVERSACK_ACCESS_LOG", "all"));
    let (token, host) = (token(1), server.host.clone());
    let signature = upload_and_download(&host, &token);
    // The ways that fail: a broken link, a broken token, a token at the wrong door, a broken form.
    let id = UploadId::random();
    let broken = format!("/media/{id}/file?expires=1&key=1&signature={signature}x");
    Request::new("GET", &broken).send(&host).expect("a reply");
    let altered = format!("{token}x");
    let form = Multipart::default().file("file", CHUNK);
    let refused = Request::upload(form).token(&altered).send(&host);
    assert_eq!(refused.expect("a reply").status, 401);
    let body = json!({ "token": token }).to_string().into_bytes();
    let verify = Request::new("POST", "/api/v2/jwt/verify_token/").body(body);
    verify.send(&host).expect("a reply").ok();
    let malformed =
        Request::new("POST", "/api/v2/jwt/verify_token/").body(token.clone().into_bytes());
    malformed.send(&host).expect("a reply").refusal();
    let in_query = format!("/api/v2/pm/upload/?access_token={token}");
    Request::new("GET", &in_query).send(&host).expect("a reply").refusal();
    // Where no secret belongs, but may be put by mistake.
    let in_path = format!("/api/v2/pm/upload/{token}/file/");
    Request::new("GET", &in_path).token(&token).send(&host).expect("a reply").refusal();
    Request::new("GET", &format!("/{token}")).send(&host).expect("a reply").refusal();
    Request::new(&token, "/health/live").send(&host).expect("a reply").refusal();
    for header in ["X-Request-Id", "traceparent", "User-Agent", "Referer"] {
        let live = Request::new("GET", "/health/live").header(header, &token);
        live.send(&host).expect("a reply").ok();
    }
    let stderr = server.stop().stderr;
    assert!(stderr.contains("DEBUG"), "the trial needs a log: {stderr}");
    let claims = token.split('.').nth(1).expect("a token has three parts");
    let private = std::str::from_utf8(CHUNK).expect("text");
    for secret in [SECRET, claims, &signature, "private-name", private] {
        assert!(!stderr.contains(secret), "{secret:?} is in {stderr}");
    }
    let token_signature = token.rsplit('.').next().expect("signed");
    assert!(!stderr.contains(token_signature), "{stderr}");
}

#[test]
fn why_a_request_is_not_authenticated_is_logged_and_the_token_never() {
    let altered = format!("{}x", token(1));
    let expired = sign(SECRET.as_bytes(), Caller::User(UserId::from(1)), 1, 1);
    for (access_log, is_told) in [("errors", true), ("off", false)] {
        let dir = tempfile::tempdir().expect("a folder");
        let server = Server::start(serve(dir.path()).env("HAVERSACK_ACCESS_LOG", access_log));
        let list = || Request::new("GET", "/api/v2/pm/upload/?cursor=1");
        for request in [list(), list().token(&altered), list().token(&expired)] {
            assert_eq!(request.send(&server.host).expect("a reply").status, 401);
        }
        let verify = json!({ "token": altered }).to_string().into_bytes();
        for _ in 0..19 {
            let verify = Request::new("POST", "/api/v2/jwt/verify_token/").body(verify.clone());
            verify.send(&server.host).expect("a reply").refusal();
        }
        let log = server.stop().stderr;
        for reason in [
            "method=\"GET\" route=\"/api/v2/pm/upload\" status=401 code=\"not_authenticated\" reason=\"no access token was sent",
            "method=\"GET\" route=\"/api/v2/pm/upload\" status=401 code=\"not_authenticated\" reason=\"the access token is not a JSON web token",
            "method=\"GET\" route=\"/api/v2/pm/upload\" status=401 code=\"not_authenticated\" reason=\"the access token has expired",
            "method=\"POST\" route=\"/api/v2/jwt/verify_token\" status=401 code=\"not_authenticated\" reason=\"the access token is not",
        ] {
            assert_eq!(log.contains(reason), is_told, "{reason}: {log}");
        }
        for token in [&altered, &expired] {
            for part in token.split('.') {
                assert!(!log.contains(part), "{part} is in {log}");
            }
        }
    }
}

#[test]
fn a_secret_of_the_data_directory_is_not_logged_either() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command = serve(dir.path());
    command.env_remove("HAVERSACK_JWT_SECRET");
    let server = Server::start(command.env("HAVERSACK_LOG", "trace"));
    let secret = std::fs::read_to_string(dir.path().join("jwt-secret")).expect("made");
    let stderr = server.stop().stderr;
    assert!(!stderr.contains(secret.trim_end()), "{stderr}");
}

/// Every folder must be 0700 and every file 0600.
fn assert_private(dir: &Path, files: &mut usize) {
    let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode(dir), 0o700, "{}", dir.display());
    for entry in std::fs::read_dir(dir).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_private(&path, files);
        } else {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            *files += 1;
        }
    }
}

#[test]
fn the_data_directory_is_its_owners_alone_whatever_the_umask() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let plain = serve(&data);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    command.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env_remove("HAVERSACK_JWT_SECRET");
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let server = Server::start(&mut command);
    let secret = std::fs::read_to_string(data.join("jwt-secret")).expect("made");
    let user = haversack::auth::Caller::User(haversack::ids::UserId::from(1));
    let now = haversack::clock::Clock::system().unix_secs();
    let token = haversack::auth::sign(secret.trim_end().as_bytes(), user, now, 600);
    upload_and_download(&server.host, &token);
    let unfinished = chunk(&UploadId::random().to_string(), 0);
    let reply = Request::upload(unfinished).token(&token).send(&server.host);
    reply.expect("a reply").ok();
    let mut files = 0;
    assert_private(&data, &mut files);
    assert!(files >= 6, "lock, secret, database, its log, two blobs: {files}");
    server.stop();
    assert_private(&data, &mut files);
}
