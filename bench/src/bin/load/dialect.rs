//! How each kind of server expects the chunks of a file: heads and fields, and what the next request needs from a
//! reply. Knows no clocks or schedules.

use std::fmt::Write as _;
use std::io::{self, Error};

use serde::Deserialize;

use crate::client::Connection;

const BOUNDARY: &str = "----formboundary7MA4YWxkTrZu0gW";

/// The protocol that the server speaks.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    /// `PUT` with `Content-Range`; all chunks go into one file.
    Floor,
    /// Haversack's form: fields, then the bytes. The uuid comes with the first reply.
    Haversack,
    /// `PUT` of one file per chunk, which is all that a plain web server can do.
    Put,
    /// tus 1.0: `POST` creates the upload, `PATCH` appends.
    Tus,
    /// Fine Uploader's form, as django-fine-uploader reads it.
    FineUploader,
}

/// A file that is being uploaded.
pub(crate) struct Upload {
    /// The id, chosen by the server or by us.
    id: String,
    size: u64,
    chunk: u64,
}

impl Upload {
    pub(crate) fn parts(&self) -> u64 {
        self.size.div_ceil(self.chunk)
    }

    /// The offset and length of a chunk.
    pub(crate) fn range(&self, index: u64) -> (u64, u64) {
        let offset = index * self.chunk;
        (offset, self.chunk.min(self.size - offset))
    }
}

/// What all requests of a client have in common.
pub(crate) struct Speaker {
    pub(crate) dialect: Dialect,
    /// As in `Host`.
    pub(crate) host: String,
    /// Path of the server's upload endpoint.
    pub(crate) path: String,
    /// Bearer token; empty for none.
    pub(crate) token: String,
}

impl Speaker {
    /// Begins a file of `size` bytes in chunks of `chunk` bytes; `name` must be new.
    pub(crate) fn begin(
        &self,
        connection: &mut Connection,
        name: String,
        size: u64,
        chunk: u64,
    ) -> io::Result<Upload> {
        let id = match self.dialect {
            Dialect::Floor | Dialect::Put | Dialect::FineUploader => name,
            Dialect::Haversack => String::new(), // comes with the first reply
            Dialect::Tus => {
                let extra = format!("Tus-Resumable: 1.0.0\r\nUpload-Length: {size}\r\n");
                let head = self.head("POST", &self.path, &extra, 0);
                let reply = connection.request(&[head.as_bytes()])?.accepted()?;
                let location = reply.location.ok_or_else(|| Error::other("no Location"))?;
                path_of(&location).to_owned()
            }
        };
        Ok(Upload { id, size, chunk })
    }

    /// The bytes before and after a chunk in its request.
    pub(crate) fn around(&self, upload: &Upload, index: u64) -> (String, String) {
        let (offset, length) = upload.range(index);
        let range =
            format!("Content-Range: bytes {offset}-{}/{}\r\n", offset + length - 1, upload.size);
        let id = &upload.id;
        match self.dialect {
            Dialect::Floor => (self.head("PUT", &format!("/{id}"), &range, length), String::new()),
            Dialect::Put => {
                let path = format!("{}{id}/{index}", self.path);
                (self.head("PUT", &path, "", length), String::new())
            }
            Dialect::Tus => {
                let extra = format!(
                    "Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: {offset}\r\n"
                );
                (self.head("PATCH", id, &extra, length), String::new())
            }
            Dialect::Haversack => {
                let mut fields = vec![("partindex", index), ("totalparts", upload.parts())]
                    .into_iter()
                    .map(|(name, value)| (name, value.to_string()))
                    .collect::<Vec<_>>();
                if !id.is_empty() {
                    fields.push(("uuid", id.clone()));
                }
                self.form(&self.path, &range, &fields, Some(("file", length)))
            }
            Dialect::FineUploader => {
                let fields = [
                    ("qqpartindex", index.to_string()),
                    ("qqpartbyteoffset", offset.to_string()),
                    ("qqchunksize", length.to_string()),
                    ("qqtotalparts", upload.parts().to_string()),
                    ("qqtotalfilesize", upload.size.to_string()),
                    ("qqfilename", "clip.bin".to_owned()),
                    ("qquuid", id.clone()),
                ];
                self.form(&self.path, "", &fields, Some(("qqfile", length)))
            }
        }
    }

    /// Remembers what later requests need from the reply to a chunk.
    pub(crate) fn learn(&self, upload: &mut Upload, body: &[u8]) -> io::Result<()> {
        if self.dialect == Dialect::Haversack && upload.id.is_empty() {
            let reply: serde_json::Value = serde_json::from_slice(body)?;
            let uuid = reply["file_uuid"].as_str().ok_or_else(|| Error::other("no file_uuid"))?;
            uuid.clone_into(&mut upload.id);
        }
        Ok(())
    }

    /// The request that turns the chunks into a file; `None` if the server has no such step.
    pub(crate) fn done(&self, upload: &Upload) -> Option<String> {
        let fields = match self.dialect {
            Dialect::Floor | Dialect::Put | Dialect::Tus => return None,
            Dialect::Haversack => vec![
                ("uuid", upload.id.clone()),
                ("totalparts", upload.parts().to_string()),
                ("filename", "clip.bin".to_owned()),
            ],
            Dialect::FineUploader => vec![
                ("qquuid", upload.id.clone()),
                ("qqfilename", "clip.bin".to_owned()),
                ("qqtotalparts", upload.parts().to_string()),
                ("qqtotalfilesize", upload.size.to_string()),
            ],
        };
        let (head, tail) = self.form(&format!("{}?done", self.path), "", &fields, None);
        Some(head + &tail)
    }

    /// A multipart request: everything before the file's bytes, and everything after them.
    fn form(
        &self,
        path: &str,
        extra: &str,
        fields: &[(&str, String)],
        file: Option<(&str, u64)>,
    ) -> (String, String) {
        let mut body = String::new();
        for (name, value) in fields {
            let _ = write!(
                body,
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        let mut tail = String::new();
        if let Some((name, _)) = file {
            let _ = write!(
                body,
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"clip.bin\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            tail.push_str("\r\n");
        }
        let _ = write!(tail, "--{BOUNDARY}--\r\n");
        let length = (body.len() + tail.len()) as u64 + file.map_or(0, |(_, length)| length);
        let extra = format!("{extra}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n");
        (self.head("POST", path, &extra, length) + &body, tail)
    }

    fn head(&self, method: &str, path: &str, extra: &str, length: u64) -> String {
        let host = &self.host;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n");
        if !self.token.is_empty() {
            let _ = write!(head, "Authorization: Bearer {}\r\n", self.token);
        }
        let _ = write!(head, "{extra}Content-Length: {length}\r\n\r\n");
        head
    }
}

/// The path of an absolute or relative link.
fn path_of(link: &str) -> &str {
    link.split_once("://")
        .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]))
        .unwrap_or(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(dialect: Dialect) -> Speaker {
        Speaker { dialect, host: "h".to_owned(), path: "/up/".to_owned(), token: String::new() }
    }

    #[test]
    fn the_declared_length_is_that_of_the_form_with_the_chunk_in_it() {
        let upload = Upload { id: "u".to_owned(), size: 25, chunk: 10 };
        let (before, after) = speaker(Dialect::Haversack).around(&upload, 2);
        let (head, fields) = before.split_once("\r\n\r\n").expect("a head");
        let length = (fields.len() + 5 + after.len()).to_string();
        assert!(head.lines().any(|line| line == format!("Content-Length: {length}")), "{head}");
    }

    #[test]
    fn the_path_of_a_link_is_found_with_and_without_host() {
        assert_eq!(path_of("http://host:1/files/a"), "/files/a");
        assert_eq!(path_of("/files/a"), "/files/a");
    }
}
