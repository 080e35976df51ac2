//! Very many unfinished uploads on record: the program still becomes ready soon, and if nobody continues them, one
//! sweep removes them all.
//!
//! `HAVERSACK_TEST_RECORDS` sets their number.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haversack::app::App;
use haversack::clock::Clock;
use haversack::config::{Config, Settings};
use haversack::ids::{BlobId, UploadId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use serde_json::json;
use tempfile::TempDir;

use super::http::{Multipart, Request, download};
use super::program::{SECRET, Server, serve, token};
use crate::faults::rig::folder;
use crate::measured::{Limit, setting};
use crate::stores::blobs::blobs_older_than;

const RECORDS: u64 = 5000;
/// Maximum time from the start to the first sign of being ready, or this many times longer than with few records.
const READY: Duration = Duration::from_secs(2);
const READY_TIMES: u32 = 10;
/// Maximum time of a sweep over everything that was abandoned, or this many times longer than over a tenth of it.
const SWEPT: Duration = Duration::from_mins(1);
const SWEPT_TIMES: u32 = 20;
/// If some are continued, one in this many.
const LIVELY: u64 = 2;
/// Number of users who own them.
const USERS: u64 = 1000;
/// Their first chunk.
const FIRST: &[u8] = b"the first of two chunks, ";

fn records() -> u64 {
    setting("HAVERSACK_TEST_RECORDS").unwrap_or(RECORDS)
}

async fn open(data_dir: &Path, clock: &Clock) -> Arc<App> {
    let settings = Settings {
        data_dir: data_dir.into(),
        jwt_secret: Some(SECRET.parse().expect("long enough")),
        ..Settings::default()
    };
    let config = Config::new(settings).expect("usable settings");
    App::open(config, clock.clone()).await.expect("it opens")
}

/// A data directory with this many uploads of two chunks, of which the first is present. One in [`LIVELY`] began at the
/// same time as the others, but was continued `later` seconds later.
struct Many {
    dir: TempDir,
    ids: Vec<UploadId>,
}

impl Many {
    fn new(count: u64, later: u64) -> Self {
        let dir = folder();
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let app = open(dir.path(), &Clock::system()).await;
            app.uploads.close().await.expect("closed");
        });
        let ids = (0..count).map(|_| UploadId::random()).collect();
        let many = Self { dir, ids };
        many.fill(later);
        many
    }

    fn database(&self) -> Connection {
        Connection::open(self.dir.path().join("haversack.db")).expect("opened")
    }

    /// Leaves all of them in the database's log, like a process that was killed.
    fn fill(&self, later: u64) {
        let mut database = self.database();
        database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
        database.pragma_update(None, "wal_autocheckpoint", 0).expect("set");
        let now = Clock::system().unix_secs();
        let tx = database.transaction().expect("begun");
        for (number, id) in (0..).zip(&self.ids) {
            let blob = BlobId::random();
            let path = self.dir.path().join("blobs").join(&blob.to_string()[..2]);
            std::fs::write(path.join(blob.to_string()), FIRST).expect("written");
            tx.prepare_cached(
                "INSERT INTO uploads (id, user_id, state, role, generation, blob, total_parts, created_at,
                                      changed_at)
                 VALUES (?1, ?2, 0, 0, ?3, ?3, 2, ?4, ?4)",
            )
            .and_then(|mut insert| insert.execute(params![id, number % USERS + 1, blob, now - 60]))
            .expect("begun");
            let stored_at = if number % LIVELY == 0 { now + later } else { now - 60 };
            tx.prepare_cached(
                "INSERT INTO parts (upload, idx, offset, size, crc32, stored_at) VALUES (?, 0, 0, ?, ?, ?)",
            )
            .and_then(|mut insert| {
                let (seq, crc32) = (tx.last_insert_rowid(), crc32fast::hash(FIRST));
                insert.execute(params![seq, FIRST.len(), crc32, stored_at])
            })
            .expect("recorded");
        }
        tx.commit().expect("committed");
    }

    /// Starts the server and waits until it is ready. Returns how long that took.
    fn ready(&self) -> (Server, Duration) {
        let begun = Instant::now();
        let server = Server::start(&mut serve(self.dir.path()));
        let reply = Request::new("GET", "/health/ready").send(&server.host).expect("a reply");
        assert_eq!(reply.status, 200);
        (server, begun.elapsed())
    }

    /// Finishes one of them.
    fn go_on(&self, server: &Server, number: usize) {
        let (id, token) = (self.ids[number].to_string(), token((number as u64 % USERS + 1) as i64));
        let form = Multipart::default()
            .field("uuid", &id)
            .field("partindex", 1)
            .field("totalparts", 2)
            .field("partbyteoffset", FIRST.len())
            .file("file", b"and the second");
        Request::upload(form).token(&token).send(&server.host).expect("a reply").ok();
        let done = Request::done(&json!({"uuid": id})).token(&token);
        let file = done.send(&server.host).expect("a reply").ok();
        let served = download(&server.host, file["url"].as_str().expect("a link"));
        let whole = b"the first of two chunks, and the second";
        assert_eq!(served.expect("a reply").body, whole);
    }
}

/// The longest time that a start with this many records, or continuing one of them, took, in this boot and another.
fn longest_start(records: u64) -> Duration {
    let many = Many::new(records, 0);
    let mut longest = Duration::ZERO;
    for (number, boot) in ["the same", "another", "the same"].into_iter().enumerate() {
        if boot == "another" {
            // Now each of them must be compared before it is trusted.
            let sql = "UPDATE store SET boot = 'an earlier one'";
            many.database().execute(sql, ()).expect("changed");
        }
        let (server, ready) = many.ready();
        let begun = Instant::now();
        many.go_on(&server, number);
        let went_on = begun.elapsed();
        eprintln!(
            "{records} records, {boot} boot: ready in {ready:.0?}, one went on in {went_on:.0?}"
        );
        longest = longest.max(ready).max(went_on);
        server.kill();
    }
    longest
}

#[test]
fn the_server_is_ready_soon_however_many_uploads_are_on_record() {
    const FEW: u64 = 3;
    let mut ready = Limit::of("the longest start, or going on");
    loop {
        let before = longest_start(FEW);
        let took = longest_start(records());
        let control = before.min(longest_start(FEW));
        if ready.is_kept(took, READY.max(READY_TIMES * control)) {
            break;
        }
    }
}

const TTL: u64 = 8 * 24 * 3600;

/// Uploads of which all but one in [`LIVELY`] are abandoned, after a sweep, and how long it took.
async fn swept(count: u64) -> (Many, Arc<App>, Duration) {
    let many = tokio::task::spawn_blocking(move || Many::new(count, TTL)).await.expect("made");
    let clock = Clock::system();
    let app = open(many.dir.path(), &clock).await;
    clock.skip(Duration::from_secs(TTL));
    let begun = Instant::now();
    app.jobs.run_all().await.expect("swept");
    let took = begun.elapsed();
    eprintln!("of {count} uploads all but one in {LIVELY} were swept in {took:.0?}");
    (many, app, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sweep_removes_all_uploads_that_were_abandoned_and_no_other() {
    let count = records() * LIVELY; // so that at least the requested number are abandoned
    let control = async || {
        let (_, app, took) = swept(count / 10).await;
        app.uploads.close().await.expect("closed");
        took
    };
    let mut sweep = Limit::of("one sweep");
    let (many, app) = loop {
        let before = control().await;
        let (many, app, took) = swept(count).await;
        let control = before.min(control().await);
        if sweep.is_kept(took, SWEPT.max(SWEPT_TIMES * control)) {
            break (many, app);
        }
        app.uploads.close().await.expect("closed");
    };
    let left = |state: u32| -> u64 {
        let sql = "SELECT count(*) FROM uploads WHERE state = ?";
        many.database().query_row(sql, [state], |row| row.get(0)).expect("counted")
    };
    let lively = count.div_ceil(LIVELY);
    assert_eq!((left(0), left(3)), (lively, count - lively), "going on, and expired");
    let (_, blobs) = app.stores();
    assert_eq!(blobs_older_than(blobs, u64::MAX).await.len() as u64, lively);
    app.uploads.close().await.expect("closed");
}
