//! Names that deceive, hide text or contain line breaks: wherever they come from, receivers see one clean name.

use http::Method;
use serde_json::{Value, json};

use super::corpora::names::{assert_clean, read_disposition};
use crate::harness::{Client, Form, Reply, Server, UPLOAD, new_uuid};

const NAMES: [&str; 46] = [
    "a\0b.txt",
    "a\r\nSet-Cookie: x=1",
    "a\nb.txt",
    "a\rb.txt",
    "a\tb.txt",
    "a\u{b}b",
    "a\u{7f}b",
    "a\u{85}b",
    "a\"b.txt",
    "a\\\"b.txt",
    "a'b.txt",
    "a;filename=b.exe",
    "a\"; filename=\"b.exe",
    "a\"; filename*=UTF-8''b.exe",
    "a%22b.txt",
    "a%0d%0ab.txt",
    "a%00b.txt",
    "%2e%2e%2fa",
    "../../etc/passwd",
    "..\\..\\a.txt",
    "/etc/passwd",
    "C:\\windows\\a.txt",
    "file:///etc/passwd",
    "..",
    ".",
    "...",
    " ",
    ". .",
    "a.txt.",
    "a.txt ",
    "CON",
    "con.txt",
    "NUL",
    "COM1.jpg",
    "lpt9.",
    ".htaccess",
    ".env",
    "-rf",
    "$(id)",
    "`id`.txt",
    "a\u{202e}gpj.exe",
    "\u{2066}a\u{2069}.txt",
    "\u{200e}a\u{200f}\u{61c}.txt",
    "a\u{2028}b\u{2029}c",
    "\u{feff}\u{200b}\u{2060}a",
    "<script>alert(1)</script>",
];

fn long_names() -> Vec<String> {
    ["a", "é", "文", "👨‍👩‍👧‍👦", "\u{301}", "a\u{301}", ".", "a.", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
        .map(|unit| unit.repeat(4000 / unit.len()) + ".txt")
        .into()
}

/// The name that receivers of this File see. It is the same in JSON, in the list and in the link's header.
async fn shown(client: &Client, file: &Value) -> String {
    let name = file["filename"].as_str().unwrap().to_owned();
    assert_clean(&name);
    let url = file["url"].as_str().unwrap();
    for link in [url.to_owned(), format!("{url}&download")] {
        let reply = client.get(&link).await;
        assert_eq!(reply.headers.get_all("content-disposition").iter().count(), 1);
        assert_eq!(read_disposition(reply.header("content-disposition")).name(), name);
        all_visible(&reply);
    }
    name
}

/// No header contains anything but visible ASCII, and no JSON a raw control character.
fn all_visible(reply: &Reply) {
    for (name, value) in &reply.headers {
        assert!(value.as_bytes().iter().all(|b| (b' '..=b'~').contains(b)), "{name}: {value:?}");
    }
    if reply.header("content-type") == "application/json" {
        let text = std::str::from_utf8(&reply.body).unwrap();
        assert!(!text.contains(|c: char| c.is_control()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_that_a_field_can_hold_is_cleaned() {
    let server = Server::start().await;
    let user = server.user(1);
    for name in NAMES.into_iter().map(ToOwned::to_owned).chain(long_names()) {
        let file = user.upload(Form::single("abc").field("filename", &name)).await.ok();
        let seen = shown(&user, &file).await;
        let uuid = user.begin(1, "abc").await;
        let done = user.done_urlencoded(&[("uuid", &uuid), ("filename", &name)]).await.ok();
        assert_eq!(shown(&user, &done).await, seen, "urlencoded: {name:?}");
        let uuid = user.begin(1, "abc").await;
        let done = user.done_json(&json!({"uuid": uuid, "filename": name})).await.ok();
        assert_eq!(shown(&user, &done).await, seen, "as JSON: {name:?}");
        let status = user.file(&uuid).await;
        all_visible(&status);
        assert_eq!(status.ok()["filename"], seen.as_str());
    }
    let list = user.list("").await;
    all_visible(&list);
    for entry in list.ok()["results"].as_array().unwrap() {
        assert_clean(entry["filename"].as_str().unwrap());
    }
}

/// A form whose part has exactly these bytes after `name="file"`.
async fn with_part(client: &Client, parameters: &[u8]) -> Reply {
    let head = b"--b\r\nContent-Disposition: form-data; name=\"file\"";
    let body = [&head[..], parameters, b"\r\n\r\nabc\r\n--b--\r\n"].concat();
    let request = client.request(Method::POST, UPLOAD).body(body);
    client.send(request.header("content-type", "multipart/form-data; boundary=b")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_that_a_parts_head_can_hold_is_cleaned_or_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    let mut heads: Vec<Vec<u8>> = Vec::new();
    for name in NAMES.into_iter().map(ToOwned::to_owned).chain(long_names()) {
        heads.push(format!("; filename=\"{name}\"").into_bytes());
        heads.push(format!("; filename={name}").into_bytes());
        let coded =
            percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
        heads.push(format!("; filename=\"{coded}\"").into_bytes());
        heads.push(format!("; filename*=UTF-8''{coded}").into_bytes());
        heads.push(format!("; filename=\"x\"; filename*=utf-8'en'{coded}").into_bytes());
    }
    for raw in [
        b"; filename=\"\xFF\xFE\xC0\xAF..\x80.txt\"".as_slice(),
        b"; filename=\"\xED\xA0\x80.txt\"",
        b"; filename=\"\xC0\xAE\xC0\xAE/a\"",
        b"; filename*=UTF-8''%FF%FE",
        b"; filename*=UTF-16''%00a",
        b"; filename*=''a",
        b"; filename*=UTF-8''%",
        b"; filename*0=\"a\"; filename*1=\"b\"",
        b"; filename=\"a\xE2\x80\xAEb\"",
    ] {
        heads.push(raw.to_vec());
    }
    let mut taken = 0;
    for head in heads {
        let reply = with_part(&user, &head).await;
        all_visible(&reply);
        let text = String::from_utf8_lossy(&head).into_owned();
        if reply.status == 200 {
            shown(&user, &reply.ok()).await;
            taken += 1;
        } else {
            assert_eq!(reply.status, 400, "{text:?}");
            reply.refused(400, "malformed_body");
        }
    }
    assert!(taken > 100, "most are good enough to be cleaned: {taken}");
}

#[tokio::test]
async fn a_name_longer_than_any_field_is_refused() {
    let server = Server::start().await;
    let user = server.user(1);
    let long = "a".repeat(64 << 10);
    user.upload(Form::single("abc").field("filename", &long)).await.refused(400, "field_too_long");
    user.upload(Form::single("abc").named(&long)).await.refused(400, "malformed_body");
    let uuid = new_uuid();
    user.done_form(Form::new().uuid(&uuid).field("filename", &long))
        .await
        .refused(400, "field_too_long");
    user.done_json(&json!({"uuid": uuid, "filename": long})).await.refused(404, "not_found");
}

/// A name never reveals where the bytes are stored, nor what they are.
#[tokio::test]
async fn no_name_becomes_a_path_or_a_type() {
    let server = Server::start().await;
    let user = server.user(1);
    for name in NAMES {
        user.store(&name.replace(['\r', '\n', '"', '\0'], ""), "<html>").await;
        let form =
            Form::single("<html>").field("filename", name).field("filetype", "image/png\r\nX: y");
        let file = user.upload(form).await.ok();
        assert_eq!(file["mimetype"], "text/html", "{name:?}");
    }
    let mut folders = vec![server.blobs()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let is_ours =
                name == "store-id" || name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
            assert!(is_ours, "{name:?}");
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
}
