//! What a client sees when a request succeeds (protocol, section 6).

use http::{Extensions, HeaderMap};
use serde_json::{Value, json};

use crate::filename::Filename;
use crate::http::context::Context;
use crate::http::request::base;
use crate::ids::UploadId;
use crate::links::{Links, Variant};
use crate::metadata::{Listed, Role, StoredFile, Unfinished};
use crate::uploads::{Erased, Uploads};

/// Makes replies for one request: links are absolute, from the address its client used.
pub struct Replies<'a> {
    links: &'a Links,
    /// Scheme and authority, without a slash at the end.
    base: String,
}

impl<'a> Replies<'a> {
    /// Replies to a request with this head.
    pub fn new(context: &'a Context, headers: &HeaderMap, extensions: &Extensions) -> Self {
        Self { links: &context.links, base: base(context, headers, extensions) }
    }

    /// A chunk is on record.
    pub fn chunk(id: UploadId) -> Value {
        json!({"success": true, "file_uuid": id.to_string()})
    }

    /// An upload or a file is gone, and what that was.
    pub fn removed(id: UploadId, erased: &Erased) -> Value {
        json!({"success": true, "file_uuid": id.to_string(), "removed": erased})
    }

    /// A File, as done and single answer it.
    pub fn finished(&self, file: &StoredFile) -> Value {
        let mut reply = self.file(file);
        reply["success"] = json!(true);
        reply["file_uuid"] = reply["uuid"].clone();
        reply["file_url"] = reply["url"].clone();
        reply
    }

    /// A thumbnail.
    pub fn thumbnail(&self, thumbnail: &StoredFile) -> Value {
        json!({
            "success": true,
            "file_uuid": thumbnail.id.to_string(),
            "file_url": self.link(thumbnail.id, Variant::Thumbnail),
            "parent_file_uuid": thumbnail.parent.map(|id| id.to_string()),
        })
    }

    /// The File object.
    pub fn file(&self, file: &StoredFile) -> Value {
        let variant = match file.role {
            Role::Media => Variant::File,
            Role::Thumbnail => Variant::Thumbnail,
        };
        json!({
            "uuid": file.id.to_string(),
            "filename": file.filename.as_str(),
            "filesize": file.size,
            "mimetype": file.facts.media_type.essence(),
            "duration": file.facts.duration_secs,
            "width": file.facts.width,
            "height": file.facts.height,
            "metadata": file.embedded.as_str(),
            "created": file.created_at,
            "url": self.link(file.id, variant),
            "thumbnail": file.thumbnail.map(|id| self.link(id, Variant::Thumbnail)),
        })
    }

    /// An unfinished upload.
    pub fn status(uploads: &Uploads, id: UploadId, unfinished: &Unfinished) -> Value {
        let layout = &unfinished.layout;
        json!({
            "file_uuid": id.to_string(),
            "totalparts": layout.total_parts,
            "totalfilesize": layout.total_size,
            "received": layout.received_bytes(),
            "parts": layout.present(),
            "expires": uploads.expires_at(unfinished.touched_at),
        })
    }

    /// A finished upload, in the words of [`Replies::status`].
    pub fn finished_status(id: UploadId, file: &StoredFile) -> Value {
        json!({
            "file_uuid": id.to_string(),
            "finished": true,
            "totalfilesize": file.size,
            "received": file.size,
        })
    }

    /// An entry of a list: which of the two it is, and what it is.
    pub fn listed(&self, uploads: &Uploads, entry: &Listed) -> Value {
        match entry {
            Listed::Unfinished(upload) => json!({
                "state": "unfinished",
                "file_uuid": upload.id.to_string(),
                "filename": upload.filename.as_ref().map(Filename::as_str),
                "totalparts": upload.total_parts,
                "totalfilesize": upload.total_size,
                "received": upload.received_bytes,
                "expires": uploads.expires_at(upload.touched_at),
            }),
            Listed::File(file) => {
                let mut entry = self.file(file);
                entry["state"] = json!("finished");
                entry
            }
        }
    }

    fn link(&self, id: UploadId, variant: Variant) -> String {
        format!("{}{}", self.base, self.links.path(id, variant))
    }
}
