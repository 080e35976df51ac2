//! A client with one method per kind of request.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, Method};
use reqwest::RequestBuilder;
use serde_json::Value;

use super::{Form, Reply};

/// The path of uploads.
pub(crate) const UPLOAD: &str = "/api/v2/pm/upload/";

/// Sends requests with its headers to one server.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
}

impl Client {
    pub(super) fn new(http: reqwest::Client, address: SocketAddr) -> Self {
        let base = format!("http://{address}");
        Self { http, base, headers: HeaderMap::new() }
    }

    /// Returns the same client with another header on every request, which replaces one of the same name.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        let name = name.parse::<HeaderName>().unwrap();
        changed.headers.insert(name, value.parse().unwrap());
        changed
    }

    /// Its headers, as in a request.
    pub(super) fn head_lines(&self) -> String {
        let line = |(name, value): (&HeaderName, &http::HeaderValue)| {
            format!("{name}: {}\r\n", value.to_str().unwrap())
        };
        self.headers.iter().map(line).collect()
    }

    /// Starts a request to a path of the server, or to a whole address.
    pub(crate) fn request(&self, method: Method, to: &str) -> RequestBuilder {
        let url = if to.starts_with('/') { format!("{}{to}", self.base) } else { to.to_owned() };
        self.http.request(method, url).headers(self.headers.clone())
    }

    /// Sends a request and reads the reply to its end.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap(),
        }
    }

    /// Posts a form to a path.
    pub(crate) async fn post_form(&self, to: &str, form: &Form) -> Reply {
        let mut request = self.request(Method::POST, to);
        if let Some(range) = &form.content_range {
            request = request.header("content-range", range);
        }
        let request = request.header("content-type", Form::content_type());
        self.send(request.body(form.encode())).await
    }

    /// A chunk, a single file or a thumbnail.
    pub(crate) async fn upload(&self, form: Form) -> Reply {
        self.post_form(UPLOAD, &form).await
    }

    /// Done, URL-encoded, with only the uuid.
    pub(crate) async fn done(&self, uuid: &str) -> Reply {
        self.done_urlencoded(&[("uuid", uuid)]).await
    }

    /// Done, URL-encoded.
    pub(crate) async fn done_urlencoded(&self, fields: &[(&str, &str)]) -> Reply {
        let request = self.request(Method::POST, "/api/v2/pm/upload/?done");
        self.send(request.form(fields)).await
    }

    /// Done, multipart.
    pub(crate) async fn done_form(&self, form: Form) -> Reply {
        self.post_form("/api/v2/pm/upload/?done", &form).await
    }

    /// Done, JSON.
    pub(crate) async fn done_json(&self, body: &Value) -> Reply {
        let request = self.request(Method::POST, "/api/v2/pm/upload/?done");
        self.send(request.json(body)).await
    }

    /// The state of an unfinished upload.
    pub(crate) async fn status(&self, uuid: &str) -> Reply {
        self.get(&format!("{UPLOAD}{uuid}/")).await
    }

    /// A page of the list.
    pub(crate) async fn list(&self, cursor: &str) -> Reply {
        self.get(&format!("{UPLOAD}?cursor={cursor}")).await
    }

    /// The File object of a finished upload.
    pub(crate) async fn file(&self, uuid: &str) -> Reply {
        self.get(&format!("{UPLOAD}{uuid}/file/")).await
    }

    /// Files for the application's backend.
    pub(crate) async fn files(&self, body: &Value) -> Reply {
        let request = self.request(Method::POST, "/api/v2/pm/files/");
        self.send(request.json(body)).await
    }

    /// Cancels an upload or deletes a file.
    pub(crate) async fn delete(&self, uuid: &str) -> Reply {
        let request = self.request(Method::DELETE, &format!("{UPLOAD}{uuid}/"));
        self.send(request).await
    }

    /// Cancels or deletes as Fine Uploader does where DELETE isn't available.
    pub(crate) async fn post_delete(&self, uuid: &str) -> Reply {
        let request = self.request(Method::POST, UPLOAD);
        let fields = [("_method", "DELETE"), ("qquuid", uuid)];
        self.send(request.form(&fields)).await
    }

    /// Asks whether a token is valid.
    pub(crate) async fn verify_token(&self, token: &str) -> Reply {
        let request = self.request(Method::POST, "/api/v2/jwt/verify_token/");
        self.send(request.json(&serde_json::json!({"token": token}))).await
    }

    /// GETs a path or a link.
    pub(crate) async fn get(&self, to: &str) -> Reply {
        self.send(self.request(Method::GET, to)).await
    }

    /// HEAD of a path or a link.
    pub(crate) async fn head(&self, to: &str) -> Reply {
        self.send(self.request(Method::HEAD, to)).await
    }

    /// Begins an upload of `total` chunks with chunk 0. Returns its uuid.
    pub(crate) async fn begin(&self, total: u32, first: &str) -> String {
        let reply = self.upload(Form::chunk(0, total, first)).await.ok();
        reply["file_uuid"].as_str().unwrap().to_owned()
    }

    /// Stores a single file. Returns its File.
    pub(crate) async fn store(&self, name: &str, bytes: impl AsRef<[u8]>) -> Value {
        self.upload(Form::single(bytes).named(name)).await.ok()
    }

    /// Returns this File once it shows a thumbnail, for which a reply waits only a moment.
    pub(crate) async fn illustrated(&self, uuid: &str) -> Value {
        super::eventually("the file shows a thumbnail", async || {
            self.file(uuid).await.ok()["thumbnail"].is_string()
        })
        .await;
        self.file(uuid).await.ok()
    }

    /// Stores a picture. Returns its File once it shows its thumbnail.
    pub(crate) async fn store_picture(&self, name: &str, bytes: impl AsRef<[u8]>) -> Value {
        let file = self.store(name, bytes).await;
        self.illustrated(file["uuid"].as_str().unwrap()).await
    }

    /// Stores a single file. Returns its uuid.
    pub(crate) async fn store_any(&self) -> String {
        let file = self.store("note.txt", "some bytes").await;
        file["uuid"].as_str().unwrap().to_owned()
    }

    /// The bytes at a File's link.
    pub(crate) async fn contents(&self, file: &Value) -> String {
        let reply = self.get(file["url"].as_str().unwrap()).await;
        assert_eq!(reply.status, 200);
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    /// Finishes an upload. Returns the bytes of the resulting file.
    pub(crate) async fn finish(&self, uuid: &str) -> String {
        let file = self.done(uuid).await.ok();
        self.contents(&file).await
    }
}
