//! What the real binary survives: power that is cut, storage that fails, disks that fill up, machines that boot.
//!
//! A library preloaded into it (`faults/power.c`) writes down what it does to its files and fails on demand;
//! the journal says what a disk would have kept. Knows the server only through HTTP, its logs and its files.

mod alerts;
mod check;
pub(crate) mod full;
mod journal;
mod points;
mod power_loss;
mod promises;
mod reboot;
pub(crate) mod rig;
mod storage;

use crate::measured::setting;
pub(crate) use rig::folder;

/// The seed of a trial: told, so that it can be repeated.
pub(crate) fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed =
        setting("HAVERSACK_TEST_SEED").unwrap_or(now.map_or(0, |now| now.as_micros() as u64));
    eprintln!("HAVERSACK_TEST_SEED={seed}");
    seed
}
