//! Storage that fails at any call, once or from then on: no 2xx for what is not there, nothing acknowledged
//! lost, and when it works again the same clients go on.
//!
//! `HAVERSACK_TEST_FAILURES` sets how many failures there are, `HAVERSACK_TEST_SEED` repeats a trial.

use std::panic::{AssertUnwindSafe, catch_unwind};

use haversack::ids::{UploadId, UserId};
use serde_json::json;

use super::check::check;
use super::journal::{Class, Disk, Journal};
use super::promises::{Broken, End, Level, Stopped, Upload};
use super::rig::{Failure, OPEN, READ, Rig, SYNC, TRUNCATE, UNLINK, WRITE, folder};
use super::seed;
use crate::measured::figures;
use crate::measured::setting;
use crate::process::http::{Multipart, Request};
use crate::process::killing::sweep_and_look_for_leftovers;
use crate::process::ledger::Random;
use crate::process::program::{SECRET, Server, token};

/// Failures of a quick run.
const FAILURES: u64 = 100;
/// Failures that one server lives through.
const A_LIFE: u64 = 25;
/// So often a client tries again when the storage works again.
const PATIENCE: usize = 6;

// errno, on every Linux of ours (asm-generic/errno.h).
const EINTR: u32 = 4;
const EIO: u32 = 5;
const EMFILE: u32 = 24;
const ENOSPC: u32 = 28;
const EDQUOT: u32 = 122;
/// A write that takes only some of its bytes.
const SHORT: u32 = 0;

const OPERATIONS: [u32; 7] =
    [OPEN, READ, WRITE, SYNC, TRUNCATE, UNLINK, OPEN | WRITE | SYNC | TRUNCATE | UNLINK];

fn any_failure(random: &mut Random) -> Failure {
    let mut pick = |length: usize| random.below(length as u64) as usize;
    let operations = OPERATIONS[pick(OPERATIONS.len())];
    let errors: &[u32] = match operations {
        WRITE => &[EIO, ENOSPC, EDQUOT, SHORT, EINTR],
        OPEN => &[EIO, ENOSPC, EDQUOT, EMFILE],
        READ | UNLINK => &[EIO],
        SYNC => &[EIO, ENOSPC, EDQUOT],
        _ => &[EIO, ENOSPC, EDQUOT],
    };
    let classes = match pick(6) {
        0 => vec![Class::Blob],
        1 => vec![Class::Shard],
        2 => vec![Class::Log],
        3 => vec![Class::Database, Class::Log, Class::DataDir],
        4 => vec![Class::Blob, Class::Shard],
        _ => Class::ALL.to_vec(),
    };
    let error = errors[pick(errors.len())];
    let forever = error != EINTR && pick(2) == 1; // who is interrupted for ever tries for ever
    Failure { operations, classes, error, forever, after: pick(12) as u64 }
}

/// Whether a client may be refused or cut off like this while that fails.
fn may_stop(failure: &Failure, stopped: &Stopped) -> bool {
    let writes = failure.operations == WRITE;
    match stopped {
        Stopped::Cut(_) => failure.operations & READ != 0, // in the middle of a download
        Stopped::Broken(_) => false,
        Stopped::Refused { .. } if writes && matches!(failure.error, SHORT | EINTR) => false,
        Stopped::Refused { status, .. } => match failure.error {
            ENOSPC if writes => *status == 507,
            // SQLite tells a full disk from a full quota by no code of its own.
            EDQUOT if writes && failure.classes == [Class::Blob] => *status == 507,
            _ => (500..600).contains(status),
        },
    }
}

/// A server, what it promised, and what its storage is like.
struct Life {
    rig: Rig,
    server: Server,
    uploads: Vec<Upload>,
}

impl Life {
    fn begin() -> Self {
        let rig = Rig::new(Level::Finish);
        let server = rig.start();
        Self { rig, server, uploads: Vec::new() }
    }

    /// Lets clients work while storage fails, and go on when it works again; answers whether anything has
    /// failed.
    fn suffer(&mut self, random: &mut Random, failure: &Failure) -> bool {
        const ENDS: [End; 5] =
            [End::Finished, End::Deleted, End::Illustrated, End::Unfinished(2), End::Renamed];
        let host = self.server.host.clone();
        let mut new: Vec<Upload> = (0..2)
            .map(|number| {
                let user = self.uploads.len() as i64 + number + 1;
                let end = ENDS[random.below(ENDS.len() as u64) as usize];
                let mut upload = Upload::new(random, user, end);
                upload.sign_in(&self.rig.data_dir());
                upload
            })
            .collect();
        self.rig.fail(failure);
        for upload in &mut new {
            match upload.drive(&self.rig, &host) {
                Err(stopped) if !may_stop(failure, &stopped) => {
                    panic!("{failure:?}: {upload}: {stopped:?}: {}", self.server.stderr())
                }
                // The finish that a refused done began goes on as a job, which may find that a sync of the bytes failed.
                Err(_) if failure.operations & SYNC != 0 => upload.may_begin_again(&self.rig),
                _ => {}
            }
        }
        if failure.operations & (OPEN | READ) == 0
            && let Some(known) = self.uploads.last()
        {
            let mut broken = Broken::default();
            known.check_kept(&host, &mut broken);
            assert!(broken.lost.is_empty(), "{failure:?}: reading: {:?}", broken.lost);
        }
        let failed = self.rig.heal();
        for upload in &mut new {
            self.recover(upload, failure);
        }
        self.uploads.append(&mut new);
        failed > 0
    }

    fn recover(&self, upload: &mut Upload, failure: &Failure) {
        let mut last = None;
        for _ in 0..PATIENCE {
            match upload.drive(&self.rig, &self.server.host) {
                Ok(()) => {
                    let mut broken = Broken::default();
                    upload.check(&self.server.host, u64::MAX, Level::Finish, &mut broken);
                    let Broken { lost, spoiled } = broken;
                    assert!(
                        lost.is_empty() && spoiled.is_empty(),
                        "{failure:?}: {lost:?} {spoiled:?}"
                    );
                    return;
                }
                Err(Stopped::Broken(what)) => {
                    panic!("{failure:?}: {what}: {}", self.server.stderr())
                }
                Err(stopped) => last = Some(stopped),
            }
        }
        panic!("{failure:?}: {upload}: {last:?}: {}", self.server.stderr());
    }

    /// Cuts the power: what a failed sync did not keep is gone. Then looks for what was left over.
    fn end(self) {
        let Self { rig, server, uploads } = self;
        let log = server.kill();
        assert!(!log.contains("panicked"), "{log}");
        let journal = Journal::read(&rig.journal_path());
        let mut disk = Disk::new(&journal, None);
        disk.advance(journal.end());
        let root = folder();
        let at = root.path().join("disk");
        disk.leave(&at, |_| false);
        let broken = check(&at, &uploads, journal.end(), Level::Finish);
        assert!(broken.lost.is_empty(), "{}", broken.lost.join("\n"));
        let users = 1..=uploads.len() as i64;
        sweep_and_look_for_leftovers(&rig.data_dir(), users.map(UserId::from));
    }
}

#[test]
fn whatever_fails_nothing_is_acknowledged_that_is_not_kept() {
    let failures = setting("HAVERSACK_TEST_FAILURES").unwrap_or(FAILURES);
    let mut random = Random(seed());
    let mut count = 0;
    figures(format_args!("{failures} failures"));
    while count < failures {
        let mut life = Life::begin();
        let until = failures.min(count + A_LIFE);
        while count < until {
            let failure = any_failure(&mut random);
            count += u64::from(life.suffer(&mut random, &failure));
        }
        life.end();
    }
}

/// Starts it while that fails; it may come up, or end in order.
fn try_to_start(rig: &Rig) -> Option<Server> {
    match catch_unwind(AssertUnwindSafe(|| rig.start())) {
        Ok(server) => Some(server),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().expect("what it said");
            let lines: Vec<&str> =
                said.lines().filter(|line| line.contains("haversack: ")).collect();
            assert!(!said.contains("panicked") && lines.len() == 1, "{said}");
            None
        }
    }
}

#[test]
fn a_start_at_which_anything_fails_ends_in_order_and_harms_nothing() {
    let starts = setting("HAVERSACK_TEST_FAILURES").unwrap_or(FAILURES) / 3;
    let mut random = Random(seed());
    let rig = Rig::new(Level::Finish);
    let server = rig.start();
    let mut upload = Upload::new(&mut random, 1, End::Finished);
    upload.sign_in(&rig.data_dir());
    upload.drive(&rig, &server.host).expect("nothing fails yet");
    server.kill();
    for _ in 0..starts {
        let operations = OPEN | READ | WRITE | SYNC | TRUNCATE | UNLINK;
        let error = [EIO, ENOSPC, EMFILE][random.below(3) as usize];
        let (forever, after) = (random.flip(), random.below(60));
        let classes = Class::ALL.to_vec();
        rig.fail(&Failure { operations, classes, error, forever, after });
        drop(try_to_start(&rig)); // killed, if it came up
        rig.heal();
        let server = rig.start();
        let mut broken = Broken::default();
        upload.check_kept(&server.host, &mut broken);
        assert!(broken.lost.is_empty(), "{error} after {after}: {:?}", broken.lost);
        server.kill();
    }
}

/// Lets a single client's done fail at the sync of these, and send it again; then cuts the power.
fn done_again_after_failed_syncs_of(classes: &[Class]) {
    let mut random = Random(seed());
    let mut life = Life::begin();
    let mut upload = Upload::new(&mut random, 1, End::Unfinished(usize::MAX)).by_forms(); // by tus, there is no done
    upload.sign_in(&life.rig.data_dir());
    let host = life.server.host.clone();
    upload.drive(&life.rig, &host).expect("nothing fails yet");
    upload.finishes();
    let (operations, classes) = (SYNC, classes.to_vec());
    let failure = Failure { operations, classes, error: EIO, forever: true, after: 0 };
    life.rig.fail(&failure);
    upload.drive(&life.rig, &host).expect_err("it can't be kept");
    assert!(life.rig.heal() > 0);
    life.recover(&mut upload, &failure);
    life.uploads.push(upload);
    life.end();
}

#[test]
fn a_failed_sync_of_the_log_is_not_forgotten_because_the_next_one_succeeds() {
    done_again_after_failed_syncs_of(&[Class::Log]);
}

#[test]
fn a_failed_sync_of_bytes_is_not_forgotten_though_it_can_not_be_put_on_record() {
    done_again_after_failed_syncs_of(&[Class::Blob, Class::Log]);
}

/// Bytes are synced while their file still comes in: the second chunk's reply waits for the first one's sync.
#[test]
fn a_sync_that_fails_before_the_end_of_a_file_is_told_at_its_end() {
    const CHUNK: usize = 9 << 20;
    let rig = Rig::new(Level::Finish);
    let server = Server::start(rig.command().env("HAVERSACK_JWT_SECRET", SECRET));
    let id = UploadId::random().to_string();
    let send = |index| {
        let form = Multipart::default().field("uuid", &id).field("partindex", index);
        let form = form.field("totalparts", 2).file("file", &vec![b'a'; CHUNK]);
        Request::upload(form).token(&token(1)).send(&server.host).expect("a reply").ok();
    };
    let done = || {
        let done = Request::done(&json!({"uuid": id})).token(&token(1));
        done.send(&server.host).expect("a reply")
    };
    let (operations, classes) = (SYNC, vec![Class::Blob]);
    rig.fail(&Failure { operations, classes, error: EIO, forever: false, after: 0 });
    (0..2).for_each(send);
    assert_eq!(rig.heal(), 1);
    let lost = done();
    assert_eq!((lost.status, &lost.json()["reset"]), (503, &json!(true)));
    (0..2).for_each(send);
    assert_eq!(done().ok()["filesize"], 2 * CHUNK);
}
