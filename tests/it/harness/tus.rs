//! A client's requests by tus.

use http::Method;
use reqwest::Body;

use super::{Client, Raw, Reply, Server};

/// Where uploads are created.
pub(crate) const TUS: &str = "/api/v2/tus/";
/// What their bytes are sent as.
pub(crate) const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";

impl Client {
    /// A request by tus, with these headers beside its version.
    pub(crate) async fn tus(
        &self,
        method: Method,
        to: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = self.request(method, to).header("tus-resumable", "1.0.0");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body)).await
    }

    /// Creates an upload with these headers.
    pub(crate) async fn create(&self, headers: &[(&str, &str)]) -> Reply {
        self.tus(Method::POST, TUS, headers, "").await
    }

    /// Creates an upload of so many bytes; its address.
    pub(crate) async fn created(&self, length: usize) -> String {
        let reply = self.create(&[("upload-length", &length.to_string())]).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.header("location").to_owned()
    }

    /// Sends bytes from `offset` on.
    pub(crate) async fn patch(&self, url: &str, offset: usize, bytes: impl Into<Body>) -> Reply {
        self.patch_with(url, offset, &[], bytes).await
    }

    /// The same, with these headers.
    pub(crate) async fn patch_with(
        &self,
        url: &str,
        offset: usize,
        headers: &[(&str, &str)],
        bytes: impl Into<Body>,
    ) -> Reply {
        let offset = offset.to_string();
        let own = [("upload-offset", offset.as_str()), ("content-type", OFFSET_OCTET_STREAM)];
        self.tus(Method::PATCH, url, &[&own, headers].concat(), bytes).await
    }

    /// What HEAD answers.
    pub(crate) async fn progress(&self, url: &str) -> Reply {
        self.tus(Method::HEAD, url, &[], "").await
    }

    /// How many bytes an upload has.
    pub(crate) async fn offset(&self, url: &str) -> usize {
        let reply = self.progress(url).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.header("upload-offset").parse().unwrap()
    }

    /// The bytes behind an upload's address.
    pub(crate) async fn behind(&self, url: &str) -> Vec<u8> {
        let reply = self.get(url).await; // a redirect
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body.to_vec()
    }
}

impl Raw {
    /// Connects and sends a PATCH of `length` bytes, of which only these come.
    pub(crate) async fn patch(
        server: &Server,
        client: &Client,
        (url, offset, length): (&str, usize, usize),
        bytes: &[u8],
    ) -> Self {
        let path = &url[url.find("/api/").unwrap()..];
        let lines = format!(
            "Tus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\nContent-Length: {length}\r\n\
             Content-Type: {OFFSET_OCTET_STREAM}\r\n"
        );
        let mut raw = Self::connect(server).await;
        raw.send(Self::head(&format!("PATCH {path}"), client, &lines).as_bytes()).await;
        raw.send(bytes).await;
        raw
    }
}

/// The uuid at the end of an upload's address.
pub(crate) fn uuid_in(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

/// Bytes that look random, the same each time.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state: u32 = 0x9e37_79b9;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
