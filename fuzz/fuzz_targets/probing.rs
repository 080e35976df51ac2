//! Feeds arbitrary files of arbitrary sizes to what tells durations and dimensions; `tests/media/durations/` are good first inputs; what is
//! checked is in `probing/invariants.rs`.
#![no_main]

#[path = "probing/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
