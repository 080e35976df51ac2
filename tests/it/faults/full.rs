//! Disks that fill up at many points: what needs space is refused with 507, everything else continues, and what was
//! refused works once there is space again.
//!
//! Mounts small volumes, which requires root. `HAVERSACK_TEST_VOLUMES` sets their number.

use std::io::Write;
use std::path::Path;

use haversack::ids::UserId;
use serde_json::Value;

use super::promises::{Broken, End, Level, Stopped, Upload};
use super::rig::Rig;
use super::seed;
use crate::measured::setting;
use crate::process::http::{Multipart, Reply, Request};
use crate::process::killing::sweep_and_look_for_leftovers;
use crate::process::ledger::Random;
use crate::process::program::{SECRET, Server, haversack, run, token};

/// Number of volumes in a quick run.
const VOLUMES: u64 = 8;
/// Size of the smallest one in KiB.
const SMALLEST: u64 = 1200;
/// How much larger each next one is in KiB, so that no two fill up at the same step.
const STEP: u64 = 36;
/// KiB that the server leaves free.
const MIN_FREE: u64 = 300;
/// Size in bytes of a file that fits on none of them.
const TOO_MUCH: usize = 4 << 20;

fn refused_for_room(stopped: &Stopped) -> bool {
    matches!(stopped, Stopped::Refused { status: 507, body }
        if body["errors"][0]["code"] == "storage_full" && body["preventRetry"] == false)
}

/// `size` and `min_free` are in KiB. If some space stays free, a file can be deleted from the full disk.
fn fill_up(random: &mut Random, size: u64, chunk_size: Option<usize>, min_free: u64) {
    let rig = Rig::on_volume(size + min_free, min_free);
    let server = rig.start();
    let mut known: Vec<Upload> =
        (1..=4).map(|user| Upload::new(random, user, End::Finished).by_forms()).collect();
    let mut large = Upload::of(random.bytes(TOO_MUCH), 5, chunk_size, End::Finished);
    for upload in known.iter_mut().chain([&mut large]) {
        upload.sign_in(&rig.data_dir());
    }
    for upload in &mut known {
        upload.drive(&rig, &server.host).unwrap_or_else(|stopped| panic!("{size}: {stopped:?}"));
    }
    for _ in 0..3 {
        let stopped = large.drive(&rig, &server.host).expect_err("it can't fit");
        assert!(refused_for_room(&stopped), "{size}: {stopped:?}: {}", server.stderr());
    }
    let mut broken = Broken::default();
    for upload in &known {
        upload.check_kept(&server.host, &mut broken);
    }
    assert!(broken.lost.is_empty(), "{size}: {:?}", broken.lost);
    known[0].deletes();
    match known[0].drive(&rig, &server.host) {
        Err(stopped) if min_free == 0 && refused_for_room(&stopped) => {}
        deleted => deleted.unwrap_or_else(|stopped| panic!("{size}: a delete: {stopped:?}")),
    }
    rig.grow();
    known.push(large);
    for upload in &mut known {
        let driven = upload.drive(&rig, &server.host);
        driven.unwrap_or_else(|stopped| panic!("{size}: {stopped:?}: {}", server.stderr()));
        upload.check(&server.host, u64::MAX, Level::Finish, &mut broken);
    }
    assert!(broken.lost.is_empty(), "{size}: {:?}", broken.lost);
    let log = server.stop().stderr;
    assert!(!log.contains("panicked"), "{log}");
    sweep_and_look_for_leftovers(&rig.data_dir(), (1..=5).map(UserId::from));
}

#[test]
fn a_full_disk_refuses_what_needs_room_and_nothing_else() {
    let mut random = Random(seed());
    for number in 0..setting("HAVERSACK_TEST_VOLUMES").unwrap_or(VOLUMES) {
        let chunk_size = [Some(100_000), None, Some(5000), Some(64 << 10)][number as usize % 4];
        fill_up(&mut random, SMALLEST + number * STEP, chunk_size, 0);
    }
}

#[test]
fn a_delete_makes_room_on_a_disk_that_was_left_some() {
    for chunk_size in [Some(5000), Some(100_000), None] {
        fill_up(&mut Random(seed()), SMALLEST, chunk_size, MIN_FREE);
    }
}

/// Size in KiB of a volume with space for what the server reserves for removals.
const ROOMY: u64 = 24 << 10;

/// A volume that another program fills up, and a server on it.
struct Shared {
    rig: Rig,
    server: Server,
}

impl Shared {
    /// With some files of two users.
    fn with_files(count: usize) -> (Self, Vec<Value>) {
        let rig = Rig::on_volume(ROOMY, 4096);
        let server = start(&rig).expect("it starts");
        let shared = Self { rig, server };
        let files = (0..count).map(|number| {
            let bytes = format!("file {number}").repeat(500);
            shared.send(1 + number as i64 % 2, bytes.as_bytes()).ok()
        });
        let files = files.collect();
        (shared, files)
    }

    fn send(&self, user: i64, bytes: &[u8]) -> Reply {
        let form = Multipart::default().file("file", bytes);
        Request::upload(form).token(&token(user)).send(&self.server.host).expect("a reply")
    }

    fn delete(&self, user: i64, file: &Value) -> Reply {
        let uuid = file["uuid"].as_str().expect("a uuid");
        let request = Request::new("DELETE", &format!("/api/v2/pm/upload/{uuid}/"));
        request.token(&token(user)).send(&self.server.host).expect("a reply")
    }

    fn ready(&self) -> Reply {
        Request::new("GET", "/health/ready").send(&self.server.host).expect("a reply")
    }

    fn plays(&self, file: &Value) -> bool {
        let link = file["file_url"].as_str().expect("a link").split("/media/").nth(1);
        let path = format!("/media/{}", link.expect("a path"));
        let reply = Request::new("GET", &path).send(&self.server.host).expect("a reply");
        reply.status == 200 && reply.body.len() == file["filesize"]
    }

    fn path_of_others(&self) -> std::path::PathBuf {
        self.rig.data_dir().with_file_name("others")
    }

    /// Fills the rest of the volume.
    fn fill(&self) {
        fill(&self.path_of_others());
    }

    fn assert_full(&self) {
        let (ready, refused) = (self.ready(), self.send(3, b"no room for this"));
        assert_eq!((ready.status, refused.status), (503, 507), "{}", refused.json());
        let message = ready.json()["error"].as_str().expect("a message").to_owned();
        for words in ["stored files", " MiB free", "4 MiB must stay free", "deleted"] {
            assert!(message.contains(words), "{words:?} is not in {message}");
        }
    }

    fn restart(self, before: impl FnOnce(Self) -> Rig) -> Self {
        let rig = before(self);
        let server = start(&rig).unwrap_or_else(|said| panic!("{said}"));
        Self { rig, server }
    }
}

/// Fills the rest of the disk that this file is on.
pub(crate) fn fill(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(path).expect("opened");
    while file.write_all(&[0; 4096]).is_ok() {}
}

/// Starts the server. Returns its message if it doesn't start.
fn start(rig: &Rig) -> Result<Server, String> {
    let started = Server::try_start(rig.command().env("HAVERSACK_JWT_SECRET", SECRET));
    started.map_err(|ended| ended.stderr)
}

#[test]
fn files_on_a_disk_that_others_filled_are_read_deleted_and_erased() {
    let (shared, files) = Shared::with_files(6);
    assert_eq!(shared.ready().status, 200);
    shared.fill();
    shared.assert_full();
    assert!(shared.plays(&files[0]));
    shared.delete(1, &files[0]).ok();
    let erase = ["erase", "--user-id", "2", "--json"];
    let erased = run(haversack(&erase).env("HAVERSACK_DATA_DIR", shared.rig.data_dir()));
    assert!(erased.stdout.contains(r#""files":3"#), "{} {}", erased.stdout, erased.stderr);
    assert!(shared.plays(&files[2]) && !shared.plays(&files[1]));
    shared.server.stop();
}

#[test]
fn a_stop_on_a_disk_that_others_filled_is_in_order_and_loses_nothing() {
    let (shared, files) = Shared::with_files(60); // whose records make the database grow
    shared.fill();
    let shared = shared.restart(|shared| {
        let ended = shared.server.stop();
        assert!(!ended.stderr.contains("ERROR haversack::"), "{}", ended.stderr);
        shared.rig
    });
    assert!(files.iter().all(|file| shared.plays(file)));
    shared.delete(1, &files[0]).ok();
    shared.server.stop();
}

#[test]
fn a_start_on_a_full_disk_says_so_and_reads_and_deletes() {
    let (shared, files) = Shared::with_files(6);
    shared.fill();
    let shared = shared.restart(|shared| {
        shared.server.kill();
        shared.rig
    });
    shared.server.wait_for_log("the disk with the stored files has");
    shared.assert_full();
    assert!(shared.plays(&files[0]));
    shared.delete(1, &files[0]).ok();
    std::fs::remove_file(shared.path_of_others()).expect("removed");
    assert_eq!(shared.ready().status, 200);
    shared.send(1, b"there is room again").ok();
    let reserve = shared.rig.data_dir().join("haversack.reserve");
    shared.server.wait_until("the reserve is whole again", || reserve.exists());
    shared.server.stop();
}

#[test]
fn a_start_for_which_nothing_is_left_says_that_the_disk_is_full() {
    let (shared, files) = Shared::with_files(2);
    let shared = shared.restart(|shared| {
        let others = shared.path_of_others();
        let rig = shared.rig;
        shared.server.stop();
        for name in ["haversack.reserve", "haversack.db-shm"] {
            let _ = std::fs::remove_file(rig.data_dir().join(name)); // the database's index is rebuilt
        }
        fill(&others);
        let said = start(&rig).err().expect("there is no room at all");
        assert!(said.contains("its disk is full: free some space"), "{said}");
        std::fs::remove_file(others).expect("removed");
        rig
    });
    assert!(files.iter().all(|file| shared.plays(file)));
    shared.server.stop();
}
