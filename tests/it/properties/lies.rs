//! Requests that contradict themselves or the upload: refused with the name of a field, and the upload continues.

use std::ops::Range;

use haversack::ids::UploadId;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::plan::{Cut, Plan, cut, explicit, md5_of, plan};
use super::server::Server;
use crate::process::http::{Reply, Request, download};

/// A contradiction.
#[derive(Clone, Copy, Debug)]
enum Lie {
    ChunkSize,
    TotalParts,
    TotalSize,
    Offset,
    PartIndex,
    PastTheTotal,
    Number,
    DoneSize,
    DoneMd5,
}

fn lie() -> impl Strategy<Value = Lie> {
    prop_oneof![
        Just(Lie::ChunkSize),
        Just(Lie::TotalParts),
        Just(Lie::TotalSize),
        Just(Lie::Offset),
        Just(Lie::PartIndex),
        Just(Lie::PastTheTotal),
        Just(Lie::Number),
        Just(Lie::DoneSize),
        Just(Lie::DoneMd5),
    ]
}

/// The fields, with one of them set to another value.
fn with(
    mut fields: Vec<(&'static str, String)>,
    field: &'static str,
    value: impl ToString,
) -> Vec<(&'static str, String)> {
    fields.retain(|(name, _)| *name != field);
    fields.push((field, value.to_string()));
    fields
}

struct Upload<'a> {
    server: &'a Server,
    token: String,
    cut: &'a Cut,
    bytes: Vec<u8>,
    id: String,
}

impl Upload<'_> {
    fn send(&self, index: usize, plan: &Plan, fields: Vec<(&'static str, String)>) -> Reply {
        let bytes = &self.bytes[self.cut.range(index)];
        let request = plan.request(self.cut, index, Some(&self.id), fields, bytes);
        let request = request.token(&self.token);
        let reply = request.send_split(&self.server.host, &plan.writes);
        reply.expect("a reply")
    }

    fn done(&self, more: &Value) -> Reply {
        let mut fields = json!({"uuid": self.id});
        for (name, value) in more.as_object().expect("fields") {
            fields[name] = value.clone();
        }
        let request = Request::done(&fields).token(&self.token);
        request.send(&self.server.host).expect("a reply")
    }

    /// The fields that a refusal may name for a chunk that covers these bytes.
    fn misplaced(&self, index: usize, covered: &Range<usize>) -> Vec<&'static str> {
        let others = (0..self.cut.count()).filter(|other| *other != index);
        let shares = |other: Range<usize>| other.start < covered.end && covered.start < other.end;
        let overlaps = others.map(|other| self.cut.range(other)).any(shares);
        let is_past_the_end = covered.end > self.bytes.len();
        let named = [(overlaps, "partbyteoffset"), (is_past_the_end, "totalfilesize")];
        named.into_iter().filter(|(is, _)| *is).map(|(_, field)| field).collect()
    }

    /// Sends this contradiction. Returns the reply, and the fields of which it must name one. A wrong place or size may
    /// also put the chunk past the file's end or over others.
    fn tell(&self, lie: Lie, index: usize, by: usize, plan: &Plan) -> (Reply, Vec<&'static str>) {
        let (range, total) = (self.cut.range(index), self.bytes.len());
        let honest = explicit().fields(self.cut, index);
        let count = self.cut.count();
        let (fields, named) = match lie {
            Lie::ChunkSize => {
                let misplaced = self.misplaced(index, &(range.start..range.end + by));
                let named = [vec!["chunksize"], misplaced].concat();
                (with(honest, "chunksize", range.len() + by), named)
            }
            Lie::TotalParts => (with(honest, "totalparts", count + by), vec!["totalparts"]),
            Lie::TotalSize => (with(honest, "totalfilesize", total + by), vec!["totalfilesize"]),
            Lie::Offset => {
                let plan =
                    Plan { content_range: Some(super::plan::RangeTotal::Star), ..plan.clone() };
                let fields = with(honest, "partbyteoffset", range.start + by);
                return (self.send(index, &plan, fields), vec!["partbyteoffset"]);
            }
            Lie::PartIndex => (with(honest, "partindex", count + by - 1), vec!["partindex"]),
            Lie::PastTheTotal => {
                let start = total - range.len() + by;
                let named = self.misplaced(index, &(start..total + by));
                (with(honest, "partbyteoffset", start), named)
            }
            Lie::Number => {
                let fields = with(honest, "partbyteoffset", format!("-{by}"));
                (fields, vec!["partbyteoffset"])
            }
            Lie::DoneSize => {
                let reply = self.done(&json!({"totalfilesize": total + by}));
                return (reply, vec!["totalfilesize"]);
            }
            Lie::DoneMd5 => return (self.done(&json!({"md5": md5_of(b"another")})), vec!["md5"]),
        };
        // The header would contradict what was altered.
        let plan = Plan { content_range: None, ..plan.clone() };
        (self.send(index, &plan, fields), named)
    }
}

/// Sends an upload with this contradiction in one of its chunks.
fn refuses(
    server: &Server,
    cut: &Cut,
    (lie, liar, by): (Lie, usize, usize),
    plan: &Plan,
) -> Result<(), TestCaseError> {
    let bytes = cut.bytes();
    let upload = Upload {
        server,
        token: server.new_user(),
        cut,
        bytes: bytes.clone(),
        id: UploadId::random().to_string(),
    };
    let (plain, last) = (explicit(), cut.count() - 1);
    let of_done = matches!(lie, Lie::DoneSize | Lie::DoneMd5);
    // Some chunk must be present, because otherwise a total could not be contradicted; a done needs all.
    for index in (0..=last).filter(|index| of_done || *index != liar) {
        upload.send(index, &plain, plain.fields(cut, index)).ok();
    }
    if last == 0 && matches!(lie, Lie::TotalSize | Lie::TotalParts) {
        return Ok(()); // nothing was stated before
    }
    let (reply, named) = upload.tell(lie, liar, by, plan);
    prop_assert_eq!(reply.status, 400, "{}", reply.json());
    reply.refusal();
    let told = reply.json();
    let field = told["errors"][0]["field"].as_str().unwrap_or_default();
    prop_assert!(named.contains(&field), "{:?} and not {}", named, &told);
    prop_assert!(told["reset"].is_null(), "{}", &told);
    upload.send(liar, &plain, plain.fields(cut, liar)).ok();
    let file = upload.done(&json!({"totalfilesize": bytes.len(), "md5": md5_of(&bytes)})).ok();
    let url = file["file_url"].as_str().expect("a link");
    let served = download(&server.host, url).expect("a reply");
    prop_assert!(served.body == bytes, "other bytes are served");
    Ok(())
}

#[test]
fn a_contradiction_is_refused_by_the_name_of_its_field_and_the_upload_goes_on() {
    let server = Server::start();
    let parts = (cut(), plan(), lie(), any::<Index>(), 1..5000_usize);
    proptest!(super::config(), |((cut, plan, lie, pick, by) in parts)| {
        refuses(&server, &cut, (lie, pick.index(cut.count()), by), &plan)?;
    });
}

/// It is known that its place is taken before it is known that its size is too large for the rest of the file.
#[test]
fn of_two_mistakes_the_one_that_is_known_before_the_file_may_be_named() {
    let cut = Cut { sizes: vec![1555, 1555, 1555, 2], seed: 0 };
    let (last_byte, size_behind_the_file) = (cut.bytes().len() - 1, 0b100);
    let by = last_byte - (cut.bytes().len() - 1555);
    let plan = Plan { behind: size_behind_the_file, ..explicit() };
    refuses(&Server::start(), &cut, (Lie::PastTheTotal, 2, by), &plan).expect("refused for it");
}
