//! Uploads of one user with very many parts and a gap after each: how much memory of the server their statuses and
//! lists, a check after a boot, `fsck` and `erase` take, and how long another user's chunk takes meanwhile.
//!
//! `HAVERSACK_TEST_SCATTERED` sets the number of uploads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use haversack::clock::Clock;
use haversack::ids::{BlobId, UploadId};
use rusqlite::{Connection, params};

use super::http::{Multipart, Request};
use super::program::{Server, haversack, run, serve, token};
use crate::faults::rig::folder;
use crate::measured::{Limit, figures, setting};

/// With the gaps, as many as an upload may have by default.
const PARTS: u64 = 25_000;
/// Memory that any of these may take in addition to what the server uses anyway.
const MEMORY: u64 = 64 << 20;
/// Time within which 99 of 100 chunks of another user must be answered; this many times as long in a build without
/// optimization, beside other tests.
const CHUNK: Duration = Duration::from_millis(50);
const ROOM: u32 = 5;

const UPLOADS: usize = 3;

fn uploads() -> usize {
    setting("HAVERSACK_TEST_SCATTERED").unwrap_or(UPLOADS)
}

/// Number of concurrent requests: as many as a user may have, or half of them.
fn at_once() -> usize {
    if uploads() > UPLOADS { 64 } else { 32 }
}

/// Records uploads of the first user, each with a byte at every second position.
fn fill(data_dir: &Path) -> Vec<UploadId> {
    let mut database = Connection::open(data_dir.join("haversack.db")).expect("opened");
    let tx = database.transaction().expect("begun");
    let (now, crc32) = (Clock::system().unix_secs(), crc32fast::hash(&[0]));
    let ids: Vec<_> = std::iter::repeat_with(UploadId::random).take(uploads()).collect();
    for id in &ids {
        let blob = BlobId::random();
        let path = data_dir.join("blobs").join(&blob.to_string()[..2]).join(blob.to_string());
        std::fs::File::create(path).and_then(|file| file.set_len(2 * PARTS)).expect("made");
        tx.execute(
            "INSERT INTO uploads (id, user_id, state, role, generation, blob, total_parts, total_size, reserved,
                                  created_at, changed_at)
             VALUES (?1, 1, 0, 0, ?2, ?2, ?3, ?4, ?4, ?5, ?5)",
            params![id, blob, 2 * PARTS, 2 * PARTS, now],
        )
        .expect("begun");
        tx.execute(
            "WITH RECURSIVE places (n) AS (SELECT 0 UNION ALL SELECT n + 2 FROM places WHERE n + 2 < ?2)
             INSERT INTO parts (upload, idx, offset, size, crc32, stored_at) SELECT ?1, n, n, 1, ?3, ?4 FROM places",
            params![tx.last_insert_rowid(), 2 * PARTS, crc32, now],
        )
        .expect("recorded");
    }
    tx.commit().expect("committed");
    ids
}

/// A data directory with such uploads.
fn filled() -> (tempfile::TempDir, Vec<UploadId>) {
    let dir = folder();
    Server::start(&mut serve(dir.path())).stop();
    let ids = fill(dir.path());
    (dir, ids)
}

/// The time within which 99 of 100 first chunks of another user are answered while `others` runs.
fn chunk_beside(server: &Server, others: impl Fn() + Sync) -> Duration {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..at_once() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    others();
                }
            });
        }
        let mut times: Vec<_> = (0..100)
            .map(|_| {
                let form = Multipart::default()
                    .field("partindex", 0)
                    .field("totalparts", 1)
                    .field("totalfilesize", 1000)
                    .field("partbyteoffset", 0)
                    .field("filename", "a.bin")
                    .file("file", &[1; 1000]);
                let upload = Request::upload(form).token(&token(2));
                let begun = Instant::now();
                let id = upload.send(&server.host).expect("a reply").ok()["file_uuid"].clone();
                let took = begun.elapsed();
                let path = format!("/api/v2/pm/upload/{}/", id.as_str().expect("a uuid"));
                Request::new("DELETE", &path).token(&token(2)).send(&server.host).expect("a reply");
                took
            })
            .collect();
        over.store(true, Ordering::Relaxed);
        times.sort();
        times[98]
    })
}

/// Fails if it takes more than [`MEMORY`].
fn in_bounded_memory(server: &Server, what: &str, this: impl FnOnce()) {
    let grown = server.grows_by(this);
    figures(format_args!("{what}: {} MiB", grown >> 20));
    assert!(grown <= MEMORY, "{what} took {} MiB", grown >> 20);
}

#[test]
fn what_reads_very_many_parts_takes_bounded_memory_and_holds_up_nobody_else() {
    let (dir, ids) = filled();
    let server = Server::start(&mut serve(dir.path()));
    let get = |path: &str| {
        Request::new("GET", path).token(&token(1)).send(&server.host).expect("a reply").ok();
    };
    let status = format!("/api/v2/pm/upload/{}/", ids[0]);
    let limit = CHUNK * if cfg!(debug_assertions) { ROOM } else { 1 };
    for (what, path) in [("statuses", status.as_str()), ("lists", "/api/v2/pm/upload/")] {
        in_bounded_memory(&server, what, || {
            let mut chunk = Limit::of("p99 of another user's chunk");
            while !chunk.is_kept(chunk_beside(&server, || get(path)), limit) {}
        });
    }
    let data_dir = dir.path().to_str().expect("UTF-8");
    let command = |arguments: &[&str]| {
        let ended = run(haversack(arguments).arg("--data-dir").arg(data_dir));
        assert_eq!(ended.status.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    };
    in_bounded_memory(&server, "fsck", || command(&["fsck", "--repair"]));
    in_bounded_memory(&server, "erase", || command(&["erase", "--user-id", "1"]));
}

#[test]
fn a_check_of_very_many_parts_after_a_boot_takes_bounded_memory() {
    let (dir, _) = filled();
    let database = Connection::open(dir.path().join("haversack.db")).expect("opened");
    database.execute("UPDATE store SET boot = 'an earlier one'", ()).expect("changed");
    let server = Server::start(&mut serve(dir.path()));
    in_bounded_memory(&server, "the check after a boot", || {
        let compared = "SELECT count(*) FROM uploads WHERE suspect = 0";
        server.wait_until("some of it was compared", || {
            database.query_row(compared, (), |row| row.get::<_, u32>(0)).expect("read") >= 3
        });
    });
}
