//! Chunked uploads of honest clients.

use std::sync::atomic::{AtomicUsize, Ordering};

use haversack::ids::UploadId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::plan::{Cut, Finish, MOST, Plan, cut, explicit, finish, plan};
use super::server::Server;
use crate::process::http::{Multipart, Reply, Request, download};

/// An upload in progress.
struct Upload<'a> {
    server: &'a Server,
    token: &'a str,
    cut: &'a Cut,
    bytes: &'a [u8],
    id: String,
    /// Whether every chunk has exactly one right place, however little it states. Then no refusal is allowed except
    /// that of a last chunk which nothing places.
    placed: bool,
}

/// The result of sending a chunk.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Taken,
    /// The chunks' sizes don't fit what was stated about them: the upload must begin again.
    BeginAgain,
}

impl Upload<'_> {
    fn send(&self, index: usize, plan: &Plan, bytes: &[u8]) -> Reply {
        let fields = plan.fields(self.cut, index);
        let request = plan.request(self.cut, index, Some(&self.id), fields, bytes);
        let request = request.token(self.token);
        let reply = request.send_split(&self.server.host, &plan.writes);
        reply.expect("a reply")
    }

    /// Sends a chunk. `crowded` means that another sender may come later with the same chunk, and takes precedence.
    fn send_until_heard(&self, index: usize, plan: &Plan, crowded: bool) -> Reply {
        loop {
            let reply = self.send(index, plan, &self.bytes[self.cut.range(index)]);
            if !(crowded && reply.status == 409 && reply.refusal() == "superseded") {
                return reply;
            }
        }
    }

    /// Sends a chunk, and whatever the refusal says would help.
    fn deliver(&self, index: usize, plan: &Plan, crowded: bool) -> Sent {
        let reply = self.send_until_heard(index, plan, crowded);
        if reply.status == 200 {
            return self.taken(&reply);
        }
        assert_eq!(reply.status, 400, "{}", reply.json());
        match reply.refusal().as_str() {
            "offset_unknown" => {
                assert_eq!(index + 1, self.cut.count(), "{}", reply.json());
                assert!(!plan.says_offset() && !plan.total, "{}", reply.json());
                let helped = Plan { offset: true, ..plan.clone() };
                self.taken(&self.send_until_heard(index, &helped, crowded))
            }
            "uneven_chunk" => {
                assert!(!self.placed, "{}", reply.json());
                assert_eq!(reply.json()["reset"], true);
                Sent::BeginAgain
            }
            "overlap" | "out_of_order" | "beyond_total" => {
                assert!(!self.placed, "{}", reply.json());
                Sent::BeginAgain
            }
            _ => panic!("{}", reply.json()),
        }
    }

    fn taken(&self, reply: &Reply) -> Sent {
        assert_eq!(reply.ok()["file_uuid"], self.id);
        Sent::Taken
    }

    fn finish(&self, finish: Finish) -> Value {
        let request = finish.request(&self.id, self.bytes).token(self.token);
        request.send(&self.server.host).expect("a reply").ok()
    }

    /// Checks that the File is the file that was split, and stays the same whatever is sent again.
    fn assert_finished(&self, finish: Finish, repeat: usize, plan: &Plan) {
        let file = self.finish(finish);
        assert_eq!(file["filesize"], self.bytes.len());
        assert_eq!(file["filename"], "cut.bin");
        assert_eq!(self.finish(finish), file, "one File, however often");
        let range = self.cut.range(repeat);
        let again = self.send(repeat, plan, &self.bytes[range.clone()]);
        self.taken(&again);
        let mut other = self.bytes[range].to_vec();
        other[0] ^= 1;
        assert_eq!(self.send(repeat, plan, &other).refusal(), "upload_finished");
        let url = file["file_url"].as_str().expect("a link");
        let served = download(&self.server.host, url).expect("a reply");
        assert_eq!(served.status, 200);
        assert!(served.body == self.bytes, "other bytes are served");
    }
}

/// Everything that may vary about a chunked upload.
#[derive(Clone, Debug)]
struct Case {
    cut: Cut,
    plans: Vec<Plan>,
    /// The chunks that are sent, including repetitions; those left out follow.
    picks: Vec<Index>,
    senders: usize,
    own_id: bool,
    finish: Finish,
}

fn case() -> impl Strategy<Value = Case> {
    let picks = vec(any::<Index>(), 0..2 * MOST);
    let parts =
        (cut(), vec(plan(), MOST + 1), picks, 1..5_usize, any::<bool>(), any::<bool>(), finish());
    parts.prop_map(|(cut, mut plans, picks, senders, own_id, says_offsets, finish)| {
        plans.iter_mut().for_each(|plan| plan.offset |= says_offsets);
        Case { cut, plans, picks, senders, own_id, finish }
    })
}

impl Case {
    fn run(&self, server: &Server) {
        let (token, bytes) = (server.new_user(), self.cut.bytes());
        let placed = self.cut.is_even() || self.plans.iter().all(Plan::says_offset);
        let upload =
            |id| Upload { server, placed, token: &token, cut: &self.cut, bytes: &bytes, id };
        let first = match self.own_id {
            true => upload(UploadId::random().to_string()),
            false => upload(self.begin(server, &token, &bytes)),
        };
        if self.deliver_all(&first) == Sent::Taken {
            self.assert_conflict(&first);
            first.assert_finished(self.finish, 0, &explicit());
            return;
        }
        // A refused client is told to begin again and to state where each chunk goes.
        let again = upload(UploadId::random().to_string());
        for index in self.order() {
            let sent = again.deliver(index, &explicit(), false);
            assert_eq!(sent, Sent::Taken);
        }
        again.assert_finished(self.finish, 0, &explicit());
    }

    /// Sends the first chunk without a uuid. Returns the one that the server made.
    fn begin(&self, server: &Server, token: &str, bytes: &[u8]) -> String {
        let plan = &self.plans[0];
        let fields = plan.fields(&self.cut, 0);
        let chunk = &bytes[self.cut.range(0)];
        let request = plan.request(&self.cut, 0, None, fields, chunk).token(token);
        let reply = request.send_split(&server.host, &plan.writes);
        let reply = reply.expect("a reply").ok();
        reply["file_uuid"].as_str().expect("a uuid").to_owned()
    }

    fn order(&self) -> Vec<usize> {
        let count = self.cut.count();
        let picked = self.picks.iter().map(|pick| pick.index(count));
        picked.chain(0..count).collect()
    }

    /// Sends the chunks in this order from several concurrent senders. Uneven chunks that don't state where they go are
    /// sent one by one, because their order determines which of them is refused.
    fn deliver_all(&self, upload: &Upload<'_>) -> Sent {
        let order = self.order();
        let senders = if upload.placed { self.senders } else { 1 };
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if upload.deliver(*index, &self.plans[*index], senders > 1) == Sent::BeginAgain {
                    return Sent::BeginAgain;
                }
            }
            Sent::Taken
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..senders).map(|_| scope.spawn(work)).collect();
            let ends = workers.into_iter().map(|worker| worker.join());
            let ends: Vec<Sent> = ends.map(|end| end.expect("no panic")).collect();
            match ends.contains(&Sent::BeginAgain) {
                true => Sent::BeginAgain,
                false => Sent::Taken,
            }
        })
    }

    /// Checks that other bytes for a stored chunk change nothing.
    fn assert_conflict(&self, upload: &Upload<'_>) {
        let index = self.order()[0];
        let mut other = upload.bytes[self.cut.range(index)].to_vec();
        other[0] ^= 1;
        let reply = upload.send(index, &self.plans[index], &other);
        assert_eq!((reply.status, reply.refusal().as_str()), (409, "chunk_conflict"));
    }
}

#[test]
fn a_field_behind_the_file_places_the_last_chunk_as_well() {
    let server = Server::start();
    let token = server.new_user();
    for (field, value) in [("totalfilesize", 30), ("partbyteoffset", 20)] {
        let form = Multipart::default()
            .field("uuid", UploadId::random())
            .field("partindex", 2)
            .field("totalparts", 3)
            .file("file", &[7; 10])
            .field(field, value);
        let reply = Request::upload(form).token(&token).send(&server.host);
        reply.expect("a reply").ok();
    }
}

#[test]
fn an_offset_behind_the_file_is_believed_before_an_even_cut() {
    let server = Server::start();
    let token = server.new_user();
    let id = UploadId::random();
    let form = |index: u32, size: usize| {
        let form =
            Multipart::default().field("uuid", id).field("partindex", index).field("totalparts", 4);
        form.field("chunksize", size)
    };
    let first = form(0, 5).field("partbyteoffset", 0).file("file", &[0; 5]);
    let third = form(2, 7).file("file", &[2; 7]).field("partbyteoffset", 15);
    for form in [first, third] {
        let reply = Request::upload(form).token(&token).send(&server.host);
        reply.expect("a reply").ok();
    }
}

#[test]
fn any_honest_way_to_send_a_file_gives_the_same_file_or_a_precise_refusal() {
    let server = Server::start();
    proptest!(super::config(), |(case in case())| case.run(&server));
}
