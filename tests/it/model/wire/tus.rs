//! Requests and replies of tus.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::Value;

use super::{Names, Spelling, refusal};
use crate::model::request::{Answer, Create, FileState, Join, Key, Patch, Progress, Request};
use crate::process::http::{self, Reply};

const TUS: &str = "/api/v2/tus/";

/// What docs/tus.md says about each refusal that a sequence can meet: status, `preventRetry`, `reset`.
const REFUSALS: [(&str, u16, bool, bool); 15] = [
    ("changed", 400, true, false),
    ("not_partial", 400, true, false),
    ("forbidden", 403, true, false),
    ("not_found", 404, true, false),
    ("attached", 409, true, false),
    ("bytes_missing", 409, false, false),
    ("offset_mismatch", 409, false, false),
    ("raced", 409, false, false),
    ("superseded", 409, false, false),
    ("gone", 410, true, false),
    ("expired", 410, false, true),
    ("beyond_total", 413, true, false),
    ("checksum_mismatch", 460, false, false),
    ("md5_mismatch", 460, false, true),
    ("internal", 500, false, false), // allowed while the server is being dropped
];

impl Spelling<'_> {
    /// A request by tus, without a token.
    pub(super) fn tus(&self, request: &Request) -> http::Request {
        match request {
            Request::Create(_, create) => self.create(create),
            Request::Join(_, join) => self.join(join),
            Request::Patch(_, patch) => self.patch(patch),
            // So that refusals have bodies.
            Request::Head(_, key) => {
                self.method("GET", *key).header("X-HTTP-Method-Override", "HEAD")
            }
            Request::Redirect(_, key) => self.method("GET", *key),
            Request::End(_, key) if self.bit(1) => {
                self.method("POST", *key).header("X-HTTP-Method-Override", "DELETE")
            }
            Request::End(_, key) => self.method("DELETE", *key),
            _ => unreachable!("a request of the other dialect"),
        }
    }

    fn method(&self, method: &str, key: Key) -> http::Request {
        request(method, &self.address(key))
    }

    fn address(&self, key: Key) -> String {
        let slash = if self.bit(0) { "/" } else { "" };
        format!("{TUS}{}{slash}", self.uuid(key))
    }

    fn create(&self, create: &Create) -> http::Request {
        let mut request = request("POST", TUS);
        request = match create.length {
            Some(length) => request.header("Upload-Length", &length.to_string()),
            None => request.header("Upload-Defer-Length", "1"),
        };
        if create.is_piece {
            request = request.header("Upload-Concat", "partial");
        }
        request = self.describe(request, create.name.as_deref(), create.md5.as_deref());
        match &create.bytes {
            Some(first) => self.bytes(request, &first.bytes, first.checksum),
            None => request,
        }
    }

    fn join(&self, join: &Join) -> http::Request {
        let addresses = join.pieces.iter().map(|key| self.address(*key));
        let concat = format!("final;{}", addresses.collect::<Vec<_>>().join(" "));
        let request = request("POST", TUS).header("Upload-Concat", &concat);
        self.describe(request, join.name.as_deref(), join.md5.as_deref())
    }

    fn describe(
        &self,
        request: http::Request,
        name: Option<&str>,
        md5: Option<&str>,
    ) -> http::Request {
        let key = if self.bit(2) { "filename" } else { "name" };
        let pairs = [(key, name), ("md5", md5)].into_iter();
        let pair = |(key, value): (&str, Option<&str>)| {
            value.map(|value| format!("{key} {}", STANDARD.encode(value)))
        };
        let pairs: Vec<String> = pairs.filter_map(pair).collect();
        match pairs.is_empty() {
            true => request,
            false => request.header("Upload-Metadata", &pairs.join(",")),
        }
    }

    fn patch(&self, patch: &Patch) -> http::Request {
        let mut request = match self.bit(3) {
            true => self.method("POST", patch.key).header("X-HTTP-Method-Override", "PATCH"),
            false => self.method("PATCH", patch.key),
        };
        request = request.header("Upload-Offset", &patch.offset.to_string());
        if let Some(total) = patch.total {
            request = request.header("Upload-Length", &total.to_string());
        }
        self.bytes(request, &patch.bytes.bytes, patch.bytes.checksum)
    }

    fn bytes(&self, request: http::Request, bytes: &[u8], checksum: Option<bool>) -> http::Request {
        let mut request = request.header("Content-Type", "application/offset+octet-stream");
        if let Some(is_right) = checksum {
            let of = if is_right { bytes } else { &[bytes, b"!"].concat() };
            request = request.header("Upload-Checksum", &self.checksum(of));
        }
        request.body(bytes.to_vec()).chunked(self.plan.framing.clone())
    }

    fn checksum(&self, bytes: &[u8]) -> String {
        let (name, sum) = match (self.bit(4), self.bit(5)) {
            (false, false) => ("crc32", crc32fast::hash(bytes).to_be_bytes().to_vec()),
            (false, true) => ("md5", Md5::digest(bytes).to_vec()),
            (true, false) => ("sha1", digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()),
            (true, true) => ("sha256", digest(&SHA256, bytes).as_ref().to_vec()),
        };
        format!("{name} {}", STANDARD.encode(sum))
    }
}

fn request(method: &str, path: &str) -> http::Request {
    http::Request::new(method, path).header("Tus-Resumable", "1.0.0")
}

/// Parses a reply. Fails the test if it doesn't have the promised shape.
pub(super) fn answer(request: &Request, reply: &Reply, names: &mut Names) -> Answer {
    assert_eq!(reply.header("tus-resumable"), Some("1.0.0"), "{reply:?}");
    let answer = understood(request, reply, names);
    let told = match (request, &answer) {
        (_, Answer::Created { key, offset, .. }) => Some((*key, *offset)),
        (Request::Patch(_, patch), Answer::Appended { offset, .. } | Answer::Elsewhere(offset)) => {
            Some((patch.key, *offset))
        }
        (Request::Head(_, key), Answer::Progress(progress)) => Some((*key, progress.offset)),
        _ => None,
    };
    if let Some((key, told)) = told {
        names.0[key].told = told;
    }
    answer
}

fn understood(request: &Request, reply: &Reply, names: &mut Names) -> Answer {
    if reply.status >= 400 {
        let refused = refusal(reply, &REFUSALS);
        if refused == Answer::refused("offset_mismatch") {
            return Answer::Elsewhere(super::number(&reply.json()["offset"]));
        }
        return refused;
    }
    let is_piece = match request {
        Request::Create(_, create) => create.is_piece,
        Request::Patch(_, patch) => names.0[patch.key].is_piece,
        _ => reply.header("upload-concat") == Some("partial"),
    };
    match request {
        Request::Create(..) | Request::Join(..) => {
            assert_eq!(reply.status, 201, "{reply:?}");
            let uuid = uuid_in(reply.header("location").expect("an address"));
            let key = names.key_or_new(&Value::from(uuid), request);
            let state = state(reply, is_piece, names);
            Answer::Created { key, offset: number(reply, "upload-offset").expect("told"), state }
        }
        Request::Patch(..) => {
            assert_eq!(reply.status, 204, "{reply:?}");
            let state = state(reply, is_piece, names);
            Answer::Appended { offset: number(reply, "upload-offset").expect("told"), state }
        }
        Request::Head(..) => {
            assert_eq!(reply.status, 200, "{reply:?}");
            let total = number(reply, "upload-length");
            let is_deferred = reply.header("upload-defer-length") == Some("1");
            assert_eq!(total.is_none(), is_deferred, "{reply:?}");
            let concat = reply.header("upload-concat").unwrap_or_default();
            let addresses = concat.strip_prefix("final;").into_iter();
            let addresses = addresses.flat_map(|list| list.split(' '));
            Answer::Progress(Progress {
                offset: number(reply, "upload-offset").expect("told"),
                total,
                name: name(reply),
                is_piece,
                pieces: addresses.map(|url| names.key(&Value::from(uuid_in(url)))).collect(),
                state: state(reply, is_piece, names),
            })
        }
        Request::Redirect(..) => {
            assert_eq!(reply.status, 302, "{reply:?}");
            let link = reply.header("location").expect("a link");
            let uuid = link.rsplit('/').nth(1).expect("a link's uuid");
            let key = names.key(&Value::from(uuid));
            names.0[key].link = Some(link.to_owned());
            Answer::Redirect(key)
        }
        _ => {
            assert_eq!(reply.status, 204, "{reply:?}");
            Answer::Ended
        }
    }
}

/// What a reply says of the File. Unless all bytes are there and it is one, or about to be, it says when they expire.
fn state(reply: &Reply, is_piece: bool, names: &mut Names) -> FileState {
    let file = reply.header("file-uuid").map(|uuid| names.key(&Value::from(uuid)));
    let link = reply.header("file-url").map(ToOwned::to_owned);
    let state = match (reply.header("file-state"), file) {
        (None, None) => FileState::Unfinished,
        (Some("verifying"), None) => FileState::Verifying,
        (Some("finished"), Some(key)) => {
            names.0[key].link = Some(link.clone().expect("a link"));
            FileState::Finished(key)
        }
        _ => panic!("{reply:?}"),
    };
    assert_eq!(link.is_some(), file.is_some(), "{reply:?}");
    let expires = reply.header("upload-expires").is_some();
    assert_eq!(expires, state == FileState::Unfinished, "{reply:?}");
    assert!(!is_piece || expires, "{reply:?}");
    state
}

/// The name in `Upload-Metadata`, unless the server made it up.
fn name(reply: &Reply) -> Option<String> {
    let metadata = reply.header("upload-metadata")?;
    let value = metadata.split(',').find_map(|pair| pair.strip_prefix("filename "))?;
    let name = STANDARD.decode(value).expect("Base64");
    let name = String::from_utf8(name).expect("UTF-8");
    (!name.starts_with("file")).then_some(name)
}

fn number(reply: &Reply, header: &str) -> Option<usize> {
    reply.header(header).map(|text| text.parse().expect("a number"))
}

fn uuid_in(address: &str) -> &str {
    address.rsplit('/').next().expect("a uuid")
}
