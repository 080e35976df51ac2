//! Feeds arbitrary names and heads of files to what tells types; what is
//! checked is in `sniffing/invariants.rs`.
#![no_main]

#[path = "sniffing/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
