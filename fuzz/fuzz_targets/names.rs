//! Feeds arbitrary names to what cleans them and writes them into headers; what is
//! checked is in `names/invariants.rs`.
#![no_main]

#[path = "names/invariants.rs"]
#[allow(dead_code)] // tests use the reader by itself
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
