//! Feeds arbitrary `Range` and condition headers to what decides which bytes are served; what is
//! checked is in `ranges/invariants.rs`.
#![no_main]

#[path = "ranges/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
