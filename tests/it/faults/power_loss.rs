//! Power cuts at every sync, and between syncs, with a disk that keeps only what was synced.
//!
//! `HAVERSACK_TEST_CUTS` sets the number of cuts with random leftovers, and increases the load; `HAVERSACK_TEST_SEED`
//! repeats a trial.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::check::check;
use super::journal::{Class, Disk, Journal, Unsynced};
use super::promises::{Broken, End, Level, Upload};
use super::rig::{Rig, data_dir, folder};
use super::seed;
use crate::measured::figures;
use crate::measured::setting;
use crate::process::ledger::Random;

/// Number of random cuts in a quick run.
const CUTS: u64 = 60;
/// Number of concurrent checkers.
const JUDGES: usize = 2;

/// A run of the server: what it did to its disk, and what it promised.
struct Life {
    journal: Journal,
    uploads: Vec<Upload>,
    /// Length of the journal in bytes before the orderly stop.
    before_stop: u64,
    /// The same after the next start.
    after_start: u64,
}

const ENDS: [End; 5] =
    [End::Finished, End::Deleted, End::Illustrated, End::Unfinished(2), End::Renamed];

/// Lets clients work one after the other, then concurrently, and then after another start.
fn live(rig: &Rig, random: &mut Random, rounds: usize) -> Life {
    let ends: Vec<End> = (0..rounds).flat_map(|_| ENDS).collect();
    let server = rig.start();
    let mut uploads = new_uploads(random, rig, 1, &ends);
    // Enough small chunks that the log is copied into the database while others continue.
    let chunks = if rounds > 1 { 3000 } else { 0 };
    let mut many = Upload::of(random.bytes(60_000), 900, Some(20), End::Unfinished(chunks));
    many.sign_in(&rig.data_dir());
    std::thread::scope(|scope| {
        scope.spawn(|| drive_in_turn(rig, &server.host, std::slice::from_mut(&mut many)));
        drive_in_turn(rig, &server.host, &mut uploads);
    });
    let mut second = new_uploads(random, rig, 1000, &ends);
    drive_at_once(rig, &server.host, &mut second);
    uploads.append(&mut second);
    let before_stop = rig.now();
    server.stop();
    let server = rig.start();
    let after_start = rig.now();
    let mut third = new_uploads(random, rig, 2000, &ENDS);
    drive_in_turn(rig, &server.host, &mut third);
    uploads.append(&mut third);
    server.kill();
    let journal = Journal::read(&rig.journal_path());
    Life { journal, uploads, before_stop, after_start }
}

fn new_uploads(random: &mut Random, rig: &Rig, first_user: i64, ends: &[End]) -> Vec<Upload> {
    let each = ends.iter().zip(first_user..);
    let mut uploads: Vec<_> = each.map(|(end, user)| Upload::new(random, user, *end)).collect();
    uploads.extend(by_tus(random, first_user + 500));
    for upload in &mut uploads {
        upload.sign_in(&rig.data_dir());
    }
    uploads
}

/// Files that are sent by tus, whatever the random numbers say.
fn by_tus(random: &mut Random, first_user: i64) -> [Upload; 3] {
    let mut upload =
        |user, end| Upload::of(random.bytes(50_000), first_user + user, Some(17_000), end);
    let [mut whole, mut part, mut pieces] =
        [upload(0, End::Finished), upload(1, End::Unfinished(2)), upload(2, End::Finished)];
    whole.by_tus();
    part.by_tus();
    pieces.in_pieces();
    [whole, part, pieces]
}

fn drive_in_turn(rig: &Rig, host: &str, uploads: &mut [Upload]) {
    for upload in uploads {
        let driven = upload.drive(rig, host);
        driven.unwrap_or_else(|stopped| panic!("{upload}: {stopped:?}"));
    }
}

fn drive_at_once(rig: &Rig, host: &str, uploads: &mut [Upload]) {
    std::thread::scope(|scope| {
        for upload in uploads {
            scope.spawn(move || drive_in_turn(rig, host, std::slice::from_mut(upload)));
        }
    });
}

/// A cut, and what the disk keeps of what was not synced.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: u64,
    /// Seed of what is kept at random; `None` means that nothing is kept.
    remains: Option<u64>,
}

/// Cuts the power at each of these moments. Returns what was broken, with the cut that broke it.
fn cut_all(life: &Life, cuts: &[Cut], deaf: Option<Class>, level: Level) -> Vec<(Cut, Broken)> {
    let (next, broken) = (AtomicUsize::new(0), Mutex::default());
    std::thread::scope(|scope| {
        for _ in 0..JUDGES {
            scope.spawn(|| {
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = cut_once(life, *cut, deaf, level);
                    let mut broken: std::sync::MutexGuard<'_, Vec<_>> =
                        broken.lock().expect("no panic");
                    broken.push((*cut, found));
                }
            });
        }
    });
    broken.into_inner().expect("no panic")
}

fn cut_once(life: &Life, cut: Cut, deaf: Option<Class>, level: Level) -> Broken {
    let mut disk = Disk::new(&life.journal, deaf);
    disk.advance(cut.at);
    let mut random = cut.remains.map(Random);
    let keep = |_: Unsynced| random.as_mut().is_some_and(Random::flip);
    found_on(&disk, keep, |at| {
        boot_anew(&data_dir(at));
        check(at, &life.uploads, cut.at, level)
    })
}

/// Makes the server believe that the machine has rebooted, because tests can't change the kernel's boot id. Does
/// nothing before the first records.
fn boot_anew(data_dir: &Path) {
    let Ok(database) = Connection::open_with_flags(
        data_dir.join("haversack.db"),
        OpenFlags::SQLITE_OPEN_READ_WRITE,
    ) else {
        return;
    };
    // After the cut, the server itself must read the log.
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).expect("set");
    let changed = database.execute("UPDATE store SET boot = 'the one before the cut'", ());
    assert!(changed.is_ok() || database.prepare("SELECT 1 FROM store").is_err(), "{changed:?}");
}

/// Writes the disk to a folder and examines it there.
fn found_on<T>(
    disk: &Disk<'_>,
    keep: impl FnMut(Unsynced) -> bool,
    look: impl FnOnce(&Path) -> T,
) -> T {
    let root = folder();
    let at = root.path().join("disk");
    disk.leave(&at, keep);
    look(&at)
}

/// What was lost, and by which cut.
fn report(broken: &[(Cut, Broken)]) -> String {
    let lines = broken.iter().flat_map(|(cut, broken)| {
        let all = broken.lost.iter().chain(&broken.spoiled);
        all.map(move |what| format!("{cut:?}: {what}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Cuts before every sync that keep nothing, and cuts at random moments that keep something at random.
fn cuts(life: &Life, random: &mut Random, at_random: u64) -> Vec<Cut> {
    let synced = life.journal.boundaries().into_iter().map(|at| Cut { at, remains: None });
    let end = life.journal.end();
    let others =
        (0..at_random).map(|_| Cut { at: 1 + random.below(end), remains: Some(random.next()) });
    synced.chain(others).collect()
}

/// The run that the quick tests share.
fn shared() -> &'static Life {
    static LIFE: OnceLock<Life> = OnceLock::new();
    LIFE.get_or_init(|| {
        let large = setting("HAVERSACK_TEST_CUTS").unwrap_or(0) / 1000;
        let rounds = 1 + large.min(3) as usize;
        let life = live(&Rig::new(Level::Finish), &mut Random(seed()), rounds);
        let copied = life.journal.writes(Class::Database, life.before_stop);
        assert!(rounds == 1 || copied > 10, "the log was not copied: {copied} writes");
        life
    })
}

fn survives(life: &Life, level: Level) {
    let at_random = setting("HAVERSACK_TEST_CUTS").unwrap_or(CUTS);
    let cuts = cuts(life, &mut Random(seed()), at_random);
    figures(format_args!("{} cuts", cuts.len()));
    let lost = report(&cut_all(life, &cuts, None, level));
    assert!(lost.is_empty(), "{lost}");
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    survives(shared(), Level::Finish);
}

#[test]
fn no_acknowledged_chunk_is_lost_when_the_power_is_cut_at_the_level_that_promises_it() {
    let life = live(&Rig::new(Level::Chunk), &mut Random(seed()), 1);
    survives(&life, Level::Chunk);
}

#[test]
fn without_any_one_of_its_syncs_something_is_lost() {
    let life = shared();
    let end = life.journal.end();
    for class in Class::ALL.into_iter().filter(|class| *class != Class::Other) {
        // The database itself counts only once its log has been restarted.
        let moments = [end, life.after_start, life.before_stop];
        let lost = moments.into_iter().any(|at| {
            let cut = Cut { at, remains: None };
            !cut_once(life, cut, Some(class), Level::Finish).lost.is_empty()
        });
        assert!(lost, "the trial does not notice that {class:?} is never synced");
    }
}

#[test]
fn an_unfinished_upload_that_lost_bytes_with_the_power_never_becomes_a_file_of_other_bytes() {
    let rig = Rig::new(Level::Finish);
    let mut random = Random(seed());
    let server = rig.start();
    let ends = [End::Unfinished(2), End::Finished]; // which syncs the log, and so the recorded parts
    let mut uploads = new_uploads(&mut random, &rig, 1, &ends);
    drive_in_turn(&rig, &server.host, &mut uploads);
    server.kill();
    let journal = Journal::read(&rig.journal_path());
    let mut disk = Disk::new(&journal, None);
    disk.advance(journal.end());
    // Everything is present except the first sector of the first chunk.
    let keep = |unsynced| !matches!(unsynced, Unsynced::Bytes(Class::Blob, 0));
    let broken = found_on(&disk, keep, |at| {
        boot_anew(&data_dir(at));
        check(at, &uploads, journal.end(), Level::Finish)
    });
    assert!(broken.lost.is_empty(), "{}", broken.lost.join("\n"));
    assert!(broken.spoiled.is_empty(), "{}", broken.spoiled.join("\n"));
}
