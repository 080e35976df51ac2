//! Section 4: a sender stalls in the middle of its chunk, as on a connection that a phone has abandoned, while the same
//! chunk is sent over a new one. Nothing that the stalled sender sends later is ever seen.

use tokio::time::timeout;

use crate::harness::{Client, Form, PATIENCE, Raw, Server, eventually, mp4, new_uuid};

/// Size of a chunk in bytes: several reads of the server.
const SIZE: usize = 300_000;
/// How a form ends.
const END: usize = "\r\n------haversack-test-boundary--\r\n".len();

/// Where the fields are that place a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fields {
    /// Before the file, and the file's length is declared.
    Sized,
    /// Before the file, without its length.
    Unsized,
    /// After the file.
    Behind,
}

/// The middle one of three chunks, filled with this byte.
fn chunk(uuid: &str, byte: u8, fields: Fields) -> Form {
    let form = Form::chunk(1, 3, vec![byte; SIZE]).uuid(uuid).field("partbyteoffset", SIZE);
    match fields {
        Fields::Sized => form.field("chunksize", SIZE),
        Fields::Unsized => form,
        Fields::Behind => form.file_first(),
    }
}

/// The first or last chunk.
async fn other(user: &Client, uuid: &str, index: u32) {
    let form = Form::chunk(index, 3, vec![b'a' + index as u8; SIZE]).uuid(uuid);
    let form = form.field("partbyteoffset", SIZE * index as usize).field("chunksize", SIZE);
    user.upload(form).await.ok();
}

/// A new sender is admitted long before a stalled one is timed out.
async fn at_once(user: &Client, form: Form) {
    timeout(PATIENCE, user.upload(form)).await.expect("it has its turn").ok();
}

/// The whole file with the new sender's chunk.
fn whole(byte: u8) -> Vec<u8> {
    [vec![b'a'; SIZE], vec![byte; SIZE], vec![b'c'; SIZE]].concat()
}

async fn served(user: &Client, uuid: &str) -> Vec<u8> {
    let file = user.file(uuid).await.ok();
    user.get(file["url"].as_str().unwrap()).await.body.to_vec()
}

/// A connection that has sent a part of a request.
struct Ghost {
    raw: Raw,
    rest: Vec<u8>,
}

impl Ghost {
    /// Stalls `missing` bytes before the end, once the server has received some of the file.
    async fn of(server: &Server, user: &Client, form: &Form, missing: usize) -> Self {
        let before = server.written();
        let mut request = Raw::form(user, form);
        let rest = request.split_off(request.len() - missing);
        let mut raw = Raw::connect(server).await;
        raw.send(&request).await;
        // Bytes on the disk show that it was first.
        eventually("its first bytes are written", async || server.written() > before).await;
        Self { raw, rest }
    }

    /// Continues, with other bytes or its own; the server may have closed the connection.
    async fn go_on(&mut self, others: bool) {
        let end = memchr::memmem::find(&self.rest, b"\r\n------haversack-test-boundary");
        if others {
            self.rest[..end.unwrap_or(0)].fill(b'x'); // the rest of its file
        }
        self.raw.try_send(&self.rest).await;
    }
}

/// Where it stalls: number of bytes missing at the end of the request. With fewer missing, all of the file may already
/// have been sent.
fn stalls(fields: Fields) -> Vec<usize> {
    let behind = if fields == Fields::Behind { 400 } else { 0 }; // the fields, about
    let before_the_file = END + behind + SIZE;
    vec![before_the_file - 100, before_the_file - SIZE / 2, END + behind + 1, END, 1]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_senders_late_bytes_are_never_seen() {
    let server = Server::start().await;
    let user = server.user(1);
    for fields in [Fields::Sized, Fields::Unsized, Fields::Behind] {
        for (missing, others, after_done) in stalls(fields).into_iter().flat_map(|missing| {
            [(missing, false, false), (missing, true, false), (missing, true, true)]
        }) {
            let case = format!("{fields:?}, {missing} missing, {others}, {after_done}");
            let uuid = new_uuid();
            other(&user, &uuid, 0).await;
            let ghost = chunk(&uuid, b'g', fields);
            let mut ghost = Ghost::of(&server, &user, &ghost, missing).await;
            at_once(&user, chunk(&uuid, b'n', Fields::Sized)).await;
            other(&user, &uuid, 2).await;
            if !after_done {
                ghost.go_on(others).await;
            }
            user.done(&uuid).await.ok();
            if after_done {
                ghost.go_on(others).await;
            }
            let reply = ghost.raw.reply().await;
            assert_ne!(reply.status, 200, "{case}: its bytes count for nothing");
            assert!(served(&user, &uuid).await == whole(b'n'), "{case}");
        }
    }
    server.app.uploads.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_never_stops_sending_gives_way_to_a_newer_one() {
    const LARGE: usize = 8 << 20;
    let server = Server::start().await;
    let user = server.user(1);
    for _ in 0..5 {
        let uuid = new_uuid();
        other(&user, &uuid, 0).await;
        let ghost = Form::chunk(1, 3, vec![b'x'; LARGE]).uuid(&uuid).field("partbyteoffset", SIZE);
        let Ghost { mut raw, .. } = Ghost::of(&server, &user, &ghost, LARGE - SIZE).await;
        let going_on = tokio::spawn(async move {
            let frame = vec![b'x'; 10_000];
            while raw.try_send(&frame).await {}
        });
        at_once(&user, chunk(&uuid, b'n', Fields::Sized)).await;
        other(&user, &uuid, 2).await;
        user.done(&uuid).await.ok();
        assert!(served(&user, &uuid).await == whole(b'n'));
        going_on.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ghost_of_a_single_file_changes_nothing_of_it() {
    let server = Server::start().await;
    let user = server.user(1);
    let film = mp4();
    for (same, status) in [(true, 200), (false, 409)] {
        let uuid = new_uuid();
        let form = Form::single(&film).uuid(&uuid);
        let mut ghost = Ghost::of(&server, &user, &form, END + 100).await;
        at_once(&user, form).await;
        ghost.go_on(!same).await;
        assert_eq!(ghost.raw.reply().await.status, status, "same bytes: {same}");
        assert!(served(&user, &uuid).await == film);
    }
    eventually("the spools are gone", async || server.stored().len() == 2).await;
}
