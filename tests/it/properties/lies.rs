//! Requests that contradict themselves or the upload: refused by name, and the upload goes on.

use haversack::ids::UploadId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::plan::{Cut, MOST, Plan, cut, explicit, md5_of, plan};
use super::server::Server;
use crate::process::http::{Reply, Request, download};

/// One contradiction.
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

/// The fields with one of them set to another value.
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

    /// Tells the lie of this chunk; gives the reply and the field that it must name.
    fn tell(&self, lie: Lie, index: usize, by: usize, plan: &Plan) -> (Reply, &'static str) {
        let (range, total) = (self.cut.range(index), self.bytes.len());
        let honest = explicit().fields(self.cut, index);
        let count = self.cut.count();
        let (fields, named) = match lie {
            Lie::ChunkSize => (with(honest, "chunksize", range.len() + by), "chunksize"),
            Lie::TotalParts => (with(honest, "totalparts", count + by), "totalparts"),
            Lie::TotalSize => (with(honest, "totalfilesize", total + by), "totalfilesize"),
            Lie::Offset => {
                let plan =
                    Plan { content_range: Some(super::plan::RangeTotal::Star), ..plan.clone() };
                let fields = with(honest, "partbyteoffset", range.start + by);
                return (self.send(index, &plan, fields), "partbyteoffset");
            }
            Lie::PartIndex => (with(honest, "partindex", count + by - 1), "partindex"),
            Lie::PastTheTotal => {
                let fields = with(honest, "partbyteoffset", total - range.len() + by);
                (fields, "totalfilesize")
            }
            Lie::Number => (with(honest, "partbyteoffset", format!("-{by}")), "partbyteoffset"),
            Lie::DoneSize => {
                let reply = self.done(&json!({"totalfilesize": total + by}));
                return (reply, "totalfilesize");
            }
            Lie::DoneMd5 => return (self.done(&json!({"md5": md5_of(b"another")})), "md5"),
        };
        // The header would contradict what was altered.
        let plan = Plan { content_range: None, ..plan.clone() };
        (self.send(index, &plan, fields), named)
    }
}

#[test]
fn a_contradiction_is_refused_by_the_name_of_its_field_and_the_upload_goes_on() {
    let server = Server::start();
    let parts = (cut(), vec(plan(), MOST + 1), lie(), any::<Index>(), 1..5000_usize);
    proptest!(super::config(), |((cut, plans, lie, pick, by) in parts)| {
        let bytes = cut.bytes();
        let upload = Upload {
            server: &server,
            token: server.new_user(),
            cut: &cut,
            bytes: bytes.clone(),
            id: UploadId::random().to_string(),
        };
        let (plain, last) = (explicit(), cut.count() - 1);
        let liar = pick.index(cut.count());
        let of_done = matches!(lie, Lie::DoneSize | Lie::DoneMd5);
        // Some chunk of the upload is there, or a total could not be contradicted; a done needs all.
        for index in (0..=last).filter(|index| of_done || *index != liar) {
            upload.send(index, &plain, plain.fields(&cut, index)).ok();
        }
        if last == 0 && matches!(lie, Lie::TotalSize | Lie::TotalParts) {
            return Ok(()); // nothing was said before
        }
        let (reply, named) = upload.tell(lie, liar, by, &plans[liar]);
        prop_assert_eq!(reply.status, 400, "{}", reply.json());
        reply.refusal();
        let told = reply.json();
        let field = told["errors"][0]["field"].as_str().unwrap_or_default();
        // A larger chunk may also meet its neighbour or the end of the file first.
        let larger = matches!(lie, Lie::ChunkSize) && ["totalfilesize", "partbyteoffset"].contains(&field);
        prop_assert!(field == named || larger, "{}", &told);
        prop_assert!(told["reset"].is_null(), "{}", &told);
        upload.send(liar, &plain, plain.fields(&cut, liar)).ok();
        let file = upload.done(&json!({"totalfilesize": bytes.len(), "md5": md5_of(&bytes)})).ok();
        let url = file["file_url"].as_str().expect("a link");
        let served = download(&server.host, url).expect("a reply");
        prop_assert!(served.body == bytes, "other bytes are served");
    });
}
