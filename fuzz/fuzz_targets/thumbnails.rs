//! Feeds arbitrary pictures to what draws thumbnails; what is
//! checked is in `thumbnails/invariants.rs`.
#![no_main]

#[path = "thumbnails/invariants.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::check(input));
