//! A small blocking HTTP client: one connection per request, and the test decides how its bytes are split.
//!
//! It distinguishes a cut connection from a refusal, as tests that kill servers need.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// No reply takes longer.
const PATIENCE: Duration = Duration::from_mins(1);
const BOUNDARY: &str = "----haversack-test-7MA4YWxkTrZu0gW";

/// A request that is ready to be sent.
pub(crate) struct Request {
    head: String,
    body: Vec<u8>,
    /// Sizes of the body's chunks, repeated; empty to send it with its length.
    chunked: Vec<usize>,
}

/// A reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A multipart form under construction: fields and one file, in the order in which they were added.
#[derive(Default)]
pub(crate) struct Multipart(Vec<u8>);

impl Multipart {
    pub(crate) fn field(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        self.0.extend(part.bytes());
        self
    }

    pub(crate) fn file(mut self, name: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"blob\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        self.0.extend(head.bytes());
        self.0.extend(bytes);
        self.0.extend(b"\r\n");
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend(format!("--{BOUNDARY}--\r\n").bytes());
        self.0
    }
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            head: format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n"),
            body: Vec::new(),
            chunked: Vec::new(),
        }
    }

    /// A POST of this form to the upload endpoint.
    pub(crate) fn upload(form: Multipart) -> Self {
        Self::new("POST", "/api/v2/pm/upload/").form(form)
    }

    /// A done with these fields, as JSON.
    pub(crate) fn done(fields: &Value) -> Self {
        Self::new("POST", "/api/v2/pm/upload/?done")
            .header("Content-Type", "application/json")
            .body(fields.to_string().into_bytes())
    }

    pub(crate) fn form(self, form: Multipart) -> Self {
        self.header("Content-Type", &format!("multipart/form-data; boundary={BOUNDARY}"))
            .body(form.finish())
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.extend([name, ": ", value, "\r\n"]);
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Sends the body in chunks (RFC 9112, section 7.1) of these sizes, instead of declaring its length.
    pub(crate) fn chunked(mut self, sizes: Vec<usize>) -> Self {
        self.chunked = sizes;
        self
    }

    /// Head and body, as they are sent to `host`.
    pub(crate) fn bytes(&self, host: &str) -> Vec<u8> {
        let mut bytes = format!("{}Host: {host}\r\n", self.head).into_bytes();
        if self.chunked.is_empty() {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", self.body.len()).bytes());
            bytes.extend(&self.body);
            return bytes;
        }
        bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        let (mut rest, mut sizes) = (&self.body[..], self.chunked.iter().cycle());
        while !rest.is_empty() {
            let size = sizes.next().map_or(1, |size| (*size).clamp(1, rest.len()));
            let (chunk, others) = rest.split_at(size);
            bytes.extend(format!("{size:x}\r\n").bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
            rest = others;
        }
        bytes.extend(b"0\r\n\r\n");
        bytes
    }

    /// Sends it to `host:port` and reads the reply.
    pub(crate) fn send(&self, host: &str) -> io::Result<Reply> {
        self.send_split(host, &[])
    }

    /// The same, in writes of these sizes, followed by the rest in one.
    pub(crate) fn send_split(&self, host: &str, sizes: &[usize]) -> io::Result<Reply> {
        let bytes = self.bytes(host);
        let mut stream = connect(host)?;
        let mut rest = &bytes[..];
        for size in sizes {
            let (piece, others) = rest.split_at((*size).min(rest.len()));
            stream.write_all(piece)?;
            rest = others;
        }
        stream.write_all(rest)?;
        receive(stream)
    }
}

impl Reply {
    /// A header's value; `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The body of a 200; fails the test otherwise.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The message of a refusal; empty if it isn't one.
    pub(crate) fn message(&self) -> String {
        let body = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        body["error"].as_str().unwrap_or_default().to_owned()
    }

    /// The code of a refusal, after checking its shape (protocol, section 7).
    pub(crate) fn refusal(&self) -> String {
        let body = self.json();
        assert!((400..600).contains(&self.status), "{} {body}", self.status);
        assert_eq!(body["success"], false, "{body}");
        assert!(body["preventRetry"].is_boolean(), "{body}");
        assert!(body["reset"].is_null() || body["reset"] == true, "{body}");
        let message = body["error"].as_str().expect("a message");
        let errors = body["errors"].as_array().expect("an array of errors");
        assert_eq!(errors.len(), 1, "{body}");
        let item = match &errors[0]["messages"] {
            Value::Null => &errors[0],
            messages => &messages[0],
        };
        assert_eq!(item["message"], message, "{body}");
        item["code"].as_str().expect("a code").to_owned()
    }
}

pub(crate) fn connect(host: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(host)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads one reply. Fails if the connection ends before the reply is complete.
pub(crate) fn receive(stream: TcpStream) -> io::Result<Reply> {
    let mut stream = BufReader::new(stream);
    let (mut status, mut headers) = (0, Vec::new());
    for first in [true, false].into_iter().chain(std::iter::repeat(false)) {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if first {
            let code = line.split(' ').nth(1).and_then(|code| code.parse().ok());
            status = code.ok_or(io::ErrorKind::InvalidData)?;
        } else if line.is_empty() {
            break;
        } else if let Some((name, value)) = line.split_once(": ") {
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok());
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            stream.read_exact(&mut body)?;
        }
        None => {
            stream.read_to_end(&mut body)?;
        }
    }
    Ok(Reply { status, headers, body })
}

/// The bytes at a `file_url`. Links from an earlier run are requested from the server at `host`.
pub(crate) fn download(host: &str, url: &str) -> io::Result<Reply> {
    let path = url.splitn(4, '/').nth(3).expect("an absolute link");
    Request::new("GET", &format!("/{path}")).send(host)
}
