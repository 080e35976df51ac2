//! Converts the model's requests to HTTP, with either name and any order of fields, and HTTP replies to answers.

mod tus;

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::request::{
    Answer, Chunk, ContentRange, Done, Entry, File, Key, Removed, Request, Single, Thumbnail,
};
use crate::harness::BROKEN_GIF;
use crate::process::http::{self, Multipart, Reply};
use crate::properties::Plan;

/// What section 7 says about each refusal that a sequence can meet: status, `preventRetry`, `reset`.
const REFUSALS: [(&str, u16, bool, bool); 29] = [
    ("required", 400, true, false),
    ("out_of_range", 400, true, false),
    ("changed", 400, true, false),
    ("offset_mismatch", 400, true, false),
    ("overlap", 400, true, false),
    ("out_of_order", 400, true, false),
    ("offset_unknown", 400, false, false),
    ("size_mismatch", 400, true, false),
    ("beyond_total", 400, true, false),
    ("empty_chunk", 400, true, false),
    ("md5_mismatch", 400, true, false),
    ("uneven_chunk", 400, false, true),
    ("chunks_missing", 400, false, true),
    ("parts_not_contiguous", 400, false, false),
    ("bytes_missing", 400, false, false),
    ("not_found", 404, true, false),
    ("chunk_conflict", 409, true, false),
    ("upload_finished", 409, true, false),
    ("file_conflict", 409, true, false),
    ("attached", 409, true, false),
    ("superseded", 409, false, false),
    ("raced", 409, false, false),
    ("sent_in_order", 409, true, false),
    ("partial_upload", 409, true, false),
    ("gone", 410, true, false),
    ("expired", 410, false, true),
    ("not_an_image", 415, true, false),
    ("range_not_satisfiable", 416, false, false),
    ("internal", 500, false, false), // allowed while the server is being dropped
];

/// What a sequence knows about a uuid.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) uuid: String,
    /// Who used it first.
    pub(crate) user: usize,
    /// Which of the sequence's files is sent under it.
    pub(crate) file: usize,
    /// The latest link.
    pub(crate) link: Option<String>,
    pub(crate) is_thumbnail: bool,
    /// How many bytes it has, as the server said last.
    pub(crate) told: usize,
    /// Whether it was created as a piece of an upload to come.
    pub(crate) is_piece: bool,
    /// The pieces that it was joined from, if nobody heard the reply: its uuid is unknown until another one tells.
    pub(crate) unheard: Option<Vec<Key>>,
}

impl Name {
    /// A uuid that this user uses for this file.
    pub(crate) fn new(uuid: String, user: usize, file: usize) -> Self {
        let (link, unheard) = (None, None);
        Self { uuid, user, file, link, is_thumbnail: false, told: 0, is_piece: false, unheard }
    }
}

/// The uuids of a sequence, by their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(pub(crate) Vec<Name>);

impl Names {
    fn key(&mut self, uuid: &Value) -> Key {
        let known = self.0.iter().position(|name| *uuid == name.uuid);
        let known = known.or_else(|| self.tell(uuid, |_| true));
        known.unwrap_or_else(|| panic!("{uuid} is no uuid of this sequence"))
    }

    /// The name that an act is about. Nobody can ask for one that nobody knows.
    pub(crate) fn pick(&self, on: u8) -> Key {
        let key = usize::from(on) % self.0.len();
        if self.0[key].unheard.is_none() { key } else { 0 }
    }

    pub(crate) fn are_known(&self) -> bool {
        self.0.iter().all(|name| name.unheard.is_none())
    }

    /// Of what was joined without anybody hearing the reply, this is the uuid.
    fn tell(&mut self, uuid: &Value, is_it: impl Fn(&[Key]) -> bool) -> Option<Key> {
        let pieces = |name: &Name| name.unheard.as_deref().is_some_and(&is_it);
        let key = self.0.iter().position(pieces)?;
        (self.0[key].uuid, self.0[key].unheard) = (uuid.as_str()?.to_owned(), None);
        Some(key)
    }

    /// The number of a uuid, or a new one if the request was sent without a uuid.
    fn key_or_new(&mut self, uuid: &Value, request: &Request) -> Key {
        let user = match request {
            Request::Chunk(user, _)
            | Request::Single(user, _)
            | Request::Thumbnail(user, _)
            | Request::Create(user, _)
            | Request::Join(user, _) => *user,
            _ => return self.key(uuid),
        };
        if let Request::Join(_, join) = request {
            self.tell(uuid, |pieces| *pieces == join.pieces);
        }
        let is_new = self.0.iter().all(|name| *uuid != name.uuid);
        if request.makes_uuid() && is_new {
            let uuid = uuid.as_str().expect("a uuid").to_owned();
            let is_thumbnail = matches!(request, Request::Thumbnail(..));
            let is_piece = matches!(request, Request::Create(_, create) if create.is_piece);
            self.0.push(Name { is_thumbnail, is_piece, ..Name::new(uuid, user, 0) });
        } else if request.makes_uuid() {
            // The same pieces are the same upload again.
            assert!(matches!(request, Request::Join(..)), "{uuid} was made twice");
        }
        self.key(uuid)
    }
}

/// What may vary between requests with the same content.
pub(crate) struct Spelling<'a> {
    pub(crate) names: &'a Names,
    pub(crate) plan: &'a Plan,
}

type Fields = Vec<(&'static str, String)>;

impl Spelling<'_> {
    fn bit(&self, at: u8) -> bool {
        self.plan.seed_names >> at & 1 == 1
    }

    fn uuid(&self, key: Key) -> String {
        let uuid = &self.names.0[key].uuid;
        if self.bit(6) { uuid.to_uppercase() } else { uuid.clone() }
    }

    /// A path below `upload/`.
    fn path(&self, key: Key, rest: &str) -> String {
        let slash = if self.bit(0) { "/" } else { "" };
        format!("/api/v2/pm/upload/{}{rest}{slash}", self.uuid(key))
    }

    /// The request as HTTP, without a token.
    pub(crate) fn http(&self, request: &Request) -> http::Request {
        match request {
            Request::Chunk(_, chunk) => self.chunk(chunk),
            Request::Single(_, single) => self.single(single),
            Request::Thumbnail(_, thumbnail) => self.thumbnail(thumbnail),
            Request::Done(_, done) => self.done(done),
            Request::Status(_, key) => http::Request::new("GET", &self.path(*key, "")),
            Request::File(_, key) => http::Request::new("GET", &self.path(*key, "/file")),
            Request::List(_) => http::Request::new("GET", "/api/v2/pm/upload/?cursor="),
            Request::Delete(Some(_), key) if self.bit(1) => {
                let body = format!("_method=DELETE&qquuid={}", self.uuid(*key));
                http::Request::new("POST", "/api/v2/pm/upload/")
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .body(body.into_bytes())
            }
            Request::Delete(_, key) => http::Request::new("DELETE", &self.path(*key, "")),
            Request::Link(key, range) => {
                let link = self.names.0[*key].link.as_deref().expect("a link");
                let path = link.splitn(4, '/').nth(3).expect("an absolute link");
                let request = http::Request::new("GET", &format!("/{path}"));
                match range {
                    Some((first, last)) => {
                        request.header("Range", &format!("bytes={first}-{last}"))
                    }
                    None => request,
                }
            }
            Request::Files { .. } => panic!("needs the users' numbers"),
            Request::Create(..)
            | Request::Join(..)
            | Request::Patch(..)
            | Request::Head(..)
            | Request::Redirect(..)
            | Request::End(..) => self.tus(request),
        }
    }

    /// `POST files/`, in which users are numbers.
    pub(crate) fn files(&self, key: Key, attach: bool, of: Option<i64>) -> http::Request {
        let mut body = json!({"uuids": [self.uuid(key)], "attach": attach});
        if let Some(user) = of {
            body["user_id"] = json!(user);
        }
        http::Request::new("POST", "/api/v2/pm/files/")
            .header("Content-Type", "application/json")
            .body(body.to_string().into_bytes())
    }

    fn post(&self, fields: &Fields, range: Option<ContentRange>, bytes: &[u8]) -> http::Request {
        let request = http::Request::upload(self.plan.form(fields, bytes));
        let request = request.chunked(self.plan.framing.clone());
        let Some(ContentRange { first, last, total }) = range else {
            return request;
        };
        let total = total.map_or("*".into(), |total| total.to_string());
        request.header("Content-Range", &format!("bytes {first}-{last}/{total}"))
    }

    fn chunk(&self, chunk: &Chunk) -> http::Request {
        let mut fields = vec![("partindex", chunk.index.to_string())];
        add(&mut fields, "uuid", chunk.key.map(|key| self.uuid(key)));
        add(&mut fields, "totalparts", chunk.parts);
        add(&mut fields, "partbyteoffset", chunk.offset);
        add(&mut fields, "chunksize", chunk.size);
        add(&mut fields, "totalfilesize", chunk.total);
        add(&mut fields, "filename", chunk.name.as_ref());
        self.post(&fields, chunk.range, &chunk.bytes)
    }

    fn single(&self, single: &Single) -> http::Request {
        let mut fields = Fields::new();
        add(&mut fields, "uuid", single.key.map(|key| self.uuid(key)));
        add(&mut fields, "parentuuid", single.parent.map(|key| self.uuid(key)));
        add(&mut fields, "chunksize", single.size);
        add(&mut fields, "totalfilesize", single.total);
        add(&mut fields, "md5", single.md5.as_ref());
        add(&mut fields, "filename", single.name.as_ref());
        self.post(&fields, single.range, &single.bytes)
    }

    fn thumbnail(&self, thumbnail: &Thumbnail) -> http::Request {
        let mut fields = vec![("parentuuid", self.uuid(thumbnail.parent))];
        add(&mut fields, "md5", thumbnail.md5.as_ref());
        self.post(&fields, None, &thumbnail.bytes)
    }

    fn done(&self, done: &Done) -> http::Request {
        let mut fields = vec![("qquuid", self.uuid(done.key))];
        add(&mut fields, "totalfilesize", done.total);
        add(&mut fields, "md5", done.md5.as_ref());
        add(&mut fields, "qqfilename", done.name.as_ref());
        let request = http::Request::new("POST", "/api/v2/pm/upload/?done=");
        match (self.bit(2), self.bit(3)) {
            (true, _) => {
                let fields = fields.into_iter().map(|(name, value)| (name.into(), json!(value)));
                http::Request::done(&Value::Object(fields.collect::<Map<_, _>>()))
            }
            (false, true) => {
                let mut body = String::new();
                for (name, value) in fields {
                    write!(body, "{name}={value}&").expect("written");
                }
                request
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .body(body.into_bytes())
            }
            (false, false) => {
                let form = Multipart::default();
                request
                    .form(fields.iter().fold(form, |form, (name, value)| form.field(name, value)))
            }
        }
    }
}

fn add(fields: &mut Fields, name: &'static str, value: Option<impl ToString>) {
    fields.extend(value.map(|value| (name, value.to_string())));
}

/// Parses a reply. Fails the test if it doesn't have the promised shape.
pub(crate) fn answer(request: &Request, reply: &Reply, names: &mut Names) -> Answer {
    if is_tus(request) {
        return tus::answer(request, reply, names);
    }
    if reply.status >= 400 {
        return refusal(reply, &REFUSALS);
    }
    if let Request::Link(key, _) = request {
        if names.0[*key].is_thumbnail {
            if reply.body != BROKEN_GIF {
                image::load_from_memory(&reply.body).expect("a picture");
            }
            return Answer::Picture;
        }
        return Answer::Bytes { status: reply.status, bytes: reply.body.clone() };
    }
    let body = reply.ok();
    match request {
        Request::Chunk(..) => Answer::Chunk(names.key_or_new(&body["file_uuid"], request)),
        Request::Thumbnail(..) => {
            let key = names.key_or_new(&body["file_uuid"], request);
            names.0[key].link = Some(text(&body["file_url"]));
            Answer::Thumbnail { key, parent: names.key(&body["parent_file_uuid"]) }
        }
        Request::Single(..) | Request::Done(..) => {
            let key = names.key_or_new(&body["uuid"], request);
            assert_eq!(body["success"], true, "{body}");
            assert_eq!(body["file_uuid"], body["uuid"], "{body}");
            assert_eq!(body["file_url"], body["url"], "{body}");
            Answer::File(file(&body, key, names))
        }
        Request::File(..) => Answer::File(file(&body, names.key(&body["uuid"]), names)),
        Request::Status(..) if body["finished"] == true => {
            assert_eq!(body["received"], body["totalfilesize"], "{body}");
            Answer::Finished { size: number(&body["received"]) }
        }
        Request::Status(..) => Answer::Unfinished {
            parts: optional(&body["totalparts"]),
            total: optional(&body["totalfilesize"]),
            received: number(&body["received"]),
            present: indexes(&body["parts"]),
        },
        Request::List(_) => {
            assert_eq!(body["next"], Value::Null, "one page is enough here");
            let results = body["results"].as_array().expect("results").iter();
            Answer::List(results.map(|result| entry(result, names)).collect())
        }
        Request::Delete(..) => {
            let removed = &body["removed"];
            let count = |name: &str| removed[name].as_u64().expect("a number");
            Answer::Removed(Removed {
                files: count("files"),
                thumbnails: count("thumbnails"),
                unfinished: count("unfinished"),
                bytes: number(&removed["bytes"]),
            })
        }
        Request::Files { .. } => {
            let files = body.as_array().expect("an array");
            assert_eq!(files.len(), 1, "{body}");
            let found = files.iter().find(|file| !file.is_null());
            Answer::Files(found.map(|found| file(found, names.key(&found["uuid"]), names)))
        }
        _ => unreachable!("answered above"),
    }
}

fn is_tus(request: &Request) -> bool {
    matches!(
        request,
        Request::Create(..)
            | Request::Join(..)
            | Request::Patch(..)
            | Request::Head(..)
            | Request::Redirect(..)
            | Request::End(..)
    )
}

fn refusal(reply: &Reply, refusals: &[(&'static str, u16, bool, bool)]) -> Answer {
    let (code, body) = (reply.refusal(), reply.json());
    let known = refusals.iter().find(|(known, ..)| *known == code);
    let Some((code, status, prevent_retry, reset)) = known else {
        panic!("no request of these is refused so: {} {body}", reply.status);
    };
    assert_eq!(reply.status, *status, "{body}");
    assert_eq!(body["preventRetry"], *prevent_retry, "{body}");
    assert_eq!(body["reset"] == true, *reset, "{body}");
    let missing = body["missing"].as_array().map(|missing| missing.iter().map(number).collect());
    Answer::Refused { code, missing: missing.unwrap_or_default() }
}

fn file(body: &Value, key: Key, names: &mut Names) -> File {
    assert!(body["mimetype"].as_str().is_some_and(|it| it.contains('/')), "{body}");
    names.0[key].link = Some(text(&body["url"]));
    let name = text(&body["filename"]);
    File {
        key,
        name: (!name.starts_with("file")).then_some(name), // what the server calls files without a name
        size: number(&body["filesize"]),
        thumbnail: body["thumbnail"].is_string(),
    }
}

fn entry(body: &Value, names: &mut Names) -> Entry {
    if body["state"] == "finished" {
        return Entry::Finished(file(body, names.key(&body["uuid"]), names));
    }
    assert_eq!(body["state"], "unfinished", "{body}");
    Entry::Unfinished {
        key: names.key(&body["file_uuid"]),
        name: body["filename"].as_str().map(ToOwned::to_owned),
        parts: optional(&body["totalparts"]),
        total: optional(&body["totalfilesize"]),
        received: number(&body["received"]),
    }
}

/// The indexes in closed ranges, one by one.
fn indexes(ranges: &Value) -> Vec<usize> {
    let ranges = ranges.as_array().expect("ranges").iter();
    ranges.flat_map(|range| number(&range[0])..=number(&range[1])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn number(value: &Value) -> usize {
    optional(value).unwrap_or_else(|| panic!("{value} is no number"))
}

fn optional(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| number.try_into().ok())
}
