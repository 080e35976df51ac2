//! Feeds arbitrary files to the privacy planner; `tests/media/gps/` are good first inputs; what is
//! checked is in `privacy/invariants.rs`.
#![no_main]

#[path = "privacy/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
