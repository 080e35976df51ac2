//! Secrets appear nowhere: sends every form of request, valid and invalid, and searches everything that the program
//! logged at the lowest level.

use std::fmt::Debug;
use std::path::Path;

use haversack::auth::{Auth, Caller, sign};
use haversack::clock::Clock;
use haversack::config::{Config, Settings};
use haversack::ids::{UploadId, UserId};
use haversack::links::{LinkQuery, Links};
use haversack::metadata::LinkKey;
use serde_json::{Value, json};

use super::http::{Multipart, Request};
use super::program::{SECRET, Server, haversack, run, serve, token};

const UPLOAD: &str = "/api/v2/pm/upload/";
const NAME: &str = "salary-2031.jpg";
const PICTURE: &[u8] = include_bytes!("../../media/samples/picture.jpg");

/// A server that logs everything it can, and what it must not log.
struct Trial {
    server: Server,
    secrets: Vec<String>,
    data: tempfile::TempDir,
}

impl Trial {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let server = Server::start(serve(data.path()).env("HAVERSACK_LOG", "trace"));
        let secrets = vec![SECRET.to_owned(), NAME.to_owned(), "salary".to_owned()];
        Self { server, secrets, data }
    }

    /// Sends it, and remembers the links in a complete reply.
    fn send(&mut self, request: &Request) -> Vec<u8> {
        let body = request.send(&self.server.host).map_or(Vec::new(), |reply| reply.body);
        let text = String::from_utf8_lossy(&body);
        for link in text.split("signature=").skip(1) {
            let end = link.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
            self.secrets.push(link[..end.unwrap_or(link.len())].to_owned());
        }
        body
    }

    /// Sends every request that needs a token, with this one.
    fn everything_as(&mut self, token: &str) {
        self.secrets
            .extend(token.split('.').skip(1).filter(|part| part.len() > 8).map(ToOwned::to_owned));
        let id = UploadId::random().to_string();
        let chunk = |index: u32| {
            let form = Multipart::default().field("uuid", &id).field("partindex", index);
            form.field("totalparts", 2).field("filename", NAME).file("file", PICTURE)
        };
        let json = |path: &str, body: &Value| {
            let request = Request::new("POST", path).header("Content-Type", "application/json");
            request.body(body.to_string().into_bytes())
        };
        let single = Multipart::default().field("filename", NAME).file("file", PICTURE);
        let (get, delete) =
            (|path: &str| Request::new("GET", path), |path: &str| Request::new("DELETE", path));
        let file = self.send(&Request::upload(single).token(token));
        let stored = serde_json::from_slice(&file).unwrap_or(Value::Null);
        let uuid = stored["uuid"].as_str().unwrap_or(&id).to_owned();
        let url = stored["url"].as_str().unwrap_or("/media/x/file?signature=salary");
        let link =
            url.strip_prefix(&format!("http://{}", self.server.host)).unwrap_or(url).to_owned();
        let thumbnail = Multipart::default().field("parentuuid", &uuid).file("file", PICTURE);
        let requests = vec![
            Request::upload(chunk(0)),
            Request::upload(chunk(0)),
            Request::upload(chunk(1)),
            get(UPLOAD),
            get(&format!("{UPLOAD}{id}/")),
            get(&format!("{UPLOAD}?cursor=salary&token={token}")),
            Request::done(&json!({"uuid": id, "filename": NAME, "md5": "x"})),
            Request::done(&json!({"uuid": id, "filename": NAME})),
            Request::upload(chunk(1)),
            Request::upload(Multipart::default().field("partindex", "salary").file("file", b"x")),
            Request::upload(Multipart::default().field("salary", NAME).file("file", b"x"))
                .header("X", token),
            Request::upload(thumbnail),
            get(&format!("{UPLOAD}{uuid}/file/")),
            json("/api/v2/pm/files/", &json!({"uuids": [uuid], "attach": false})),
            json("/api/v2/pm/files/", &json!({"uuids": "salary", "x": token})),
            json("/api/v2/jwt/verify_token/", &json!({ "token": token })),
            json("/api/v2/jwt/verify_token/", &json!({ "token": [token] })),
            get(&link),
            get(&link).header("Range", "bytes=0-4"),
            get(&link).header("Range", "bytes=999999-"),
            Request::new("HEAD", &link),
            Request::new("POST", &link),
            get(&format!("{link}x")),
            get(&format!("{link}&download={NAME}")),
            delete(&format!("{UPLOAD}{uuid}/")),
            get(&link),
            get(&format!("/{NAME}?signature={token}")),
            get("/"),
            get("/page/app.js").header("Referer", &format!("http://localhost/#token={token}")),
        ];
        for request in requests {
            self.send(&request.token(token));
        }
        // The connection logs interrupted requests, and bytes that aren't HTTP.
        for start in [
            format!(
                "POST {UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n"
            ),
            format!(
                "GET {link} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nbad header {token}\r\n\r\n"
            ),
            format!("Bearer {token}\r\n\r\n"),
        ] {
            let mut stream = super::http::connect(&self.server.host).expect("connected");
            std::io::Write::write_all(&mut stream, start.as_bytes()).expect("sent");
        }
    }

    /// The keys that sign links, in all the forms in which code might show them.
    fn note_link_keys(&mut self) {
        let database =
            rusqlite::Connection::open(self.data.path().join("haversack.db")).expect("opened");
        let mut keys = database.prepare("SELECT secret FROM link_keys").expect("a table");
        let keys: Vec<Vec<u8>> = keys
            .query_map([], |row| row.get(0))
            .expect("asked")
            .map(|key| key.expect("a key"))
            .collect();
        assert!(!keys.is_empty());
        for key in keys {
            let hex = key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let numbers = key.iter().map(ToString::to_string).collect::<Vec<_>>();
            self.secrets.extend([
                hex[..16].to_uppercase(),
                hex[..16].to_owned(),
                numbers[..6].join(", "),
            ]);
        }
    }
}

#[test]
fn nothing_secret_is_logged_whatever_is_asked() {
    let mut trial = Trial::new();
    let now = Clock::system().unix_secs();
    let signed = |secret: &str, caller, age, ttl| sign(secret.as_bytes(), caller, now - age, ttl);
    let user = Caller::User(UserId::from(7));
    let right = token(7);
    for token in [
        right.clone(),
        signed(SECRET, Caller::Service, 0, 600),
        signed(SECRET, user.clone(), 60, 30), // expired
        signed("another secret, which the sender thinks is right", user, 0, 600),
        format!("{right}x"),
        right.replace('.', ".."),
        format!("{right}.{right}"),
        right.repeat(50),
    ] {
        trial.everything_as(&token);
    }
    let mut command = haversack(&["page-link"]);
    command.env("HAVERSACK_DATA_DIR", trial.data.path());
    let ended = run(command.env("HAVERSACK_LOG", "trace"));
    let token = ended.stdout.trim().split_once("token=").expect("a link").1.to_owned();
    assert!(!ended.stderr.contains(&token), "{}", ended.stderr);
    trial.everything_as(&token);
    trial.note_link_keys();
    let Trial { server, mut secrets, .. } = trial;
    let log = server.stop().stderr;
    assert!(log.matches("DEBUG").count() >= 10, "the trial needs a log: {log}");
    secrets.extend(["Bearer ".to_owned(), "signature=".to_owned(), "eyJ".to_owned()]);
    assert!(secrets.len() > 50, "{}", secrets.len());
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret:?} is logged");
    }
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

#[test]
fn what_holds_a_secret_does_not_show_it() {
    let secret = SECRET.parse().expect("a secret");
    let settings = Settings { jwt_secret: Some(secret), ..Settings::default() };
    let config = Config::new(settings.clone()).expect("usable");
    for shown in [shown(&settings), shown(&config), shown(&config.secret().expect("the same"))] {
        assert!(!shown.contains(SECRET) && !shown.contains("secret of the tests"), "{shown}");
    }
    let auth = Auth::new(SECRET.as_bytes(), Clock::system());
    let token = token(1);
    let part = &token[..20];
    for header in [format!("Bearer {token}x"), format!("Bearer {token}.{token}"), token.clone()] {
        let error = auth.authenticate(Some(&header)).expect_err("wrong");
        assert!(!format!("{error} {error:?}").contains(part), "{error:?}");
    }
    let wrong = "[jwt]\nsecret = 'hunter2-hunter2'\njwt_secret = 'hunter2-hunter2'";
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), wrong).expect("written");
    assert!(!refusal_of(file.path()).contains("hunter2"));
}

/// The server's message about this file of settings.
fn refusal_of(settings: &Path) -> String {
    let ended = run(haversack(&["serve", "--config"]).arg(settings));
    assert!(!ended.status.success());
    ended.stderr
}

/// A type with `Debug` or `Display` fails to compile here, because both traits would fit.
trait Unless<Marker> {
    const SHOWN: bool = false;
}

struct IsShown;

impl<T> Unless<()> for T {}

impl<T: Debug> Unless<IsShown> for T {}

#[test]
fn what_holds_a_key_can_not_be_shown() {
    const SHOWN: [bool; 4] = [
        <Auth as Unless<_>>::SHOWN,
        <Links as Unless<_>>::SHOWN,
        <LinkKey as Unless<_>>::SHOWN,
        <LinkQuery as Unless<_>>::SHOWN,
    ];
    assert_eq!(SHOWN, [false; 4]);
}
