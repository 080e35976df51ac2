//! A multipart form with any fields in any order, as it is sent.
#![allow(clippy::needless_pass_by_value)] // `field("partindex", 0)` reads better than `&0`

const BOUNDARY: &str = "----haversack-test-boundary";

/// A form under construction: fields, a file, fields.
#[derive(Clone, Default)]
pub(crate) struct Form {
    before: Vec<(String, String)>,
    file: Option<File>,
    after: Vec<(String, String)>,
    pub(super) content_range: Option<String>,
}

#[derive(Clone)]
struct File {
    field: &'static str,
    name: Option<String>,
    bytes: Vec<u8>,
}

impl Form {
    /// An empty form.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A chunk: `partindex`, `totalparts` and the bytes, with the name that browsers give to blobs.
    pub(crate) fn chunk(index: u32, total: u32, bytes: impl AsRef<[u8]>) -> Self {
        Self::single(bytes).field("partindex", index).field("totalparts", total)
    }

    /// A single file: only `file`.
    pub(crate) fn single(bytes: impl AsRef<[u8]>) -> Self {
        Self::new().file("file", Some("blob"), bytes)
    }

    /// A thumbnail, in the order in which the original client sends it: the file first.
    pub(crate) fn thumbnail(parent: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::single(bytes).after("parentuuid", parent)
    }

    /// Adds a field before the file.
    pub(crate) fn field(mut self, name: &str, value: impl ToString) -> Self {
        self.before.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a field after the file.
    pub(crate) fn after(mut self, name: &str, value: impl ToString) -> Self {
        self.after.push((name.to_owned(), value.to_string()));
        self
    }

    /// Names the upload it belongs to, before the file.
    pub(crate) fn uuid(self, uuid: &str) -> Self {
        self.field("uuid", uuid)
    }

    /// Sets the file.
    pub(crate) fn file(
        mut self,
        field: &'static str,
        name: Option<&str>,
        bytes: impl AsRef<[u8]>,
    ) -> Self {
        self.file = Some(File {
            field,
            name: name.map(ToOwned::to_owned),
            bytes: bytes.as_ref().to_owned(),
        });
        self
    }

    /// Sets the file's name in the head of its part.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.file.as_mut().unwrap().name = Some(name.to_owned());
        self
    }

    /// Adds a `Content-Range` header.
    pub(crate) fn content_range(mut self, value: &str) -> Self {
        self.content_range = Some(value.to_owned());
        self
    }

    /// Moves all fields after the file.
    pub(crate) fn file_first(mut self) -> Self {
        self.after.append(&mut self.before);
        self
    }

    /// Renames every field to its Fine Uploader name.
    pub(crate) fn in_seed_dialect(mut self) -> Self {
        for (name, _) in self.before.iter_mut().chain(&mut self.after) {
            name.insert_str(0, "qq");
        }
        if let Some(file) = &mut self.file {
            file.field = "qqfile";
        }
        self
    }

    /// The `Content-Type` of [`Form::encode`].
    pub(crate) fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    /// The body.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        encode_fields(&mut body, &self.before);
        if let Some(file) = &self.file {
            let name = file.name.as_ref();
            let name = name.map_or(String::new(), |name| format!("; filename=\"{name}\""));
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"{name}\r\n\
                 Content-Type: application/octet-stream\r\n\r\n",
                file.field
            );
            body.extend(head.as_bytes());
            body.extend(&file.bytes);
            body.extend(b"\r\n");
        }
        encode_fields(&mut body, &self.after);
        body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
        body
    }
}

fn encode_fields(body: &mut Vec<u8>, fields: &[(String, String)]) {
    for (name, value) in fields {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend(part.as_bytes());
    }
}
