//! The real nginx in front: it sends stored files by itself, with our headers, and nothing else of ours.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use tempfile::TempDir;

use super::http::{Multipart, Reply, Request, connect, receive};
use super::program::{self, Server, serve, token};

/// The workers' user and group in Debian.
const GROUP: &str = "www-data";

/// nginx with the configuration of `docs/nginx.conf`, in front of a server.
struct Nginx {
    child: Child,
    host: String,
    server: Server,
    _dir: TempDir,
}

impl Nginx {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more settings of the server.
    fn start_with(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        // As where data directories usually are: others may go through.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("opened");
        let data = dir.path().join("data");
        let server = Server::start(
            serve(&data)
                .args([
                    "--trusted-proxies=127.0.0.0/8",
                    "--accel-redirect=/haversack-blobs/",
                    &format!("--data-group={GROUP}"),
                ])
                .args(settings),
        );
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = free.local_addr().expect("an address").to_string();
        drop(free);
        let ours = include_str!("../../../docs/nginx.conf")
            .replace("127.0.0.1:8080", &server.host)
            .replace("/var/lib/haversack", &data.to_string_lossy());
        let config = dir.path().join("nginx.conf");
        let here = dir.path().display();
        let whole = format!(
            "daemon off; user {GROUP}; worker_processes 1; pid {here}/pid; error_log {here}/error.log;
             events {{ worker_connections 64; }}
             http {{ access_log off; default_type text/x-nginx; client_body_temp_path {here}/body;
                     proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u;
                     scgi_temp_path {here}/s;
                     server {{ listen {host}; {ours} }} }}"
        );
        std::fs::write(&config, whole).expect("written");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).stdin(Stdio::null()).stderr(Stdio::inherit());
        let child = command.spawn().expect("nginx is installed (Debian: nginx-light)");
        let nginx = Self { child, host, server, _dir: dir };
        nginx.wait_until_ready();
        nginx
    }

    fn wait_until_ready(&self) {
        let begun = Instant::now();
        while self.get("/health/ready").is_none_or(|reply| reply.status() != 200) {
            assert!(begun.elapsed() < Duration::from_mins(1), "nginx does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn get(&self, path: &str) -> Option<Response> {
        client().get(format!("http://{}{path}", self.host)).send().ok()
    }

    /// Uploads through nginx; the link's path.
    fn store(&self, bytes: &[u8]) -> String {
        let form = Multipart::default().field("filename", "a.txt").file("file", bytes);
        let reply = Request::upload(form).token(&token(1)).send(&self.host).expect("a reply");
        let url = reply.ok()["file_url"].as_str().expect("a link").to_owned();
        url.strip_prefix(&format!("http://{}", self.host)).expect("a link through nginx").to_owned()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        program::signal(&self.child, "TERM");
        let _ = self.child.wait();
    }
}

fn client() -> Client {
    Client::builder().no_proxy().build().expect("a client")
}

fn header<'a>(reply: &'a Response, name: &str) -> &'a str {
    reply.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

#[test]
fn nginx_sends_a_file_by_itself_with_all_that_makes_it_harmless() {
    let nginx = Nginx::start();
    let path = nginx.store(b"0123456789");
    // Asked directly, the server says where the bytes are, to a trusted proxy alone, and sends none.
    let direct = client().get(format!("http://{}{path}", nginx.server.host)).send();
    let direct = direct.expect("a reply");
    assert!(header(&direct, "x-accel-redirect").starts_with("/haversack-blobs/"));
    let headers = direct.headers().clone();
    assert_eq!(direct.bytes().expect("a body").len(), 0);

    let reply = nginx.get(&path).expect("a reply");
    assert_eq!(reply.status(), 200);
    assert_eq!(header(&reply, "x-accel-redirect"), "");
    assert_eq!(header(&reply, "content-type"), "text/plain; charset=utf-8");
    for name in [
        "content-disposition",
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "cross-origin-resource-policy",
        "cache-control",
        "access-control-allow-origin",
        "access-control-expose-headers",
    ] {
        let expected = headers[name].to_str().expect("text");
        let same = |text: &str| text.to_lowercase().replace(' ', "");
        let sorted = |text: &str| {
            let mut parts: Vec<String> = text.split(',').map(same).collect();
            parts.sort();
            parts.retain(|part| part != "retry-after"); // of errors alone
            parts
        };
        assert_eq!(sorted(header(&reply, name)), sorted(expected), "{name}");
    }
    assert_eq!(reply.bytes().expect("a body"), "0123456789");

    let ranged = client().get(format!("http://{}{path}", nginx.host)).header("range", "bytes=3-5");
    let ranged = ranged.send().expect("a reply");
    assert_eq!(ranged.status(), 206);
    assert_eq!(ranged.text().expect("text"), "345");

    let inside = nginx.get("/haversack-blobs/store-id").expect("a reply");
    assert_eq!(inside.status(), 404, "nobody reaches the folder from outside");
    let altered = nginx.get(&path.replace("expires=", "expires=1")).expect("a reply");
    assert_eq!(altered.status(), 403);
}

#[test]
fn nginx_lets_those_origins_read_a_file_that_the_server_would() {
    let nginx = Nginx::start_with(&["--cors-origins=https://chat.example.org"]);
    let path = nginx.store(b"0123456789");
    let asked_from = |origin: &str| {
        let request = client().get(format!("http://{}{path}", nginx.host)).header("origin", origin);
        request.send().expect("a reply")
    };
    let chat = asked_from("https://chat.example.org");
    assert_eq!(header(&chat, "access-control-allow-origin"), "https://chat.example.org");
    assert!(header(&chat, "vary").to_lowercase().contains("origin"), "{:?}", chat.headers());
    assert_eq!(chat.text().expect("text"), "0123456789");
    let other = asked_from("https://other.example.org");
    assert_eq!(header(&other, "access-control-allow-origin"), "");
}

/// Asserts that nginx refused this by itself, as the server would, and that pages on other origins can read it.
fn assert_refused(reply: Response, status: u16, code: &str) {
    assert_eq!(reply.status(), status);
    let origins: Vec<_> = reply.headers().get_all("access-control-allow-origin").iter().collect();
    assert_eq!(origins, ["*"], "browsers accept one");
    let id = header(&reply, "x-request-id").to_owned();
    let reply =
        Reply { status, headers: Vec::new(), body: reply.bytes().expect("a body").to_vec() };
    assert_eq!(reply.refusal(), code);
    assert_eq!(reply.json()["request_id"], *id);
}

#[test]
fn pages_on_other_origins_can_read_what_nginx_refuses_by_itself() {
    let mut nginx = Nginx::start();
    let path = nginx.store(b"0123456789");
    let beyond = client().get(format!("http://{}{path}", nginx.host)).header("range", "bytes=10-");
    assert_refused(beyond.send().expect("a reply"), 416, "range_not_satisfiable");

    nginx.server.signal("KILL");
    while nginx.server.is_running() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let away = nginx.get(&path).expect("a reply");
    assert_eq!(header(&away, "retry-after"), "5");
    assert_refused(away, 502, "unreachable");
}

#[test]
fn a_body_of_any_size_gets_as_far_as_the_server_which_names_its_limit() {
    let nginx = Nginx::start();
    let mut stream = connect(&nginx.host).expect("a connection");
    let head = format!(
        "POST /api/v2/pm/upload/ HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n\r\n",
        nginx.host,
        token(1),
        6_u64 << 30,
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let reply = receive(stream).expect("a reply");
    assert_eq!((reply.status, reply.refusal()), (413, "file_too_large".to_owned()));
}

#[test]
fn nginx_answers_ranges_and_ids_of_requests_as_the_server_does() {
    let nginx = Nginx::start();
    let path = nginx.store(b"0123456789");
    let several = client().get(format!("http://{}{path}", nginx.host));
    let several = several.header("range", "bytes=1-2,5-6").send().expect("a reply");
    assert_eq!(several.status(), 200, "the whole file");
    let ranges: Vec<_> = several.headers().get_all("accept-ranges").iter().collect();
    assert_eq!(ranges, ["bytes"], "once");
    assert_eq!(header(&several, "x-request-id").len(), 32);
    assert_eq!(several.text().expect("text"), "0123456789");
}

#[test]
fn a_group_that_is_set_later_may_read_what_is_stored_already() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    let server = Server::start(&mut serve(&data));
    let form = Multipart::default().file("file", b"some bytes");
    Request::upload(form).token(&token(1)).send(&server.host).expect("a reply").ok();
    server.stop();
    assert_eq!(modes(&data), [0o600]);
    for _ in 0..2 {
        Server::start(serve(&data).arg(format!("--data-group={GROUP}"))).stop();
        assert_eq!(modes(&data), [0o640]);
    }
    // Without the group nobody else gets at them, and with it again it reads what came meanwhile.
    let server = Server::start(&mut serve(&data));
    let form = Multipart::default().file("file", b"other bytes");
    Request::upload(form).token(&token(1)).send(&server.host).expect("a reply").ok();
    let folder = |name: &str| {
        std::fs::metadata(data.join(name)).expect("there").permissions().mode() & 0o777
    };
    assert_eq!((folder("blobs"), folder("blobs/00")), (0o700, 0o700));
    server.stop();
    Server::start(serve(&data).arg(format!("--data-group={GROUP}"))).stop();
    assert_eq!(modes(&data), [0o640, 0o640]);
    let mode = |name: &str| {
        std::fs::metadata(data.join(name)).expect("there").permissions().mode() & 0o777
    };
    assert_eq!((mode("."), mode("blobs")), (0o710, 0o710), "to go through, not to list");
    assert_eq!(mode("haversack.db"), 0o600);
}

/// The modes of all stored blobs.
fn modes(data: &Path) -> Vec<u32> {
    let entries = |path: &Path| std::fs::read_dir(path).expect("listed").map(Result::unwrap);
    let shards = entries(&data.join("blobs")).filter(|entry| entry.path().is_dir());
    let blobs = shards.flat_map(|shard| entries(&shard.path()).collect::<Vec<_>>());
    blobs.map(|blob| blob.metadata().expect("there").permissions().mode() & 0o777).collect()
}
