//! Feeds arbitrary fields, urlencoded, as JSON and as `Content-Range`, to the reader of forms; what is
//! checked is in `fields/invariants.rs`.
#![no_main]

#[path = "fields/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
