//! A disk that fills up, at many places: what needs room is refused with a 507, all else goes on, and when
//! there is room again so does what was refused.
//!
//! Mounts small volumes, which takes root. `HAVERSACK_TEST_VOLUMES` sets how many.

use haversack::ids::UserId;

use super::promises::{Broken, End, Level, Stopped, Upload};
use super::rig::Rig;
use super::{seed, setting};
use crate::process::killing::sweep_and_look_for_leftovers;
use crate::process::ledger::Random;

/// Volumes of a quick run.
const VOLUMES: u64 = 8;
/// KiB of the smallest one.
const SMALLEST: u64 = 1200;
/// How much larger the next one is, KiB: so that no two fill up at the same step.
const STEP: u64 = 36;
/// KiB that the server leaves free.
const MIN_FREE: u64 = 300;
/// Bytes of a file that fits on none of them.
const TOO_MUCH: usize = 4 << 20;

fn refused_for_room(stopped: &Stopped) -> bool {
    matches!(stopped, Stopped::Refused { status: 507, body }
        if body["errors"][0]["code"] == "storage_full" && body["preventRetry"] == false)
}

/// `size`, `min_free`: KiB. Where some stay free, a file can be deleted from the full disk.
fn fill_up(random: &mut Random, size: u64, chunk_size: Option<usize>, min_free: u64) {
    let rig = Rig::on_volume(size + min_free, min_free);
    let server = rig.start();
    let mut known: Vec<Upload> =
        (1..=4).map(|user| Upload::new(random, user, End::Finished)).collect();
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
    sweep_and_look_for_leftovers(&rig.data_dir(), (1..=5).map(UserId));
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
