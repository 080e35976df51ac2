//! Data of earlier releases: this release opens it, uploads in progress continue, and everything that was promised then
//! still holds.
//!
//! Old data is made as those releases made it: the tables by their migrations, and the rows by statements here.

use std::path::Path;
use std::time::{Duration, Instant};

use haversack::clock::Clock;
use haversack::ids::{BlobId, UploadId};
use haversack::links::{Links, Variant};
use haversack::media::Patch;
use haversack::metadata::sqlite::SqliteStore;
use haversack::metadata::{LinkKey, MetadataStore};
use haversack::storage::disk::DiskStore;
use refinery::Target;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::{Multipart, Reply, Request, download};
use super::program::{Server, haversack, run, serve, token};
use crate::media::{plan, without_metadata};

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

const TEXT: &[u8] = b"a text that was sent in two chunks";
const PHOTO: &[u8] = include_bytes!("../../media/gps/exif.jpg");
const PICTURE: &[u8] = include_bytes!("../../media/samples/picture.png");
/// Size in bytes of each chunk of the upload in progress.
const CHUNK: usize = 300;
const OWNER: i64 = 7;
/// No thumbnail takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The data directory of an earlier release, with one of each.
struct Old {
    dir: TempDir,
    database: Connection,
    links: Links,
    /// A File that a message shows.
    text: UploadId,
    /// One with a thumbnail that was sent, and the thumbnail that it replaced.
    photo: UploadId,
    thumbnail: UploadId,
    replaced: UploadId,
    /// Its second chunk is missing.
    in_flight: UploadId,
    removed: UploadId,
    expired: UploadId,
}

/// Sizes and checksums of parts, as they are stored for Files.
fn received(parts: &[&[u8]]) -> Vec<u8> {
    let each = parts.iter().map(|part| {
        [&(part.len() as u64).to_le_bytes()[..], &crc32fast::hash(part).to_le_bytes()].concat()
    });
    each.collect::<Vec<_>>().concat()
}

/// Patches, as they are stored for uploads that are being finished.
fn packed(patches: &[Patch]) -> Vec<u8> {
    let each = patches.iter().map(|patch| {
        let numbers = [patch.offset, patch.bytes.len() as u64, patch.zeros];
        let numbers: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        [numbers, patch.bytes.clone()].concat()
    });
    each.collect::<Vec<_>>().concat()
}

impl Old {
    /// What the release with this newest migration left.
    fn of(version: i32) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        DiskStore::open(dir.path()).expect("made");
        let mut database = Connection::open(dir.path().join("haversack.db")).expect("made");
        database.pragma_update(None, "journal_mode", "WAL").expect("set");
        let runner = migrations::migrations::runner().set_target(Target::Version(version));
        runner.run(&mut database).expect("migrated");
        let store = BlobId::random();
        std::fs::write(dir.path().join("blobs/store-id"), format!("{store}\n")).expect("written");
        database.execute("INSERT INTO store (id) VALUES (?)", [store]).expect("named");
        let secret = [9; 32];
        database
            .execute("INSERT INTO link_keys (secret, created_at) VALUES (?, 5)", [secret])
            .expect("made");
        let links = Links::new(&[LinkKey { id: 1, secret, accepted_until: None }], Clock::system());
        let [text, photo, thumbnail, replaced] = [(); 4].map(|()| UploadId::random());
        let [in_flight, removed, expired] = [(); 3].map(|()| UploadId::random());
        let old = Self {
            dir,
            database,
            links,
            text,
            photo,
            thumbnail,
            replaced,
            in_flight,
            removed,
            expired,
        };
        old.file(text, "text/plain", &[&TEXT[..20], &TEXT[20..]]);
        old.change(text, "attached = 1");
        old.file(photo, "image/jpeg", &[PHOTO]);
        old.file(thumbnail, "image/png", &[PICTURE]);
        for thumbnail in [thumbnail, replaced] {
            if thumbnail == replaced {
                old.row(replaced, 1);
                old.change(replaced, "state = 4, blob = NULL");
            }
            let sql = "UPDATE uploads SET role = 1, parent = ? WHERE id = ?";
            old.database.execute(sql, params![photo, thumbnail]).expect("changed");
        }
        let sql = "UPDATE uploads SET thumbnail = ? WHERE id = ?";
        old.database.execute(sql, params![thumbnail, photo]).expect("changed");
        old.begin(in_flight, &[0, 2]);
        for (id, state) in [(removed, 2), (expired, 3)] {
            old.row(id, 1);
            old.change(id, &format!("state = {state}, blob = NULL"));
        }
        if version >= 9 {
            let sql = "UPDATE uploads SET generation = randomblob(16) WHERE state = 0";
            old.database.execute(sql, ()).expect("changed");
        }
        old
    }

    /// An upload with this many parts, and its blob.
    fn row(&self, id: UploadId, parts: usize) -> BlobId {
        let (blob, now) = (BlobId::random(), Clock::system().unix_secs() - 60);
        let sql = "INSERT INTO uploads (id, user_id, state, role, blob, total_parts, created_at, changed_at)
                   VALUES (?, ?, 0, 0, ?, ?, ?, ?)";
        self.database.execute(sql, params![id, OWNER, blob, parts, now, now]).expect("inserted");
        blob
    }

    fn change(&self, id: UploadId, what: &str) {
        let sql = format!("UPDATE uploads SET {what} WHERE id = ?");
        assert_eq!(self.database.execute(&sql, [id]).expect("changed"), 1);
    }

    fn write(&self, blob: BlobId, bytes: &[u8]) {
        let name = blob.to_string();
        std::fs::write(self.dir.path().join("blobs").join(&name[..2]).join(name), bytes)
            .expect("written");
    }

    fn file(&self, id: UploadId, media_type: &str, parts: &[&[u8]]) {
        let bytes = parts.concat();
        self.write(self.row(id, parts.len()), &bytes);
        let (size, crc32) = (bytes.len(), crc32fast::hash(&bytes));
        let sql = "UPDATE uploads SET state = 1, filename = 'old.bin', named = 1, media_type = ?, size = ?,
                          crc32 = ?, received = ? WHERE id = ?";
        self.database
            .execute(sql, params![media_type, size, crc32, received(parts), id])
            .expect("finished");
    }

    /// The photo in chunks, of which these are present.
    fn begin(&self, id: UploadId, there: &[usize]) -> BlobId {
        let chunks: Vec<&[u8]> = PHOTO.chunks(CHUNK).collect();
        let blob = self.row(id, chunks.len());
        let mut bytes = vec![0; PHOTO.len()];
        for index in there {
            let (chunk, offset) = (chunks[*index], index * CHUNK);
            bytes[offset..offset + chunk.len()].copy_from_slice(chunk);
            let sql = "INSERT INTO parts (upload, idx, offset, size, crc32, stored_at)
                       SELECT seq, ?, ?, ?, ?, created_at FROM uploads WHERE id = ?";
            let crc32 = crc32fast::hash(chunk);
            let part = params![index, offset, chunk.len(), crc32, id];
            self.database.execute(sql, part).expect("recorded");
        }
        self.write(blob, &bytes);
        blob
    }

    /// A photo whose finishing was interrupted while its metadata was being overwritten (from the second release on).
    fn begin_to_finish(&self) -> UploadId {
        let id = UploadId::random();
        let all: Vec<usize> = (0..PHOTO.chunks(CHUNK).count()).collect();
        let blob = self.begin(id, &all);
        let (patches, finished) = (plan(PHOTO), without_metadata(PHOTO));
        let half = patches[0].end() as usize - 1;
        self.write(blob, &[&finished[..half], &PHOTO[half..]].concat());
        let sql = "UPDATE uploads SET filename = 'old.jpg', named = 1, media_type = 'image/jpeg', size = ?,
                          crc32 = ?, received = ?, drawing_tries = 0, patches = ? WHERE id = ?";
        let parts = received(&PHOTO.chunks(CHUNK).collect::<Vec<_>>());
        let (size, crc32) = (PHOTO.len(), crc32fast::hash(&finished));
        self.database
            .execute(sql, params![size, crc32, parts, packed(&patches), id])
            .expect("changed");
        id
    }

    /// Waits until all thumbnails have been made.
    fn wait_for_pictures(&self) {
        let sql = "SELECT count(*) FROM jobs WHERE kind = 'thumbnail'";
        let begun = Instant::now();
        while self.database.query_row(sql, (), |row| row.get::<_, u32>(0)).expect("counted") > 0 {
            assert!(begun.elapsed() < PATIENCE, "a thumbnail is never made");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A link as it was made then.
    fn link(&self, id: UploadId, variant: Variant) -> String {
        self.links.path(id, variant)
    }
}

fn ask(server: &Server, method: &str, id: UploadId, rest: &str) -> Reply {
    let request = Request::new(method, &format!("/api/v2/pm/upload/{id}/{rest}"));
    request.token(&token(OWNER)).send(&server.host).expect("a reply")
}

fn shown(server: &Server, link: &str) -> Reply {
    Request::new("GET", link).send(&server.host).expect("a reply")
}

fn served(server: &Server, file: &Value) -> Vec<u8> {
    let reply = download(&server.host, file["url"].as_str().expect("a link")).expect("a reply");
    assert_eq!(reply.status, 200);
    reply.body
}

fn send(server: &Server, id: UploadId, (index, total): (usize, usize), bytes: &[u8]) -> Reply {
    let form = Multipart::default().field("uuid", id).field("partindex", index);
    let form = form.field("totalparts", total).file("file", bytes);
    Request::upload(form).token(&token(OWNER)).send(&server.host).expect("a reply")
}

fn done(server: &Server, id: UploadId) -> Value {
    let request = Request::done(&json!({"uuid": id.to_string()})).token(&token(OWNER));
    request.send(&server.host).expect("a reply").ok()
}

fn files_are_what_they_were(server: &Server, old: &Old) {
    for (id, bytes) in [(old.text, TEXT), (old.photo, PHOTO)] {
        let file = ask(server, "GET", id, "file/").ok();
        assert_eq!(served(server, &file), bytes);
        assert_eq!(
            (&file["filename"], &file["filesize"]),
            (&json!("old.bin"), &json!(bytes.len()))
        );
        assert_eq!(file["metadata"], "unknown", "nobody put it on record");
        let reply = shown(server, &old.link(id, Variant::File));
        assert_eq!((reply.status, &reply.body[..]), (200, bytes), "by an old link");
    }
    assert_eq!(ask(server, "DELETE", old.text, "").refusal(), "attached");
    assert_eq!(send(server, old.text, (0, 2), &TEXT[..20]).status, 200, "sent again");
    assert_eq!(send(server, old.text, (1, 2), b"something else").status, 409);
}

fn thumbnails_are_shown(server: &Server, old: &Old) {
    for id in [old.thumbnail, old.replaced] {
        let file = ask(server, "GET", id, "file/").ok();
        assert_eq!(file["uuid"], old.photo.to_string(), "it stands for its media");
        let link = file["thumbnail"].as_str().expect("a thumbnail");
        let picture = download(&server.host, link).expect("a reply").body;
        // As it was sent, until a picture is made of it here.
        assert!(picture == PICTURE || image::load_from_memory(&picture).is_ok());
    }
    assert_eq!(shown(server, &old.link(old.thumbnail, Variant::Thumbnail)).status, 200);
}

fn tombstones_stay(server: &Server, old: &Old) {
    assert_eq!(ask(server, "GET", old.removed, "").refusal(), "gone");
    assert_eq!(send(server, old.removed, (0, 1), b"anew").refusal(), "gone");
    assert_eq!(send(server, old.expired, (0, 1), b"anew").refusal(), "expired");
    assert_eq!(send(server, old.expired, (0, 1), b"anew").status, 200);
    assert_eq!(served(server, &done(server, old.expired)), b"anew");
}

fn what_is_in_flight_goes_on(server: &Server, old: &Old) {
    let total = PHOTO.chunks(CHUNK).count();
    let status = ask(server, "GET", old.in_flight, "").ok();
    assert_eq!(status["parts"], json!([[0, 0], [2, 2]]));
    for (index, chunk) in PHOTO.chunks(CHUNK).enumerate() {
        send(server, old.in_flight, (index, total), chunk).ok();
    }
    assert!(served(server, &done(server, old.in_flight)) == without_metadata(PHOTO));
}

/// Starts this release on it twice; the second time, nothing is old any more.
fn upgraded(old: &Old, look: impl Fn(&Server, bool)) {
    for first in [true, false] {
        let server = Server::start(&mut serve(old.dir.path()));
        look(&server, first);
        old.wait_for_pictures(); // an interrupted one leaves bytes for the next sweep
        let log = server.stop().stderr;
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    }
    clean(old.dir.path());
}

fn clean(data_dir: &Path) {
    let mut fsck = haversack(&["fsck", "--json", "--deep"]);
    let ended = run(fsck.env("HAVERSACK_DATA_DIR", data_dir));
    assert!(ended.status.success(), "{} {}", ended.stdout, ended.stderr);
}

#[test]
fn data_of_every_earlier_release_opens_and_uploads_in_flight_go_on() {
    let versions = migrations::migrations::runner().get_migrations().len() as i32;
    assert!(versions >= 3);
    for version in 1..=versions {
        let old = Old::of(version);
        upgraded(&old, |server, first| {
            files_are_what_they_were(server, &old);
            thumbnails_are_shown(server, &old);
            if first {
                tombstones_stay(server, &old);
                what_is_in_flight_goes_on(server, &old);
            }
        });
    }
}

#[test]
fn of_thumbnails_that_an_earlier_release_kept_one_is_left() {
    let old = Old::of(4);
    let hidden = [(); 3].map(|()| UploadId::random());
    for id in hidden {
        old.file(id, "image/heic", &[TEXT]);
        let sql = "UPDATE uploads SET role = 1, parent = ? WHERE id = ?";
        old.database.execute(sql, params![old.photo, id]).expect("changed");
    }
    let server = Server::start(&mut serve(old.dir.path()));
    thumbnails_are_shown(&server, &old);
    let statuses = hidden.map(|id| shown(&server, &old.link(id, Variant::Thumbnail)).status);
    assert_eq!(statuses, [410, 410, 200]);
    server.stop();
}

/// The tables are rewritten: quotas, jobs and the order of the list stay.
#[test]
fn sums_jobs_and_order_of_an_earlier_release_stay() {
    let old = Old::of(7);
    let sql = "DELETE FROM uploads WHERE seq = (SELECT max(seq) FROM uploads);
               UPDATE uploads SET reserved = size WHERE state = 1 AND role = 0;
               UPDATE uploads SET reserved = 5000 WHERE state = 0;
               INSERT INTO jobs (n, id, kind, subject, user_id, payload, run_at, set_aside, error)
               VALUES (41, randomblob(16), 'thumbnail', randomblob(16), 7, x'', 0, 1, 'why');";
    old.database.execute_batch(sql).expect("changed");
    let last = |table: &str| {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = ?";
        old.database.query_row(sql, [table], |row| row.get::<_, i64>(0)).expect("counted")
    };
    let all = |sql: &str| {
        let mut statement = old.database.prepare(sql).expect("prepared");
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|at| row.get::<_, rusqlite::types::Value>(at)).collect()
        };
        statement
            .query_map((), row)
            .expect("asked")
            .collect::<Result<Vec<Vec<_>>, _>>()
            .expect("read")
    };
    let uploads = "SELECT seq, id, CAST(user_id AS TEXT), state, role, blob, parent, thumbnail, total_parts, reserved,
                          filename, named, media_type, size, crc32, received, attached, changed_at FROM uploads";
    let usage = "SELECT CAST(user_id AS TEXT), bytes, files FROM usage";
    let jobs = "SELECT n, id, kind, subject, CAST(user_id AS TEXT), set_aside, error FROM jobs WHERE n = 41";
    let parts = "SELECT upload, idx, offset, size, crc32, stored_at FROM parts";
    let (queries, tables) = ([uploads, usage, jobs, parts], ["uploads", "jobs"]);
    let (before, lasts) = (queries.map(all), tables.map(last));
    drop(SqliteStore::open(old.dir.path()).expect("migrated"));
    assert_eq!(queries.map(all), before);
    assert_eq!(tables.map(last), lasts, "no number is used twice");
    let kinds = "SELECT typeof(user_id) FROM uploads UNION SELECT typeof(user_id) FROM usage
                 UNION SELECT typeof(user_id) FROM jobs WHERE user_id IS NOT NULL";
    assert_eq!(all(kinds), [[rusqlite::types::Value::Text("text".into())]]);
}

/// No done would ever turn it into a file.
#[tokio::test]
async fn an_upload_whose_chunks_lie_in_another_order_than_their_indexes_is_due_to_expire() {
    let old = Old::of(7);
    let disordered = UploadId::random();
    old.begin(disordered, &[0, 2]);
    let sql = "UPDATE parts SET offset = 2000 WHERE idx = 0 AND upload = (SELECT seq FROM uploads WHERE id = ?)";
    assert_eq!(old.database.execute(sql, [disordered]).expect("changed"), 1);
    let store = SqliteStore::open(old.dir.path()).expect("migrated");
    let expired = store.expire(1, 10, Clock::system().unix_secs()).await.expect("no error");
    assert_eq!(expired, [disordered], "and none that goes on");
}

#[test]
fn what_an_earlier_release_began_to_finish_is_finished() {
    for version in [2, 3] {
        let old = Old::of(version);
        let id = old.begin_to_finish();
        upgraded(&old, |server, _| {
            assert!(served(server, &done(server, id)) == without_metadata(PHOTO));
        });
    }
}

#[test]
fn links_of_a_key_that_an_earlier_release_retired_show_nothing() {
    let old = Old::of(2);
    let sql = "UPDATE link_keys SET accepted_until = 6; INSERT INTO link_keys (secret, created_at)
               VALUES (randomblob(32), 6);";
    old.database.execute_batch(sql).expect("rotated");
    upgraded(&old, |server, _| {
        assert_eq!(shown(server, &old.link(old.text, Variant::File)).status, 403);
        assert_eq!(served(server, &ask(server, "GET", old.text, "file/").ok()), TEXT);
    });
}
