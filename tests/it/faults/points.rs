//! kill -9 at every named point of the write path: nothing acknowledged is lost, everybody can continue, and nothing is
//! left over.
//!
//! `HAVERSACK_TEST_CRASHES` sets the number of crashes at each point, `HAVERSACK_TEST_POINT` selects a single point,
//! and `HAVERSACK_TEST_SEED` repeats a trial.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use haversack::auth::{Caller, sign};
use haversack::clock::Clock;
use haversack::crash::Point;
use haversack::ids::{BlobId, UploadId, UserId};
use rusqlite::Connection;

use super::journal::Class;
use super::promises::{Broken, End, Level, Stopped, Upload};
use super::rig::{Failure, Rig, SYNC};
use super::seed;
use crate::measured::figures;
use crate::measured::setting;
use crate::process::http::{Multipart, Request};
use crate::process::killing::sweep_and_look_for_leftovers;
use crate::process::ledger::Random;
use crate::process::program::{Ended, Server, haversack};

/// Number of crashes at each point in a quick run.
const CRASHES: u64 = 2;
/// Number of concurrent trials.
const WORKERS: usize = 2;
/// Number of rounds of clients after which the point must have been passed.
const ROUNDS: usize = 40;
/// Number of times that a client retries.
const PATIENCE: usize = 6;
/// A user without a ledger, of whom nothing may be left at the end.
const NOBODY: i64 = 9000;
/// errno of a failing disk.
const EIO: u32 = 5;

/// How to make a server pass a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Clients send until it has.
    Load,
    /// It starts for the first time.
    FirstStart,
    /// It starts with unfinished uploads, in another boot of the machine.
    Boot,
    /// It starts with a file whose finishing was interrupted.
    Resuming,
    /// It starts long after uploads began.
    Expiry,
    /// A user is at the limit of unfinished uploads, and one of them is idle.
    Room,
    /// A sync fails.
    FailedSync,
    /// Much is written besides what clients send.
    LongLog,
    /// A user is erased.
    Erasure,
    /// It is told to stop.
    Stop,
}

fn way(point: Point) -> Way {
    match point {
        Point::SecretMade | Point::StoreIntroduced | Point::LogRewritten => Way::FirstStart,
        Point::BootBegun | Point::PartsCompared => Way::Boot,
        Point::FinalizingResumed => Way::Resuming,
        Point::UploadExpired | Point::ExpiredForgotten | Point::UnclaimedFound => Way::Expiry,
        Point::RoomMade => Way::Room,
        Point::UploadRestarted => Way::FailedSync,
        Point::CheckpointUnbegun | Point::CheckpointMade => Way::LongLog,
        Point::EraseGoesOn | Point::UserForgotten => Way::Erasure,
        Point::LogEmptied => Way::Stop,
        _ => Way::Load, // a new point is passed by clients, unless this function says otherwise
    }
}

/// How often, at least, a server passes such a point in one run.
fn times(point: Point) -> u64 {
    match way(point) {
        Way::Load => 5,
        Way::Erasure if point == Point::EraseGoesOn => 3,
        _ if matches!(point, Point::UploadExpired | Point::PartsCompared) => 3,
        _ => 1,
    }
}

struct Trial {
    point: Point,
    rig: Rig,
    random: Random,
    uploads: Vec<Upload>,
}

impl Trial {
    fn new(point: Point, seed: u64) -> Self {
        Self { point, rig: Rig::new(Level::Finish), random: Random(seed), uploads: Vec::new() }
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.rig.data_dir()
    }

    fn database(&self) -> Connection {
        let database = Connection::open(self.data_dir().join("haversack.db")).expect("opened");
        database.busy_timeout(Duration::from_secs(10)).expect("set");
        database
    }

    /// A client with a ledger.
    fn upload(&mut self, end: End) -> Upload {
        let user = self.uploads.len() as i64 + 1;
        let mut upload = Upload::new(&mut self.random, user, end);
        upload.sign_in(&self.data_dir());
        upload
    }

    /// A token for [`NOBODY`].
    fn token(&self) -> String {
        let secret = std::fs::read_to_string(self.data_dir().join("jwt-secret")).expect("made");
        let caller = Caller::User(UserId::from(NOBODY));
        sign(secret.trim_end().as_bytes(), caller, Clock::system().unix_secs(), 24 * 3600)
    }

    /// Sends the first of two chunks for NOBODY. Returns the status, or `None` if the server died.
    fn begin(&self, host: &str, id: UploadId) -> Option<u16> {
        let form = Multipart::default().field("uuid", id).field("partindex", 0);
        let form = form.field("totalparts", 2).file("file", b"some bytes");
        Some(Request::upload(form).token(&self.token()).send(host).ok()?.status)
    }

    /// A command for a server that is to die at this point.
    fn armed(&self, point: Point, nth: u64) -> Command {
        let mut command = self.rig.command();
        command.env("HAVERSACK_CRASH_AT", format!("{point:?}:{nth}"));
        command
    }

    /// Prepares the data before the run in which the server dies.
    fn prepare(&mut self) {
        match way(self.point) {
            Way::FirstStart => {}
            Way::Boot => {
                let server = self.rig.start();
                for end in
                    [End::Unfinished(1), End::Unfinished(2), End::Unfinished(2), End::Finished]
                {
                    let mut upload = self.upload(end);
                    upload.drive(&self.rig, &server.host).expect("nothing fails yet");
                    self.uploads.push(upload);
                }
                server.kill();
                let changed =
                    self.database().execute("UPDATE store SET boot = 'an earlier one'", ());
                changed.expect("changed");
            }
            Way::Resuming => {
                drop(self.rig.start()); // creates the secret
                let mut server = Server::start(&mut self.armed(Point::FinalizingRecorded, 1));
                self.come_and_go(&mut server);
            }
            Way::Expiry => {
                let server = self.rig.start();
                for _ in 0..3 {
                    assert_eq!(self.begin(&server.host, UploadId::random()), Some(200));
                }
                server.kill();
                let stray = BlobId::random().to_string();
                let path = self.data_dir().join("blobs").join(&stray[..2]).join(stray);
                std::fs::write(path, "left over").expect("written");
            }
            _ => drop(self.rig.start()),
        }
    }

    /// Makes the server die. Returns how it ended.
    fn die(&mut self, nth: u64) -> Ended {
        let mut command = self.armed(self.point, nth);
        match way(self.point) {
            Way::Expiry => {
                command.env("HAVERSACK_CLOCK_AHEAD", "3h").env("HAVERSACK_UPLOAD_TTL", "1m");
            }
            Way::Room => {
                command.env("HAVERSACK_MAX_UNFINISHED", "1");
            }
            _ => {}
        }
        let mut server = match Server::try_start(&mut command) {
            Ok(server) => server,
            Err(ended) => return ended,
        };
        let host = server.host.clone();
        match way(self.point) {
            Way::FirstStart | Way::Boot | Way::Resuming => {}
            Way::Load => self.come_and_go(&mut server),
            Way::Expiry => self.ask_for_what_expired(&host),
            Way::Room => {
                self.begin(&host, UploadId::random());
                self.database()
                    .execute_batch(
                        "UPDATE uploads SET created_at = created_at - 7200;
                         UPDATE parts SET stored_at = stored_at - 7200;",
                    )
                    .expect("changed");
                self.begin(&host, UploadId::random());
            }
            Way::FailedSync => {
                let classes = vec![Class::Blob];
                let (operations, error, forever) = (SYNC, EIO, true);
                self.rig.fail(&Failure { operations, classes, error, forever, after: 0 });
                self.come_and_go(&mut server);
                self.rig.heal();
                for upload in &mut self.uploads {
                    upload.may_begin_again(&self.rig);
                }
            }
            Way::LongLog => {
                let database = self.database();
                database.pragma_update(None, "wal_autocheckpoint", 0).expect("set"); // only the server may do it
                for _ in 0..1100 {
                    // A page each, more than 4 MiB in all; the server may die before the last one.
                    let _ =
                        database.execute("UPDATE link_keys SET created_at = created_at + 1", ());
                }
            }
            Way::Erasure => {
                for _ in 0..4 {
                    self.begin(&host, UploadId::random());
                }
                erase(&self.data_dir());
            }
            Way::Stop => server.terminate(),
        }
        server.wait()
    }

    /// Clients of every kind send, until the server has died.
    fn come_and_go(&mut self, server: &mut Server) {
        const ENDS: [End; 5] =
            [End::Finished, End::Deleted, End::Illustrated, End::Unfinished(2), End::Renamed];
        let host = server.host.clone();
        for _ in 0..ROUNDS {
            let first = self.uploads.len();
            for end in ENDS {
                let upload = self.upload(end);
                self.uploads.push(upload);
            }
            let (rig, uploads) = (&self.rig, &mut self.uploads[first..]);
            std::thread::scope(|scope| {
                for upload in uploads {
                    scope.spawn(|| {
                        let _ = upload.overshoot(&host); // hangs up, or is cut off
                        for _ in 0..2 {
                            match upload.drive(rig, &host) {
                                Err(Stopped::Broken(what)) => panic!("{what}"),
                                Err(Stopped::Refused { .. }) => {}
                                Ok(()) | Err(Stopped::Cut(_)) => return,
                            }
                        }
                    });
                }
            });
            if !server.is_running() {
                return;
            }
        }
        server.terminate(); // it should be dead by now; if it isn't, the test finds that it stopped in order
    }

    /// Queries an upload that the first sweep expires, until the server dies while replying.
    fn ask_for_what_expired(&self, host: &str) {
        let ids: Vec<UploadId> = {
            let database = self.database();
            let mut statement = database.prepare("SELECT id FROM uploads").expect("prepared");
            let rows = statement.query_map((), |row| row.get::<_, [u8; 16]>(0)).expect("asked");
            rows.map(|id| UploadId::from_bytes(id.expect("an id"))).collect()
        };
        for _ in 0..1000 {
            if self.begin(host, ids[0]).is_none() {
                return; // it has died
            }
        }
    }

    /// Starts the server again. All clients continue to the end, and check.
    fn recover(mut self) {
        let server = self.rig.start();
        let mut broken = Broken::default();
        for upload in &self.uploads {
            upload.check_kept(&server.host, &mut broken);
        }
        for upload in &mut self.uploads {
            let mut stopped_by = None;
            let went_on = (0..PATIENCE).any(|_| match upload.drive(&self.rig, &server.host) {
                Ok(()) => true,
                Err(Stopped::Broken(what)) => panic!("{what}"),
                Err(stopped) => {
                    stopped_by = Some(stopped);
                    false
                }
            });
            assert!(went_on, "{upload} can't go on: {stopped_by:?}: {}", server.stderr());
            upload.check(&server.host, u64::MAX, Level::Chunk, &mut broken);
        }
        let Broken { lost, spoiled } = broken;
        assert!(lost.is_empty() && spoiled.is_empty(), "{lost:?} {spoiled:?}");
        if way(self.point) == Way::Erasure {
            erase(&self.data_dir());
        }
        let log = server.stop().stderr;
        assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
        let users = 1..=self.uploads.len() as i64;
        sweep_and_look_for_leftovers(&self.data_dir(), users.map(UserId::from));
    }
}

/// Erases [`NOBODY`], beside the running server.
fn erase(data_dir: &Path) {
    let mut command = haversack(&["erase", "--user-id", &NOBODY.to_string()]);
    let _ = command.env("HAVERSACK_DATA_DIR", data_dir).output().expect("it runs");
}

/// Makes the server die at this point, and starts it again.
fn crash(point: Point, nth: u64, seed: u64) {
    let mut trial = Trial::new(point, seed);
    trial.prepare();
    let ended = trial.die(nth);
    let killed = ended.status.signal() == Some(9);
    assert!(killed, "it was not passed {nth} times: {} {}", ended.status, ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    trial.recover();
}

#[test]
fn nothing_is_lost_wherever_on_the_write_path_the_process_dies() {
    let crashes = setting("HAVERSACK_TEST_CRASHES").unwrap_or(CRASHES);
    let only = std::env::var("HAVERSACK_TEST_POINT").ok();
    let mut random = Random(seed());
    let points = Point::ALL
        .iter()
        .filter(|point| only.as_ref().is_none_or(|only| format!("{point:?}") == *only));
    let trials: Vec<(Point, u64, u64)> = points
        .flat_map(|point| (0..crashes).map(move |number| (*point, number)))
        .map(|(point, number)| {
            // The first hit always, then random ones.
            let nth = if number == 0 { 1 } else { 1 + random.below(times(point)) };
            (point, nth, random.next())
        })
        .collect();
    assert!(!trials.is_empty());
    figures(format_args!("{} crashes", trials.len()));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((point, nth, seed)) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
            let died = std::panic::catch_unwind(|| crash(*point, *nth, *seed));
            assert!(died.is_ok(), "{point:?}:{nth}, seed {seed}: see above");
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().expect("a promise was broken");
        }
    });
}

#[test]
fn an_order_that_names_no_point_refuses_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    for order in ["NoSuchPoint:1", "PartRecorded", "PartRecorded:0", "PartRecorded:first"] {
        let mut command = super::rig::serving(dir.path());
        let ended = Server::try_start(command.env("HAVERSACK_CRASH_AT", order)).err();
        let ended = ended.expect("refused");
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains(order), "{}", ended.stderr);
    }
}
